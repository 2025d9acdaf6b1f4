"""Split one body of photos into training, validation and test sets: by area, or by time.

The manifest of all photos becomes five manifests, one for each part, whose rows are of the same images folder: nothing
is copied, and the later stages take them as they take any manifest.

By area, the map is cut into square blocks, and each block goes to one part: so no place of the validation or test set
is trained on. Photos to train on that are near such a block are left out, for they would show the same houses. By time,
the newest photos are the queries, and older ones both what is trained on and the database: the same city, later.
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

VERSION = 2
NONE, AREA, TIME = "none", "area", "time"
logger = logging.getLogger(__name__)
BLOCK = ["utm_zone", "hemisphere", "block_east", "block_north"]


@dataclasses.dataclass(frozen=True)
class SplitSettings(Settings):
    """How one body of photos becomes training, validation and test sets."""

    split: str = setting(
        NONE,
        "how --photos-folder becomes training, validation and test sets: by area, in blocks, so that no place of one "
        "is in another; or by time, the newest photos being the queries",
        choices=(NONE, AREA, TIME),
    )
    block_m: float = setting(200.0, "side of a block, in metres, for split = area")
    margin_m: float = setting(
        50.0, "photos to train on that are less than this many metres from another part's block are left out"
    )
    val_share: float = setting(0.1, "share of the photos, about, that are for validation (by time: its queries)")
    test_share: float = setting(0.1, "share of the photos, about, that are for the test (by time: its queries)")
    queries_share: float = setting(0.2, "share of the photos of validation and test that are queries, for split = area")
    split_seed: int = setting(0, "another number gives another split of the same photos")

    def check(self) -> None:
        """Refuse what cannot work."""
        if self.block_m <= 0:
            raise UserError(f"block_m = {self.block_m:g}: a block needs a side of more than 0 metres")
        if self.margin_m < 0:
            raise UserError(f"margin_m = {self.margin_m:g}: it cannot be negative")
        if self.margin_m > self.block_m:
            raise UserError(f"margin_m = {self.margin_m:g}: it cannot be more than block_m = {self.block_m:g}")
        for name in ("val_share", "test_share", "queries_share"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name):g}: it must be between 0 and 1")
        if self.val_share + self.test_share >= 1:
            text = (
                f"val_share = {self.val_share:g}, test_share = {self.test_share:g}: nothing would be left to train on"
            )
            raise UserError(text)


def split_recipe(part: str, name: str, manifest_digest: str, settings: SplitSettings) -> Recipe:
    """Return what makes the manifest of a part: the manifest of all photos, and how it is split.

    Raises:
        UserError: There is no such part.
    """
    if part not in PARTS:
        raise UserError(f"part = {part!r}: a split has {', '.join(PARTS)}")
    decisive = {**settings.as_dict(), "part": part, "split_version": VERSION}
    return Recipe("manifest", part_name(name, part), VERSION, decisive, {"manifest": manifest_digest})


def split_manifest(manifest: Path, artifacts: Path, settings: SplitSettings) -> dict[str, Path]:
    """Write the manifests of all parts of a body of photos, and return the artifact of each.

    What is published already is not made again. The same photos and settings give the same split; photos that are added
    may move blocks at the border between two parts.

    Args:
        manifest: Folder of the published manifest of all photos.
        artifacts: Where artifacts are published.
        settings: How to split.

    Raises:
        UserError: A part would be empty.
    """
    if settings.split == NONE:
        raise UserError("split = none: how? Give --split area, or --split time")
    made_from = read_recipe(manifest)
    recipes = {part: split_recipe(part, made_from["name"], made_from["digest"], settings) for part in PARTS}
    published = {part: find_published(artifacts, recipe, adopt={}) for part, recipe in recipes.items()}
    if all(published.values()):
        return {part: recipe.folder(artifacts) for part, recipe in recipes.items()}
    with working(f"splitting {made_from['name']}"):
        images = read_table(manifest, "manifest").sort("path")
        assigned = assign_parts(images, settings)
        for part, recipe in recipes.items():
            if published[part] is None:
                _publish(part, recipe, artifacts, assigned, made_from)
        counts = ", ".join(f"{assigned[part].sum():,} of {part}" for part in PARTS)
        logger.info("%s by %s: %s", made_from["name"], settings.split, counts)
    return {part: recipe.folder(artifacts) for part, recipe in recipes.items()}


def assign_parts(images: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Return manifest rows, sorted by path, with a column for each of `PARTS`, whether a row is of it, and `reject`.

    A row with a reject is of no part.

    Raises:
        UserError: A part would be empty.
    """
    assigned = _by_area(images, settings) if settings.split == AREA else _by_time(images, settings)
    for part in PARTS:
        if not assigned[part].any():
            raise UserError(f"split = {settings.split}: no photo would be of {part}: {_advice(len(images), settings)}")
    return assigned


def _advice(num_images: int, settings: SplitSettings) -> str:
    if settings.split == AREA:
        return (
            f"the {num_images:,} photos lie in few blocks of block_m = {settings.block_m:g} metres; lower --block-m "
            "(and --margin-m), raise --val-share, --test-share or --queries-share, or use --split time"
        )
    return f"the {num_images:,} photos are of few days; raise --val-share or --test-share, or use --split area"


