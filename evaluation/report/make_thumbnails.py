"""Make WebP thumbnails as data URIs, as large and as sharp as the size limit of the page allows."""

import base64
import functools
import io
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from data_manifest.errors import StoreError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.object_store import REQUESTS
from data_manifest.progress import Progress
from evaluation.descriptors.open_image import open_image

MAX_CHARACTERS = 15_000_000  # of all pictures: a page of 1,000 queries stays below 20 MB
# Longest side in pixels and WebP quality, best first; the last is used even if it exceeds the limit.
FORMATS = ((320, 72), (224, 70), (192, 60), (160, 50), (144, 42), (128, 35), (112, 30), (96, 25), (80, 20), (64, 10))
SAMPLED = 60  # pictures that a format is tried on
MARGIN = 1.05  # the other pictures may be larger than the sample
THREADS = 4
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Thumbnail:
    """A picture for the page; `uri` is empty if its file cannot be opened."""

    uri: str
    width: int
    height: int


UNREADABLE = Thumbnail("", 4, 3)


def make_thumbnails(
    uses: Mapping[ImagesFolder, int], progress: Progress | None = None, max_characters: int = MAX_CHARACTERS
) -> dict[ImagesFolder, Thumbnail]:
    """Return a thumbnail of each file, all in the best format that fits.

    Args:
        uses: How often the page shows each file; it takes up space each time.
        progress: Advanced by one per picture.
        max_characters: Limit on the characters of all pictures together.
    """
    files = sorted(uses, key=str)
    sample = files[:: max(1, len(files) // SAMPLED)]
    share = sum(uses[file] for file in sample) / max(1, sum(uses.values()))
    at_urls = any(isinstance(file, ImagesUrl) for file in files)
    with ThreadPoolExecutor(REQUESTS if at_urls else THREADS) as threads:
        for side, quality in FORMATS:
            make = functools.partial(_make_thumbnail, side=side, quality=quality)
            tried = zip(sample, threads.map(make, sample), strict=True)
            if MARGIN * sum(len(thumbnail.uri) * uses[file] for file, thumbnail in tried) <= max_characters * share:
                break
        thumbnails = {}
        for file, thumbnail in zip(files, threads.map(make, files), strict=True):
            thumbnails[file] = thumbnail
            if progress is not None:
                progress.advance()
    if unreadable := [file for file, thumbnail in thumbnails.items() if not thumbnail.uri]:
        logger.warning("%d of %d pictures cannot be opened: %s ...", len(unreadable), len(files), unreadable[0])
    return thumbnails


def _make_thumbnail(file: ImagesFolder, side: int, quality: int) -> Thumbnail:
    try:
        image = open_image(file, min_side=2 * side)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=4)
    except StoreError:
        raise
    except Exception:  # Pillow's decoders raise many kinds; one picture must not stop the report
        return UNREADABLE
    return Thumbnail(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", *image.size)
