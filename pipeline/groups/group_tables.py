"""Writes the tables of groups: each partition counted and put aside, then the members gathered, group after group.

What earlier groups have in common is linked, and only classes with other images are gathered anew.
"""

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from data_manifest.progress import Percentage, Progress, share, working
from data_manifest.store.files import link_or_copy
from pipeline.execution.executor import run_all
from pipeline.groups.cells import CLASS_KEY
from pipeline.groups.classes import cells_with_unknown_frames, classes_of_each, complete_frames
from pipeline.groups.gather import NUMBERS, Bundle, file_name, in_bundles, plan_files, write_bundle
from pipeline.groups.reuse import (
    COUNTS,
    Earlier,
    Reuse,
    are_few,
    changed_cells,
    changed_classes,
    changes,
    nothing_to_reuse,
    plan_reuse,
)
from pipeline.groups.settings import GroupSettings
from pipeline.groups.spread import Putting, aside_of, put_aside

MEMBERS = "members"


@dataclass(frozen=True)
class GroupTables:
    """Writes the tables of groups.

    Args:
        files: The partitions of the manifest.
        settings: The grouping.
        folder: The artifact that is being made.
        earlier: Groups to take over what is the same.
        on_percentage: Told of the progress.
        executor: Reads and writes the tables; threads of this process by default.
    """

    files: list[Path]
    settings: GroupSettings
    folder: Path
    earlier: Earlier | None
    on_percentage: Percentage
    executor: Executor | None

    def count(self) -> list[pl.DataFrame]:
        """Write how many images each class has in each partition, and return it; put aside what was not there."""
        self._scratch.mkdir()
        (self.folder / COUNTS).mkdir()
        jobs = [
            Putting(file, self.settings, aside_of(self._scratch, number), self._counts(file))
            for number, file in enumerate(self.files)
            if not self._has_earlier_counts(file)
        ]
        self._put_aside(jobs, 0, 50)
        return [pl.read_parquet(self._counts(file), glob=False) for file in self.files]

    def write_members(self, classes: pl.DataFrame, counted: list[pl.DataFrame]) -> int:
        """Write the members of numbered classes, and return how many of their files were there before."""
        (self.folder / MEMBERS).mkdir()
        reuse = self._reuse(plan_files(classes), counted)
        if self.earlier is not None:
            for name in reuse.linked:
                link_or_copy(self.earlier.groups / MEMBERS / name, self.folder / MEMBERS / name)
        bundled = in_bundles(reuse.classes)
        fresh = bundled.filter(pl.col("class_before").is_null()).select(*CLASS_KEY, *NUMBERS, "bundle")
        runs = list(classes_of_each(complete_frames(counted), fresh))
        self._put_aside(self._still_to_put_aside(runs), 55, 60)
        with working("assigning classes to files"):
            bundles = list(self._bundles(bundled, pl.concat(runs)))
        with Progress("writing groups", len(bundles), "bundles", share(self.on_percentage, 60, 100)) as progress:
            list(run_all(write_bundle, bundles, progress, self.executor))
        shutil.rmtree(self._scratch)
        return len(reuse.linked)

    @property
    def _scratch(self) -> Path:
        return self.folder / "scratch"

    def _counts(self, file: Path) -> Path:
        return self.folder / COUNTS / file.name

    def _has_earlier_counts(self, file: Path) -> bool:
        """Link the counts of a partition, if it was in earlier groups."""
        if self.earlier is None or file.name not in self.earlier.partitions:
            return False
        link_or_copy(self.earlier.groups / COUNTS / file.name, self._counts(file))
        return True

    def _put_aside(self, jobs: list[Putting], begin: int, end: int) -> None:
        with Progress("sorting images", len(jobs), "partitions", share(self.on_percentage, begin, end)) as progress:
            list(run_all(put_aside, jobs, progress, self.executor))

    def _reuse(self, planned: pl.DataFrame, counted: list[pl.DataFrame]) -> Reuse:
        changed = changes(self.earlier, self.files) if self.earlier else []
        if self.earlier is None or not are_few(changed, self.files):
            return nothing_to_reuse(planned)
        with Progress("comparing images", len(changed), "partitions", share(self.on_percentage, 50, 55)) as progress:
            work = partial(changed_classes, settings=self.settings)
            classes = list(run_all(work, changed, progress, self.executor))
        keys = pl.concat([planned.select(CLASS_KEY).clear(), *classes])
        return plan_reuse(planned, self.earlier, keys, changed_cells(keys, cells_with_unknown_frames(counted)))

    def _still_to_put_aside(self, runs: Iterable[pl.DataFrame]) -> list[Putting]:
        """Return partitions that were counted before, and have images of classes that are gathered."""
        return [
            Putting(self.files[number], self.settings, aside_of(self._scratch, number), None)
            for number, each in enumerate(runs)
            if len(each) and not aside_of(self._scratch, number).exists()
        ]

    def _bundles(self, bundled: pl.DataFrame, runs: pl.DataFrame) -> Iterator[Bundle]:
        of_bundle = runs.partition_by("bundle", include_key=False, as_dict=True)
        kept = bundled.filter(pl.col("class_before").is_not_null())
        kept_of_bundle = kept.select(*NUMBERS, "bundle", "piece_before", "class_before").partition_by(
            "bundle", include_key=False, as_dict=True
        )
        none = runs.clear().drop("bundle")
        for key in sorted({*of_bundle, *kept_of_bundle}):
            files = self._kept_files(kept_of_bundle[key]) if key in kept_of_bundle else ()
            yield Bundle(self.folder / MEMBERS, of_bundle.get(key, none), self._scratch, tuple(files))

    def _kept_files(self, kept: pl.DataFrame) -> Iterator[tuple[Path, pl.DataFrame]]:
        assert self.earlier is not None
        by_file = kept.partition_by("group_index", "piece_before", maintain_order=True)
        for classes in by_file:
            name = file_name(classes["group_index"][0], classes["piece_before"][0])
            yield self.earlier.groups / MEMBERS / name, classes.drop("piece_before")
