"""The packing of some groups into a staging folder: shards, index, rejects and file states."""

import dataclasses
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.images.file_states import stat_images, summarise_states
from data_manifest.images.packs.pack_files import FILES, INDEX, REJECTS, SHARDS, digest_of_members, shard_name
from data_manifest.progress import Progress
from data_manifest.store.files import format_bytes, link, link_or_copy
from data_manifest.tables import group_file, read_member_paths, write_table
from pipeline.execution.executor import run_all, usable_cores
from pipeline.packs.plan_shards import MEGABYTE, GroupStates, plan_shards
from pipeline.packs.write_shard import CONTENT, Packing, Shard, files_of, images_changed, read_finished, write_shard
from pipeline.verification.bad_image import Status

HEADER_BYTES = 1_024  # per image: the header, and up to a block of padding
logger = logging.getLogger(__name__)


@dataclasses.dataclass
class PackJob:
    """The packing of some groups into a staging folder."""

    groups_folder: Path
    packing: Packing
    staging: Path
    files: Sequence[GroupStates]
    earlier: Mapping[int, tuple[Path, Any]]  # by group: packs to link it from, and its counts there
    keys: dict[int, list[str]] = dataclasses.field(default_factory=dict)  # of the shards of each group to write

    @property
    def num_images(self) -> int:
        """Images of all groups, including missing ones."""
        return sum(each.states.images for each in self.files)

    def needed_bytes(self) -> int:
        """Return the disk space of the shards that are not written yet; smaller copies take less."""
        new = [each for each in self.files if each.group not in self.earlier]
        finished = sum(file.stat().st_size for file in self.packing.work.glob("*.tar"))
        needed = sum(each.total_bytes + HEADER_BYTES * each.states.images for each in new)
        if self.packing.upload_to is not None:
            needed = min(needed, usable_cores() * self.packing.settings.shard_megabytes * MEGABYTE)
        return max(0, needed - finished)

    def write_shards(self, progress: Progress, executor: Executor | None) -> None:
        """Write all shards that are not finished."""
        lock, stopping = threading.Lock(), threading.Event()

        def advance(images: int) -> None:
            if stopping.is_set():
                raise CancelledError
            with lock:
                progress.advance(images)

        work = partial(write_shard, self.packing, advance if executor is None else None)
        for key, images in run_all(work, self._shards(advance), None, executor, stopping.set):
            logger.debug("%s is finished", key)
            if executor is not None:
                advance(images)

    def _shards(self, advance: Callable[[int], object]) -> Iterator[Shard]:
        """Yield the shards to write; groups that earlier packs have are linked."""
        for each in self.files:
            if each.group in self.earlier:
                self._link(each.group, self.earlier[each.group][0])
                advance(each.states.images)
                continue
            states = stat_images(read_member_paths(self.groups_folder, each.group), self.packing.images_folder)
            if summarise_states(states) != each.states:
                raise images_changed(self.packing.images_folder)
            write_table(states, self.staging / FILES / group_file(each.group), schemas.FILES)
            advance(states["bytes"].null_count())
            self.keys[each.group] = []
            for shard in plan_shards(each.group, states, self.packing.settings.shard_megabytes):
                self.keys[each.group].append(shard.key)
                yield shard

    def _link(self, group: int, earlier: Path) -> None:
        for table in (INDEX, FILES, REJECTS):
            link_or_copy(earlier / table / group_file(group), self.staging / table / group_file(group))
        index = pl.read_parquet(self.staging / INDEX / group_file(group), columns=["shard"], glob=False)
        for name in index["shard"].unique():
            self._link_shard(name, earlier)

    def _link_shard(self, name: str, earlier: Path) -> None:
        try:
            if (target := self.packing.upload_to) is None:
                link_or_copy(earlier / SHARDS / name, self.staging / SHARDS / name)
            else:
                from data_manifest.images.object_store import copy_object  # needs an optional package

                copy_object(target.parent.parent / earlier.name / SHARDS / name, target / name)
        except FileNotFoundError as error:
            raise UserError(f"{earlier}: its shard {name} is missing. Remove {earlier}, then run again.") from error

    def finish(self) -> dict[str, Any]:
        """Write the tables of all groups, move the shards to the staging folder, and return the summary."""
        groups = {each.group: self._finish(each) for each in self.files}
        rejects = Counter[str]()
        for counts in groups.values():
            rejects.update(counts["rejects"])
        images, size = (sum(counts[name] for counts in groups.values()) for name in ("images", "bytes"))
        shards = sum(counts["shards"] for counts in groups.values())
        rejected = f", {rejects.total():,} rejected" if rejects else ""
        made = f"{images:,} images of {len(groups)} groups in {shards:,} shards, {format_bytes(size)}{rejected}"
        return {
            "images": images,
            "bytes": size,
            "shards": shards,
            "rejects": dict(rejects),
            "groups": groups,
            "made": made,
        }

    def _finish(self, files: GroupStates) -> dict[str, Any]:
        """Write the tables of a group, unless it is linked, and return its counts."""
        group = files.group
        if group in self.earlier:
            counts: dict[str, Any] = self.earlier[group][1]
            return counts
        contents = [pl.DataFrame(schema={**CONTENT, "shard": pl.String()})]
        for number, key in enumerate(self.keys[group]):
            content, name = read_finished(self.packing, key), shard_name(group, number)
            assert content is not None, key
            contents.append(content.with_columns(shard=pl.lit(name)))
            tar = files_of(self.packing.work, key)[0]
            if self.packing.upload_to is None and not link(tar, self.staging / SHARDS / name):
                shutil.move(tar, self.staging / SHARDS / name)
        states = pl.read_parquet(self.staging / FILES / group_file(group), glob=False)
        images = states.join(pl.concat(contents), on="path", how="left", maintain_order="left")
        index = images.drop_nulls("offset").select(schemas.INDEX.names)
        reason = pl.col("reason").fill_null(Status.VANISHED.value)
        rejects = images.filter(pl.col("offset").is_null()).select("path", reason, pl.col("detail").fill_null(""))
        write_table(index, self.staging / INDEX / group_file(group), schemas.INDEX)
        write_table(rejects, self.staging / REJECTS / group_file(group), schemas.REJECTS)
        return {
            "members": digest_of_members(states["path"]),
            "files": files.states.digest,
            "images": len(index),
            "shards": index["shard"].n_unique(),
            "bytes": int(index["size"].sum()),
            "rejects": dict(rejects["reason"].value_counts(sort=True).iter_rows()),
        }
