"""Choose the source by its settings, or by the images."""

from pathlib import Path

from data_manifest.images.data_set_names import has_sf_xl_names
from data_manifest.images.images_folder import ImagesFolder
from pipeline.sources.settings import EXIF, NAMES, PART, TABLE, SourceSettings
from pipeline.sources.source import NAMES_SOURCE, Source
from pipeline.sources.table_source import TableSource


def source_of(images_folder: ImagesFolder) -> str:
    """Return the source to use for a folder if none is given: names in the form of SF-XL, else EXIF."""
    return NAMES if has_sf_xl_names(images_folder) else EXIF


def make_source(settings: SourceSettings, part: str = "") -> Source:
    """Return the source for images of a part of the data set, such as `val/database`."""
    if settings.source == EXIF:
        from pipeline.sources.photo_source import PhotoSource  # imports Pillow

        return PhotoSource(settings)
    if settings.source == TABLE:
        return TableSource(Path(str(settings.table).replace(PART, part.replace("/", "-"))), settings)
    return NAMES_SOURCE
