"""Settings of the source, for the command line and luigi.cfg."""

import dataclasses
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from pipeline.sources.table_columns import normalize_columns

NAMES, TABLE, EXIF = "names", "table", "exif"
GIVEN, FROM_TRACK = "given", "from-track"
PART = "{part}"  # in the path of a table


@dataclasses.dataclass(frozen=True)
class SourceSettings(Settings):
    """Source of the position, heading and time of images."""

    title = "Data"

    source: str = setting(
        NAMES,
        "where positions and headings are read from: names (SF-XL's form), table, or exif (EXIF, XMP and Mapillary's "
        "description in the files)",
        choices=(NAMES, TABLE, EXIF),
    )
    table: Path | None = setting(
        None,
        "CSV, JSON or Parquet file with one row per image, for source = table; or a folder of Parquet files. {part} in "
        "the path becomes train, val-database, val-queries, test-database or test-queries",
    )
    columns: str | None = setting(
        None,
        "columns of the table whose names are not recognized, as in path=file,latitude=y,longitude=x",
        form=normalize_columns,
    )
    heading: str = setting(
        GIVEN,
        "headings to use: given, or from-track, which estimates missing ones from the track of the image's sequence, "
        "for a camera that faces the direction of travel (car, bicycle, helmet)",
        choices=(GIVEN, FROM_TRACK),
    )
    camera_turn: float = setting(
        0.0, "degrees from the direction of travel to the camera, clockwise, for heading = from-track"
    )

    def check(self) -> None:
        """Raise UserError for a setting that is missing or has no effect."""
        if self.source == TABLE and self.table is None:
            raise UserError("source = table: no table given. Pass --table.")
        for name in ("table", "columns"):
            if self.source != TABLE and getattr(self, name) is not None:
                raise UserError(f"{name} = {getattr(self, name)}: source = {self.source}. Pass --source table.")
        if self.source == NAMES and self.heading != GIVEN:
            raise UserError(f"heading = {self.heading}: source = names. Pass --source table or --source exif.")
        if self.heading == GIVEN and self.camera_turn:
            raise UserError(f"camera_turn = {self.camera_turn:g}: heading = given. Pass --heading {FROM_TRACK}.")
