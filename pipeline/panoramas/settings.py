"""Settings of the crops of panoramas."""

import dataclasses
import math
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import Settings, setting

NONE, PERSPECTIVE = "none", "perspective"
LEFT, CENTRE = "left", "centre"
MAX_CROPS = 360


@dataclasses.dataclass(frozen=True)
class CropFolders(Settings):
    """Folders of the panoramas and of their crops."""

    title = "Panoramas"

    panoramas_folder: ImagesFolder | None = setting(
        None, "folder or URL of panoramas, at any depth, as in sf-xl/raw/train/panoramas"
    )
    output_folder: Path | None = setting(
        None, "folder for the crops, with the same subfolders, as in sf-xl/raw/train/database"
    )

    def both(self) -> tuple[ImagesFolder, Path]:
        """Return the two folders.

        Raises:
            UserError: One is missing, or both are the same.
        """
        if self.panoramas_folder is None or self.output_folder is None:
            raise UserError("No panoramas or no output folder given. Pass --panoramas-folder and --output-folder.")
        if self.panoramas_folder.resolve() == self.output_folder.resolve():
            raise UserError(f"output_folder = {self.output_folder}: it is the panoramas folder. Choose another folder.")
        return self.panoramas_folder, self.output_folder


@dataclasses.dataclass(frozen=True)
class CropSettings(Settings):
    """Settings of the crops."""

    title = "Panoramas"

    crops_num: int = setting(12, "crops per panorama, at equal angles")
    crop_size: int = setting(512, "width and height of a crop, in pixels")
    crop_quality: int = setting(95, "JPEG quality of the crops, 1 to 100")
    projection: str = setting(
        NONE,
        "projection of the crops: none, cut out of the panorama as in SF-XL, or perspective, what a camera would see",
        choices=(NONE, PERSPECTIVE),
    )
    fov: float = setting(55.0, "horizontal field of view of a perspective crop, in degrees")
    heading_of: str = setting(
        LEFT,
        "the column of a crop whose heading goes into its name: left, as in SF-XL, or centre",
        choices=(LEFT, CENTRE),
    )

    def check(self) -> None:
        """Raise UserError for a value that cannot work."""
        for name, high in (("crops_num", MAX_CROPS), ("crop_size", math.inf), ("crop_quality", 100)):
            if not 1 <= (value := getattr(self, name)) <= high:
                limits = "of at least 1" if high == math.inf else f"from 1 to {high}"
                raise UserError(f"{name} = {value}: choose a number {limits}.")
        if not 1 <= self.fov < 180:
            raise UserError(f"fov = {self.fov:g}: choose at least 1 and less than 180 degrees.")
