"""How panoramas are cut into crops."""

import dataclasses
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting

NONE, PERSPECTIVE = "none", "perspective"
LEFT, CENTRE = "left", "centre"
DEGREES_OF_TURN = 360


@dataclasses.dataclass(frozen=True)
class CropFolders(Settings):
    """Where panoramas are, and where their crops go."""

    panoramas_folder: Path | None = setting(None, "holds the panoramas, at any depth, as in sf-xl/raw/train/panoramas")
    output_folder: Path | None = setting(
        None, "where the crops go, in the same folders, as in sf-xl/raw/train/database"
    )

    def both(self) -> tuple[Path, Path]:
        """Return the two folders.

        Raises:
            UserError: One is not given, or both are one.
        """
        if self.panoramas_folder is None or self.output_folder is None:
            raise UserError("which panoramas, and where do the crops go? Give --panoramas-folder and --output-folder")
        if self.panoramas_folder.resolve() == self.output_folder.resolve():
            raise UserError(f"output_folder = {self.output_folder}: it must not be the folder of the panoramas")
        return self.panoramas_folder, self.output_folder


@dataclasses.dataclass(frozen=True)
class CropSettings(Settings):
    """What the crops of a panorama look like."""

    crops_num: int = setting(12, "crops of each panorama, at equal angles all round")
    crop_size: int = setting(512, "width and height of a crop, in pixels")
    crop_quality: int = setting(95, "JPEG quality of the crops, 1 to 100")
    projection: str = setting(
        NONE,
        "none cuts the crops out of the panorama as it is, as SF-XL's are; perspective shows what a camera would",
        choices=(NONE, PERSPECTIVE),
    )
    fov: float = setting(55.0, "horizontal field of view of a perspective crop, in degrees")
    heading_of: str = setting(
        LEFT,
        "what the heading in a crop's name is that of: its left column, as SF-XL's, or its centre",
        choices=(LEFT, CENTRE),
    )

    def check(self) -> None:
        """Refuse what cannot be cut."""
        for name in ("crops_num", "crop_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: it must be at least 1")
        if self.crops_num > DEGREES_OF_TURN:
            raise UserError(f"crops_num = {self.crops_num}: at most {DEGREES_OF_TURN}, a degree apart")
        if not 1 <= self.crop_quality <= 100:
            raise UserError(f"crop_quality = {self.crop_quality}: a JPEG's quality is 1 to 100")
        if not 1 <= self.fov < 180:
            raise UserError(f"fov = {self.fov:g}: a camera sees at least 1 and less than 180 degrees")
