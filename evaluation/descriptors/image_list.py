"""A list of database or query images: a published manifest, and the folder of its images."""

import dataclasses
from pathlib import Path
from typing import Self

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.file_states import ImageStates, stat_manifest, stat_partitions, summarise_states
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.inspect.summary import count_reasons
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from evaluation.descriptors.image_dataset import ImageDataset
from evaluation.descriptors.open_image import ANY_SIZE, SizeRule
from evaluation.recipe import ImageDigests
from evaluation.settings import POSITION_COLUMNS

COLUMNS = ["path", *POSITION_COLUMNS, "longitude", "heading", "year", "pano_id"]


@dataclasses.dataclass(frozen=True)
class ImageList:
    """A published manifest, the folder of its images, and the states of their files once these are read."""

    manifest_folder: Path
    images_folder: ImagesFolder
    states: ImageStates | None = None

    def with_states(self) -> Self:
        """Return the list with the states of its files, read unless it has them."""
        if self.states is not None:
            return self
        return dataclasses.replace(self, states=stat_manifest(self.manifest_folder, self.images_folder))

    def digests(self) -> ImageDigests:
        """Return the digests of the manifest and of the states of the files."""
        states = self.with_states().states
        assert states is not None
        return ImageDigests(read_recipe(self.manifest_folder)["digest"], states.digest)

    def read_states(self) -> pl.DataFrame:
        """Return the table FILES of the images, in the order of the manifest.

        Raises:
            UserError: The files are no longer in the states of this list.
        """
        states = list(stat_partitions(self.manifest_folder, self.images_folder))
        if ImageStates(tuple(map(summarise_states, states))) != self.states:
            raise UserError(f"{self.images_folder}: images changed after this command started. Run it again")
        return pl.concat(states)

    def count_rejects(self) -> dict[str, int]:
        """Return the number of images that the manifest rejects by reason, most frequent first."""
        return count_reasons(self.manifest_folder) if (self.manifest_folder / "rejects").is_dir() else {}

    def read(self) -> pl.DataFrame:
        """Return the images of the manifest, with position, heading and year.

        Raises:
            UserError: The manifest is missing or has no image.
        """
        manifest = read_table(self.manifest_folder, "manifest", COLUMNS)
        if manifest.is_empty():
            raise UserError(
                f"{self.manifest_folder}: the manifest of {self.images_folder} has no usable image. "
                "See its rejects for the reasons"
            )
        return manifest

    def dataset(
        self,
        manifest: pl.DataFrame,
        resized_to: int | None,
        mode: str = "RGB",
        interpolation: str = "bilinear",
        size_rule: SizeRule = ANY_SIZE,
    ) -> ImageDataset:
        """Return the images of the rows of `read`, opened and resized as `ImageDataset` does."""
        paths = manifest["path"].to_arrow()
        return ImageDataset(self.images_folder, paths, resized_to, mode, interpolation, size_rule)
