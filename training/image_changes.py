"""Record the states of the image files when training starts, and warn of images that changed since."""

import functools
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from data_manifest import schemas
from data_manifest.errors import writing_in
from data_manifest.images.file_states import changed_images, differing_states, stat_images
from data_manifest.images.images_folder import ImagesFolder, is_missing
from data_manifest.images.packs.open_packs import find_packs
from data_manifest.progress import Progress, working
from data_manifest.tables import group_file, make_frame, scan_members, scan_table, write_table
from training.recipe import run_of

TRAIN, VALIDATION = "train_files", {"database": "val_database_files", "queries": "val_queries_files"}
ROLES = {TRAIN: "training", VALIDATION["database"]: "validation database", VALIDATION["queries"]: "validation query"}
logger = logging.getLogger(__name__)


def record_or_compare(
    run: Path, table: str, images_folder: ImagesFolder, lists: Mapping[str, pl.LazyFrame]
) -> pl.DataFrame:
    """Record the states of image files when a run starts; when it resumes, warn of changed images and return theirs.

    Args:
        run: Folder of the run.
        table: A key of `ROLES`.
        images_folder: Folder that the paths are relative to.
        lists: The images of each file of the table, by the name of the file: column `path`.

    Raises:
        UserError: The folder is missing, images are still being written, or the disk is full.
    """
    _remove_outdated(run, table)
    changed = warn_of_changes(run, {table: images_folder}, remove=[run])
    with writing_in(run), Progress(f"recording the files of {ROLES[table]} images", None, "images") as progress:
        run.mkdir(parents=True, exist_ok=True)
        for name, images in lists.items():
            if not (file := run / table / name).exists():
                paths = images.select("path").collect()["path"]
                write_table(stat_images(paths, images_folder, progress, skip_errors=True), file, schemas.FILES)
    return changed


def record_or_compare_groups(
    run: Path, images_folder: ImagesFolder, packs: ImagesFolder | None, groups_folder: Path, groups: Sequence[int]
) -> pl.DataFrame:
    """Record or compare the states of the training images of groups; those of images in packs are from their packing.

    Raises:
        UserError: As for `record_or_compare`, or the packs cannot be read.
    """
    if packs is not None:
        return _record_or_compare_packed(run, packs, groups)
    lists = {group_file(group): scan_members(groups_folder, group) for group in groups}
    return record_or_compare(run, TRAIN, images_folder, lists)


def _record_or_compare_packed(run: Path, packs: ImagesFolder, groups: Sequence[int]) -> pl.DataFrame:
    _remove_outdated(run, TRAIN)
    found, changes = find_packs(packs), [make_frame([], schemas.FILES)]
    with writing_in(run), working("reading the states of the packed images"):
        run.mkdir(parents=True, exist_ok=True)
        for group in groups:
            today, file = found.read_states(group), run / TRAIN / group_file(group)
            if file.exists():
                changes.append(differing_states(pl.read_parquet(file, glob=False), today))
            else:
                write_table(today, file, schemas.FILES)
    changed = pl.concat(changes)
    _warn(_describe(run, TRAIN, changed), remove=[run])
    return changed


def _remove_outdated(run: Path, table: str) -> None:
    if not any(run.glob("*_checkpoint.pth")):  # no iteration is saved: what an earlier start recorded is outdated
        shutil.rmtree(run / table, ignore_errors=True)


@functools.cache  # once per process
def warn_of_changes_to_model(model: Path, artifacts: Path, folders: tuple[tuple[str, ImagesFolder], ...]) -> None:
    """Warn of images that changed since a published model was trained; `folders` are (table, images folder) pairs."""
    warn_of_changes(model, dict(folders), remove=[model, run_of(artifacts, model)])


def warn_of_changes(folder: Path, images_folders: Mapping[str, ImagesFolder], remove: Sequence[Path]) -> pl.DataFrame:
    """Warn if images differ from the states that a run or model folder recorded, and return their states of today.

    `images_folders` are by table; missing ones are not compared. `remove` are the folders to remove for training to
    start over.
    """
    changed = {table: _changed(folder, table, images) for table, images in images_folders.items()}
    _warn([text for table, states in changed.items() for text in _describe(folder, table, states)], remove)
    return pl.concat(changed.values())


def _warn(changes: Sequence[str], remove: Sequence[Path]) -> None:
    if changes:
        text = "%s since training started. To train on today's images, remove %s, then run again"
        logger.warning(text, ", ".join(changes), " and ".join(map(str, remove)))


def _changed(folder: Path, table: str, images_folder: ImagesFolder) -> pl.DataFrame:
    files = sorted((folder / table).glob("*.parquet"))
    if not files or is_missing(images_folder):
        return make_frame([], schemas.FILES)
    with Progress(f"checking {ROLES[table]} images for changes", _count(folder, table), "images") as progress:
        states = (pl.read_parquet(file, glob=False) for file in files)
        return pl.concat([changed_images(each, images_folder, progress, skip_errors=True) for each in states])


def _describe(folder: Path, table: str, changed: pl.DataFrame) -> list[str]:
    missing = changed["bytes"].null_count()
    counts = ((len(changed) - missing, "changed"), (missing, "are missing"))
    return [f"{count:,} of {_count(folder, table):,} {ROLES[table]} images {what}" for count, what in counts if count]


def _count(folder: Path, table: str) -> int:
    return int(scan_table(folder, table).select(pl.len()).collect().item())
