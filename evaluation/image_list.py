"""A list of images to look up or to localise: a published manifest, and the folder that its relative paths lie in."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from evaluation.images import ImageFiles
from evaluation.positives import POSITION_COLUMNS

COLUMNS = ["path", *POSITION_COLUMNS, "longitude", "heading", "year", "pano_id"]


@dataclass(frozen=True)
class ImageList:
    """A published manifest, and the folder that its relative paths lie in."""

    manifest_folder: Path
    images_folder: Path

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
