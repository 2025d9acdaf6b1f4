"""Split the manifest of all photos into five, for training, validation and test: by area or by time.

By area, square blocks of the map go to one split each, and training photos near a block of another are rejects. By
time, the newest photos are the queries, and older ones are both training set and database.
"""

import hashlib
import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.hemisphere import hemisphere
from data_manifest.images.data_set_names import PARTS, part_name
from data_manifest.progress import working
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import read_table
from pipeline.manifest.build_partition import name_of, write_both
from pipeline.manifest.settings import AREA, NONE, SplitSettings
from pipeline.metadata.rejects import Reason, reject_when
from pipeline.sources.source import source_settings_of

VERSION = 2  # raise when the same photos and settings may give another split
BLOCK = ["utm_zone", "hemisphere", "block_east", "block_north"]
logger = logging.getLogger(__name__)


def split_recipe(part: str, name: str, manifest_digest: str, settings: SplitSettings) -> Recipe:
    """Return the recipe of a part's manifest, given the name and digest of the manifest of all photos.

    Raises:
        UserError: The part is unknown.
    """
    if part not in PARTS:
        raise UserError(f"part = {part!r} is unknown. Choose one of {', '.join(PARTS)}.")
    decisive = {**settings.as_dict(), "part": part, "split_version": VERSION}
    return Recipe("manifest", part_name(name, part), VERSION, decisive, {"manifest": manifest_digest})


def split_manifest(manifest: Path, artifacts: Path, settings: SplitSettings) -> dict[str, Path]:
    """Publish the manifests of all parts, and return the folder of each by part.

    Equal photos and settings give equal splits; additional photos may move blocks from one split to another.

    Args:
        manifest: Folder of the published manifest of all photos.
        artifacts: Artifacts folder.
        settings: How to split.

    Raises:
        UserError: A part would be empty.
    """
    if settings.split == NONE:
        raise UserError("split = none does not split the photos. Pass --split area or --split time.")
    whole = read_recipe(manifest)
    recipes = {part: split_recipe(part, whole["name"], whole["digest"], settings) for part in PARTS}
    missing = [part for part, recipe in recipes.items() if find_published(artifacts, recipe, adopt={}) is None]
    if missing:
        with working(f"splitting {whole['name']}"):
            assigned = assign_parts(read_table(manifest, "manifest").sort("path"), settings)
            for part in missing:
                _publish(part, recipes[part], artifacts, assigned, whole)
            counts = ", ".join(f"{assigned[part].sum():,} of {part}" for part in PARTS)
            logger.info("%s by %s: %s", whole["name"], settings.split, counts)
    return {part: recipe.folder(artifacts) for part, recipe in recipes.items()}


