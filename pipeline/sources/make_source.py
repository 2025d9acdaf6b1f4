"""Choose the source by its settings."""

from pathlib import Path

from pipeline.sources.settings import EXIF, PART, TABLE, SourceSettings
from pipeline.sources.source import NAMES_SOURCE, Source
from pipeline.sources.table_source import TableSource


def make_source(settings: SourceSettings, part: str = "") -> Source:
    """Return the source for images of a part of the data set, such as `val/database`."""
    if settings.source == EXIF:
        from pipeline.sources.photo_source import PhotoSource  # imports Pillow

        return PhotoSource(settings)
    if settings.source == TABLE:
        return TableSource(Path(str(settings.table).replace(PART, part.replace("/", "-"))), settings)
    return NAMES_SOURCE