def _by_area(images: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    keyed = images.with_columns(hemisphere(), *_block(settings, 0, 0))
    blocks = _parts_of_blocks(keyed, settings)
    keyed = keyed.join(blocks, on=BLOCK, how="left", nulls_equal=True, maintain_order="left")
    held_out = blocks.filter(pl.col("split") != "train").select(BLOCK).with_columns(near=pl.lit(True))
    near = pl.lit(False)
    for east in (-1, 0, 1):  # blocks are no smaller than the margin, so the corners and sides of a square show it all
        for north in (-1, 0, 1):
            moved = images.with_columns(hemisphere(), *_block(settings, east, north)).select(BLOCK)
            found = moved.join(held_out, on=BLOCK, how="left", nulls_equal=True, maintain_order="left")["near"]
            near = near | pl.lit(found.is_not_null())
    reject = reject_when(
        (pl.col("split") == "train") & near,
        Reason.OTHER_PART,
        pl.lit(f"less than {settings.margin_m:g} m from a block of val or test"),
    )
    keyed = keyed.with_columns(reject=reject, query=_queries(keyed, settings))
    return _with_parts(
        keyed,
        {
            "train": (pl.col("split") == "train") & pl.col("reject").is_null(),
            **{
                f"{split}/{role}": (pl.col("split") == split) & (pl.col("query") == (role == "queries"))
                for split in ("val", "test")
                for role in ("database", "queries")
            },
        },
    )


def _block(settings: SplitSettings, east: int, north: int) -> list[pl.Expr]:
    """Return the block that a photo would be of, moved by the margin to the east and north."""
    moves = (("utm_east", "block_east", east), ("utm_north", "block_north", north))
    return [
        ((pl.col(metres) + move * settings.margin_m) / settings.block_m).floor().cast(pl.Int64).alias(block)
        for metres, block, move in moves
    ]


def _parts_of_blocks(keyed: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Return the blocks with `split`: taken by turns of their hashes for val and test until these have their share.

    A block that would bring a part further from its share than it is stays for training.
    """
    blocks = keyed.group_by(BLOCK).agg(images=pl.len()).with_row_index()
    order = blocks.select(pl.concat_str(pl.col(BLOCK).cast(pl.String).fill_null("?"), separator=" ")).to_series()
    ranks = {row: _hash(text, settings.split_seed) for row, text in enumerate(order)}
    wanted = {"test": settings.test_share * len(keyed), "val": settings.val_share * len(keyed)}
    filled, parts = dict.fromkeys(wanted, 0), ["train"] * len(blocks)
    for row in sorted(ranks, key=lambda row: (ranks[row], order[row])):
        size = blocks["images"][row]
        for part, share in wanted.items():
            if abs(filled[part] + size - share) < abs(filled[part] - share):
                filled[part] += size
                parts[row] = part
                break
    return blocks.with_columns(split=pl.Series(parts, dtype=pl.String)).select(*BLOCK, "split")


def _queries(keyed: pl.DataFrame, settings: SplitSettings) -> pl.Series:
    """Return which photos are queries: in each part the share asked for, by hash, but neither none nor all.

    The crops of one panorama stay together.
    """
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
    """Return the parts by day: the newest days are the test's queries, those before them the validation's."""
    day = pl.col("timestamp").str.extract(r"^(\d{4,8})")
    dated = images.with_columns(day=day)
    days = dated.drop_nulls("day").group_by("day").agg(images=pl.len()).sort("day", descending=True)
    kinds, wanted = [], {"test": settings.test_share * len(images), "val": settings.val_share * len(images)}
    for size in days["images"]:
        kinds.append(next((kind for kind, share in wanted.items() if share > 0), "train"))
        if kinds[-1] in wanted:
            wanted[kinds[-1]] -= size
    days = days.with_columns(split=pl.Series(kinds, dtype=pl.String)).drop("images")
    dated = dated.join(days, on="day", how="left", maintain_order="left")
    reject = reject_when(pl.col("day").is_null(), Reason.NO_TIME, pl.lit("it is not known whether it is old or new"))
    dated = dated.with_columns(reject=reject)
    older = pl.col("split") == "train"
    parts = {"train": older, "val/database": older, "test/database": older}
    queries = {f"{split}/queries": pl.col("split") == split for split in ("val", "test")}
    return _with_parts(dated, {**parts, **queries})


def _with_parts(images: pl.DataFrame, parts: Mapping[str, pl.Expr]) -> pl.DataFrame:
    columns = {part: parts[part].fill_null(False) for part in PARTS}
    return images.with_columns(**columns).select(*schemas.MANIFEST.names, *PARTS, "reject")


def _publish(part: str, recipe: Recipe, artifacts: Path, assigned: pl.DataFrame, made_from: Mapping[str, Any]) -> None:
    usable = assigned.filter(part).select(schemas.MANIFEST.names)
    # What is of no part is a reject of the training set: it was left out there.
    left_out = assigned.filter((part == "train") & pl.col("reject").is_not_null())
    rejects = left_out.select("path", pl.col("reject").struct.unnest())
    summary = {
        "origin": made_from["summary"]["origin"],
        "source": source_settings_of(made_from),
        "usable": len(usable),
        "rejects": len(rejects),
        "files": len(usable) + len(rejects),
        "repeats": 0,
        "without_heading": usable["heading"].null_count(),
        "first_year": usable["year"].min(),
        "last_year": usable["year"].max(),
        "made": f"{len(usable):,} images of {part}" + (f", {len(rejects):,} left out" if len(rejects) else ""),
    }
    file = name_of("all", recipe.digest)
    with publishing(artifacts.absolute(), recipe, summary) as staging:
        write_table(rejects, staging / "rejects" / file, schemas.REJECTS)
        write_table(usable, staging / "manifest" / file, schemas.MANIFEST)
