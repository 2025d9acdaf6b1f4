"""A list of images to look up or to localise: a published manifest, and the folder that its relative paths are in."""

import dataclasses
from pathlib import Path
from typing import Self

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.file_states import ImageStates, stat_manifest, stat_partitions, summarise_states
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from evaluation.descriptors.images import ImageFiles
from evaluation.metrics.positives import POSITION_COLUMNS
from evaluation.recipe import ImageDigests

COLUMNS = ["path", *POSITION_COLUMNS, "longitude", "heading", "year", "pano_id"]


@dataclasses.dataclass(frozen=True)
class ImageList:
    """A published manifest, the folder of its images, and the states of their files once they are known."""

    manifest_folder: Path
    images_folder: Path
    files: ImageStates | None = None

    def with_files(self) -> Self:
        """Return the list with the states of its files; reads them unless they are known."""
        if self.files is not None:
            return self
        return dataclasses.replace(self, files=stat_manifest(self.manifest_folder, self.images_folder))

    def digests(self) -> ImageDigests:
        """Return the digests of the manifest and of the states of the files."""
        files = self.with_files().files
        assert files is not None
        return ImageDigests(read_recipe(self.manifest_folder)["digest"], files.digest)

    def read_states(self) -> pl.DataFrame:
        """Return the table FILES of the images, in the order of the manifest.

        Raises:
            UserError: The files are no longer in the states that the list was made with.
        """
        states = list(stat_partitions(self.manifest_folder, self.images_folder))
        if ImageStates(tuple(map(summarise_states, states))) != self.files:
            raise UserError(f"{self.images_folder}: images changed after this command started. Run it again")
        return pl.concat(states)

    def read(self) -> pl.DataFrame:
        """Return the paths of the images, and what their names say of place, heading and time.

        Raises:
            UserError: There is no manifest, or it has no image.
        """
        manifest = read_table(self.manifest_folder, "manifest", COLUMNS)
        if manifest.is_empty():
            raise UserError(
                f"the manifest {self.manifest_folder} of {self.images_folder} has no usable image: "
                "its table of rejects says why"
            )
        return manifest

    def images(self, manifest: pl.DataFrame, shorter_side: int | None, mode: str = "RGB") -> ImageFiles:
        """Return the images of the rows that `read` gave; `shorter_side` in pixels, None for each image's own size."""
        return ImageFiles(self.images_folder, manifest["path"].to_arrow(), shorter_side, mode)
