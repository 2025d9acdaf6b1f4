"""Find packs on this machine or at a URL, check them, and open their store."""

import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.errors import UserError, first_line
from data_manifest.images.data_set_names import data_set_identity
from data_manifest.images.file_states import stat_images
from data_manifest.images.image_store import read_file
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, as_images_folder, is_missing
from data_manifest.images.packs.lookup_table import locations_of, write_lookup
from data_manifest.images.packs.pack_files import FILES, INDEX, SHARDS, STAGE, digest_of_members, shard_bytes
from data_manifest.images.packs.pack_store import PackStore, Words
from data_manifest.progress import Progress
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.store.recipe import RECIPE_FILE
from data_manifest.tables import group_file, read_member_paths

PACK_AGAIN = "Pack the groups again (cosplace pack)"
IMAGES_FOLDER = "images_folder"  # key of the summary: where the images were read
OUTPUT_URL = "output_url"  # key of the settings: the bucket folder that the packs were written to
FORM = "form"  # key of the settings: how images were made smaller; None for copies of the files


@dataclass(frozen=True, eq=False)
class Packs:
    """Published packs.

    Args:
        folder: Folder of the artifact, on this machine or at a URL.
        recipe: Its recipe.
    """

    folder: ImagesFolder
    recipe: Mapping[str, Any]

    @property
    def form(self) -> dict[str, Any] | None:
        """How images were made smaller; None for copies of the files."""
        form: dict[str, Any] | None = self.recipe["settings"][FORM]
        return form

    @property
    def groups(self) -> dict[int, dict[str, Any]]:
        """Digests and counts of each packed group."""
        return {int(group): counts for group, counts in self.recipe["summary"]["groups"].items()}

    def read_table(self, table: str, group: int) -> pl.DataFrame:
        """Return the rows of a group in a table.

        Raises:
            UserError: They cannot be read.
        """
        file = self.folder / table / group_file(group)
        try:
            return pl.read_parquet(io.BytesIO(read_file(file)))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UserError(
                f"{file}: cannot be read ({first_line(error)}). Copy the packs again, or pack again."
            ) from error

    def read_states(self, group: int) -> pl.DataFrame:
        """Return the states of a group's images as `stat_images` does, with the sizes that they have in the packs.

        Images that are not in the packs have null states.

        Raises:
            UserError: A table cannot be read.
        """
        files, index = self.read_table(FILES, group), self.read_table(INDEX, group)
        images = files.join(index, on="path", how="left", maintain_order="left")
        is_packed = pl.col("size").is_not_null()
        return images.select("path", bytes="size", modified_ns=pl.when(is_packed).then("modified_ns"))

    def identity_of(self, images_folder: ImagesFolder, artifacts: Path) -> str:
        """Return the identity of the data set that was packed, which is that of a folder of images.

        Raises:
            UserError: Both folders exist, and are of different data sets.
        """
        identity: str = self.recipe["inputs"]["folder"]
        packed = as_images_folder(self.recipe["summary"][IMAGES_FOLDER])
        if is_missing(images_folder) or is_missing(packed):  # as on a machine that has only the packs
            return identity
        if data_set_identity(images_folder, artifacts) != identity:
            raise UserError(
                f"{self.folder}: packs of the images in {packed}, not of those in {images_folder}. {PACK_AGAIN}."
            )
        return identity


@functools.cache  # `current` leads to the same artifact during a command
def find_packs(packs: ImagesFolder) -> Packs:
    """Return the packs at a path or URL.

    Raises:
        UserError: There are none, or their recipe cannot be read.
    """
    if isinstance(packs, Path):
        folder = find_artifact(packs)
        recipe = read_recipe_of(folder, "--packs", (STAGE,))
        return Packs(folder if (folder / SHARDS).is_dir() else url_of(recipe) or folder, recipe)
    try:
        content = read_file(packs / RECIPE_FILE)
    except FileNotFoundError:
        raise UserError(f"{packs}: no packs there, it has no {RECIPE_FILE}. Copy the folder of packs there.") from None
    try:
        recipe = json.loads(content)
    except ValueError as error:
        raise UserError(f"{packs / RECIPE_FILE} is damaged ({first_line(error)}). Copy the packs again.") from error
    if not isinstance(recipe, dict) or recipe.get("stage") != STAGE:
        raise UserError(f"{packs}: not packs. Give the URL of a copied folder artifacts/packs/<data set>/<digest>.")
    return Packs(packs, recipe)


def url_of(recipe: Mapping[str, Any]) -> ImagesUrl | None:
    """Return where the packs of a recipe are, if they were written to a bucket."""
    url = recipe["settings"].get(OUTPUT_URL)
    return None if url is None else ImagesUrl.parse(url) / recipe["digest"]


def open_packs(packs: Packs, groups_folder: Path, groups: Sequence[int], lookup: Path) -> PackStore:
    """Return the store of the images of some groups.

    Args:
        packs: The packs.
        groups_folder: Folder of the groups artifact with their members.
        groups: The groups, at least one.
        lookup: Where the table for finding images is written: 40 bytes per image.

    Raises:
        UserError: A group is not packed, its members have changed since, a shard is missing or cut off, or the lookup
            table cannot be written.
    """
    if missing := [group for group in groups if group not in packs.groups]:
        raise UserError(
            f"{packs.folder}: no packs of group {missing[0]}, only of {as_ranges(packs.groups)}. {PACK_AGAIN}."
        )
    tables = list[Words]()
    lengths = dict[str, int]()
    total = sum(packs.groups[group]["images"] for group in groups)
    with Progress("reading the index of the packs", total, "images") as progress:
        for group in groups:
            if packs.groups[group]["members"] != digest_of_members(read_member_paths(groups_folder, group)):
                raise UserError(f"{packs.folder}: packs of group {group} are of other groups than these. {PACK_AGAIN}.")
            index = packs.read_table(INDEX, group)
            ends = index.group_by("shard").agg((pl.col("offset") + pl.col("size")).max().alias("end")).sort("shard")
            tables.append(locations_of(index, len(lengths)))
            lengths |= {name: shard_bytes(end) for name, end in ends.iter_rows()}
            progress.advance(len(index))
    _check_shards(packs.folder / SHARDS, lengths)
    write_lookup(tables, lookup)
    return PackStore(packs.folder / SHARDS, tuple(lengths), lookup)


def _check_shards(folder: ImagesFolder, lengths: Mapping[str, int]) -> None:
    """Raise UserError if a shard is missing or has another length."""
    if isinstance(folder, ImagesUrl) or folder.is_dir():
        states = stat_images(pl.Series("path", list(lengths), pl.String), folder, settle=False)
        found = dict(states.select("path", "bytes").iter_rows())
    else:
        found = {}
    for name, length in lengths.items():
        size = found.get(name)
        if size != length:
            what = "is missing" if size is None else f"has {size:,} bytes, not {length:,}"
            raise UserError(f"{folder / name}: this shard of the packs {what}. Copy it again, or pack again.")