def assign_parts(images: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Return manifest rows, sorted by path, with a boolean column per part of `PARTS`, and `reject`.

    A row with a reject is in no part; by time, the training set is the database too.

    Raises:
        UserError: A part would be empty.
    """
    by_area = settings.split == AREA
    rows = _by_area(images, settings) if by_area else _by_time(images, settings)
    sources = {part: part if by_area or part.endswith("/queries") else "train" for part in PARTS}
    parts = {part: (pl.col("part") == source).fill_null(False) for part, source in sources.items()}
    assigned = rows.select(*schemas.MANIFEST.names, **parts, reject="reject")
    for part in PARTS:
        if not assigned[part].any():
            raise UserError(f"split = {settings.split}: no photo would be in {part}. {_advice(len(images), settings)}")
    return assigned


def _advice(num_images: int, settings: SplitSettings) -> str:
    if settings.split == AREA:
        return (
            f"The {num_images:,} photos are in few blocks of block_m = {settings.block_m:g} metres. Lower --block-m "
            "and --margin-m, raise --val-share, --test-share or --queries-share, or use --split time."
        )
    return f"The {num_images:,} photos are of few days. Raise --val-share or --test-share, or use --split area."


def _by_area(images: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    blocks = _assign_blocks(_in_blocks(images, settings, 0, 0), settings)
    splits = {}
    for moves in itertools.product((-1, 0, 1), repeat=2):  # suffices, as the margin is at most the side of a block
        moved = _in_blocks(images, settings, *moves)
        splits[moves] = moved.join(blocks, on=BLOCK, how="left", nulls_equal=True, maintain_order="left")["split"]
    images = images.with_columns(split=splits[0, 0])
    near = pl.any_horizontal(pl.lit(split != "train") for split in splits.values())
    is_train, detail = pl.col("split") == "train", f"less than {settings.margin_m:g} m from a block of val or test"
    reject = reject_when(is_train & near, Reason.OTHER_PART, pl.lit(detail))
    role = pl.when(_choose_queries(images, settings)).then(pl.lit("/queries")).otherwise(pl.lit("/database"))
    part = pl.when(is_train).then("split").otherwise(pl.col("split") + role)
    return images.with_columns(reject=reject, part=pl.when(reject.is_null()).then(part))


def _in_blocks(images: pl.DataFrame, settings: SplitSettings, east: int, north: int) -> pl.DataFrame:
    """Return photos with their block after a move by multiples of the margin."""
    moved = {"block_east": pl.col("utm_east") + east * settings.margin_m}
    moved["block_north"] = pl.col("utm_north") + north * settings.margin_m
    numbers = {block: (metres / settings.block_m).floor().cast(pl.Int64) for block, metres in moved.items()}
    return images.with_columns(hemisphere(), **numbers)


def _assign_blocks(keyed: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Return the blocks with `split`: in the order of their hashes, val and test get blocks until they are full.

    A block that would take a split further from its share goes to training.
    """
    blocks = keyed.group_by(BLOCK).agg(images=pl.len())
    texts = blocks.select(pl.concat_str(pl.col(BLOCK).cast(pl.String).fill_null("?"), separator=" ")).to_series()
    wanted = {"test": settings.test_share * len(keyed), "val": settings.val_share * len(keyed)}
    filled, splits = dict.fromkeys(wanted, 0), ["train"] * len(blocks)
    for row in sorted(range(len(blocks)), key=lambda row: (_hash(texts[row], settings.split_seed), texts[row])):
        size = blocks["images"][row]
        for split, share in wanted.items():
            if abs(filled[split] + size - share) < abs(filled[split] - share):
                filled[split] += size
                splits[row] = split
                break
    return blocks.with_columns(split=pl.Series(splits, dtype=pl.String)).select(*BLOCK, "split")


def _choose_queries(images: pl.DataFrame, settings: SplitSettings) -> pl.Series:
    """Return which photos are queries: in each split a share of the panoramas, by hash, but neither none nor all."""
    shots = images.select("split", shot=pl.coalesce("pano_id", "path"))
    chosen: set[tuple[str, str]] = set()
    for split in ("val", "test"):
        of_split = shots.filter(pl.col("split") == split)["shot"].unique().to_list()
        of_split.sort(key=lambda shot: (_hash(shot, settings.split_seed), shot))
        count = min(max(1, round(settings.queries_share * len(of_split))), len(of_split) - 1)
        chosen |= {(split, shot) for shot in of_split[: max(count, 0)]}
    return pl.Series([row in chosen for row in shots.iter_rows()], dtype=pl.Boolean)


def _hash(text: str, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest())


def _by_time(images: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Return the parts by whole days: the newest are the test's queries, those before them the validation's."""
    dated = images.with_columns(day=pl.col("timestamp").str.extract(r"^(\d{4,8})"))
    days = dated.drop_nulls("day").group_by("day").agg(images=pl.len()).sort("day", descending=True)
    wanted = {"test/queries": settings.test_share * len(images), "val/queries": settings.val_share * len(images)}
    parts = []
    for size in days["images"]:
        parts.append(next((part for part, share in wanted.items() if share > 0), "train"))
        if parts[-1] in wanted:
            wanted[parts[-1]] -= size
    days = days.with_columns(part=pl.Series(parts, dtype=pl.String)).drop("images")
    reject = reject_when(pl.col("day").is_null(), Reason.NO_TIME, pl.lit("it is not known whether it is old or new"))
    return dated.join(days, on="day", how="left", maintain_order="left").with_columns(reject=reject)


def _publish(part: str, recipe: Recipe, artifacts: Path, assigned: pl.DataFrame, whole: Mapping[str, Any]) -> None:
    is_rejected = (part == "train") & pl.col("reject").is_not_null()  # a photo in no part is a reject of training
    images = assigned.filter(pl.col(part) | is_rejected)
    usable = images.filter(pl.col("reject").is_null())
    reasons = images.drop_nulls("reject").select(pl.col("reject").struct.field("reason")).to_series()
    summary = {
        "origin": whole["summary"]["origin"],
        "source": source_settings_of(whole),
        "usable": len(usable),
        "rejects": dict(reasons.value_counts().iter_rows()),
        "files": len(images),
        "repeats": 0,
        "without_heading": usable["heading"].null_count(),
        "first_year": usable["year"].min(),
        "last_year": usable["year"].max(),
        "made": f"{len(usable):,} images of {part}" + (f", {len(reasons):,} rejects" if len(reasons) else ""),
    }
    with publishing(artifacts.absolute(), recipe, summary) as staging:
        write_both(images, staging, name_of("all", recipe.digest))
