"""Which source a manifest has, as the command line and luigi.cfg say it."""

import dataclasses
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from pipeline.sources.table_columns import columns_in_one_form

NAMES, TABLE, EXIF = "names", "table", "exif"
GIVEN, FROM_TRACK = "given", "from-track"
PART = "{part}"  # in the path of a table


@dataclasses.dataclass(frozen=True)
class SourceSettings(Settings):
    """Where it is written when and where images were taken, and which way they look."""

    source: str = setting(
        NAMES,
        "what says where images were taken: their names, in SF-XL's form; a table; or EXIF, XMP and Mapillary's "
        "description in the files",
        choices=(NAMES, TABLE, EXIF),
    )
    table: Path | None = setting(
        None,
        "CSV, JSON or Parquet file, or folder of Parquet files, with one row per image, for source = table; {part} in "
        "it stands for train, val-database, val-queries, test-database or test-queries",
    )
    columns: str | None = setting(
        None,
        "what the columns of the table are called, where that is not told from their names, as in "
        "path=file,latitude=y,longitude=x",
        form=columns_in_one_form,
    )
    heading: str = setting(
        GIVEN,
        "headings as given alone, or those that are missing estimated from the track of the sequence that an image "
        "is of: for a camera that looks along the way, on a car, a bicycle or a helmet",
        choices=(GIVEN, FROM_TRACK),
    )
    camera_turn: float = setting(
        0.0, "degrees that the camera is turned to the right of the way, for heading = from-track"
    )

    def check(self) -> None:
        """Refuse what would have no effect."""
        if self.source == TABLE and self.table is None:
            raise UserError("source = table: which one? Give --table")
        for name in ("table", "columns"):
            if self.source != TABLE and getattr(self, name) is not None:
                raise UserError(f"{name} = {getattr(self, name)}: no table is read with source = {self.source}")
        if self.source == NAMES and self.heading != GIVEN:
            raise UserError(f"heading = {self.heading}: it takes --source table or --source exif")
        if self.heading == GIVEN and self.camera_turn:
            raise UserError(f"camera_turn = {self.camera_turn:g}: it takes --heading {FROM_TRACK}")
