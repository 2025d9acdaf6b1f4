"""Split the manifest of all photos into five, for training, validation and test: by area or by time.

By area, square blocks of the map go to one split each, and training photos near a block of another are rejects. By
time, the newest photos are the queries, and older ones are both training set and database.
"""

import dataclasses
import hashlib
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
from data_manifest.settings import Settings, setting
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import read_table, write_table
from pipeline.manifest.build_partition import name_of
from pipeline.metadata.rejects import Reason, reject_when
from pipeline.sources.source import source_settings_of

VERSION = 2  # raise when the same photos and settings may give another split
NONE, AREA, TIME = "none", "area", "time"
BLOCK = ["utm_zone", "hemisphere", "block_east", "block_north"]
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SplitSettings(Settings):
    """How one folder of photos becomes training, validation and test sets."""

    title = "Data"

    split: str = setting(
        NONE,
        "how --photos-folder becomes training, validation and test sets. area: in blocks, so that they share no place; "
        "time: the newest photos are the queries",
        choices=(NONE, AREA, TIME),
    )
    block_m: float = setting(200.0, "side of a block in metres, for split = area")
    margin_m: float = setting(
        50.0, "training photos less than this many metres from a block of another split are dropped, for split = area"
    )
    val_share: float = setting(0.1, "approximate share of the photos for validation; for split = time: of its queries")
    test_share: float = setting(0.1, "approximate share of the photos for the test; for split = time: of its queries")
    queries_share: float = setting(0.2, "share of queries among the validation and test photos, for split = area")
    split_seed: int = setting(0, "another number gives another split of the same photos")

    def check(self) -> None:
        """Raise UserError if the values cannot work."""
        if self.block_m <= 0:
            raise UserError(f"block_m = {self.block_m:g} must be more than 0 metres.")
        if not 0 <= self.margin_m <= self.block_m:
            raise UserError(f"margin_m = {self.margin_m:g} must be between 0 and block_m = {self.block_m:g}.")
        for name in ("val_share", "test_share", "queries_share"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name):g} must be between 0 and 1.")
        if self.val_share + self.test_share >= 1:
            shares = f"val_share = {self.val_share:g} and test_share = {self.test_share:g}"
            raise UserError(f"{shares} leave nothing to train on. Lower one.")


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

    A row with a reject is in no part; by time, a row can be in several.

    Raises:
        UserError: A part would be empty.
    """
    assigned = _by_area(images, settings) if settings.split == AREA else _by_time(images, settings)
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
    keyed = images.with_columns(hemisphere(), *_block_at(settings, 0, 0))
    blocks = _assign_blocks(keyed, settings)
    keyed = keyed.join(blocks, on=BLOCK, how="left", nulls_equal=True, maintain_order="left")
    held_out = blocks.filter(pl.col("split") != "train").select(BLOCK).with_columns(near=pl.lit(True))
    near = pl.lit(False)
    for east in (-1, 0, 1):  # nine points suffice, as the margin is at most the side of a block
        for north in (-1, 0, 1):
            moved = images.with_columns(hemisphere(), *_block_at(settings, east, north)).select(BLOCK)
            found = moved.join(held_out, on=BLOCK, how="left", nulls_equal=True, maintain_order="left")["near"]
            near = near | pl.lit(found.is_not_null())
    detail = pl.lit(f"less than {settings.margin_m:g} m from a block of val or test")
    reject = reject_when((pl.col("split") == "train") & near, Reason.OTHER_PART, detail)
    keyed = keyed.with_columns(reject=reject, query=_choose_queries(keyed, settings))
    parts = {"train": (pl.col("split") == "train") & pl.col("reject").is_null()}
    for split in ("val", "test"):
        for role in ("database", "queries"):
            parts[f"{split}/{role}"] = (pl.col("split") == split) & (pl.col("query") == (role == "queries"))
    return _with_parts(keyed, parts)


def _block_at(settings: SplitSettings, east: int, north: int) -> list[pl.Expr]:
    """Return the block of each photo, moved by multiples of the margin."""
    moves = (("utm_east", "block_east", east), ("utm_north", "block_north", north))
    return [
        ((pl.col(metres) + move * settings.margin_m) / settings.block_m).floor().cast(pl.Int64).alias(block)
        for metres, block, move in moves
    ]


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


def _choose_queries(keyed: pl.DataFrame, settings: SplitSettings) -> pl.Series:
    """Return which photos are queries: in each split a share of the panoramas, by hash, but neither none nor all."""
    shots = keyed.select("split", shot=pl.coalesce("pano_id", "path"))
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
    splits, wanted = [], {"test": settings.test_share * len(images), "val": settings.val_share * len(images)}
    for size in days["images"]:
        splits.append(next((split for split, share in wanted.items() if share > 0), "train"))
        if splits[-1] in wanted:
            wanted[splits[-1]] -= size
    days = days.with_columns(split=pl.Series(splits, dtype=pl.String)).drop("images")
    reject = reject_when(pl.col("day").is_null(), Reason.NO_TIME, pl.lit("it is not known whether it is old or new"))
    dated = dated.join(days, on="day", how="left", maintain_order="left").with_columns(reject=reject)
    parts = dict.fromkeys(("train", "val/database", "test/database"), pl.col("split") == "train")
    queries = {f"{split}/queries": pl.col("split") == split for split in ("val", "test")}
    return _with_parts(dated, {**parts, **queries})


def _with_parts(images: pl.DataFrame, parts: Mapping[str, pl.Expr]) -> pl.DataFrame:
    columns = {part: parts[part].fill_null(False) for part in PARTS}
    return images.with_columns(**columns).select(*schemas.MANIFEST.names, *PARTS, "reject")


def _publish(part: str, recipe: Recipe, artifacts: Path, assigned: pl.DataFrame, whole: Mapping[str, Any]) -> None:
    usable = assigned.filter(part).select(schemas.MANIFEST.names)
    is_rejected = (part == "train") & pl.col("reject").is_not_null()  # a photo in no part is a reject of training
    rejects = assigned.filter(is_rejected).select("path", pl.col("reject").struct.unnest())
    summary = {
        "origin": whole["summary"]["origin"],
        "source": source_settings_of(whole),
        "usable": len(usable),
        "rejects": dict(rejects["reason"].value_counts().iter_rows()),
        "files": len(usable) + len(rejects),
        "repeats": 0,
        "without_heading": usable["heading"].null_count(),
        "first_year": usable["year"].min(),
        "last_year": usable["year"].max(),
        "made": f"{len(usable):,} images of {part}" + (f", {len(rejects):,} rejects" if len(rejects) else ""),
    }
    file = name_of("all", recipe.digest)
    with publishing(artifacts.absolute(), recipe, summary) as staging:
        write_table(rejects, staging / "rejects" / file, schemas.REJECTS)
        write_table(usable, staging / "manifest" / file, schemas.MANIFEST)
