"""Pictures small enough for a page: WebP in data URIs, as large and as good as the room for all of them allows."""

import base64
import functools
import io
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from data_manifest.progress import Progress
from evaluation.descriptors.open_image import open_image

ROOM = 15_000_000  # characters of all pictures of a page: one of 1000 queries stays under 20 MB
# Longest side in pixels and quality, the best first; the last is taken whatever comes of it.
STEPS = ((224, 70), (192, 60), (160, 50), (144, 42), (128, 35), (112, 30), (96, 25), (80, 20), (64, 10))
TRIED = 60  # pictures that a step is tried on
MARGIN = 1.05  # what they stand for may come to more
THREADS = 4
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Thumbnail:
    """A picture for a page; `uri` is empty where its file could not be opened."""

    uri: str
    width: int
    height: int


NONE = Thumbnail("", 4, 3)


def make_thumbnails(
    uses: Mapping[Path, int],
    progress: Progress | None = None,
    room: int = ROOM,
    steps: Sequence[tuple[int, int]] = STEPS,
) -> dict[Path, Thumbnail]:
    """Return a thumbnail of each file, all as large as the room allows.

    Args:
        uses: How often the page shows each file: a picture takes room each time.
        progress: Advanced by each picture.
        room: Characters that all of them may take together.
        steps: Sizes and qualities to choose from, the best first.
    """
    files = sorted(uses)
    tried = files[:: max(1, len(files) // TRIED)]
    share = sum(map(uses.__getitem__, tried)) / max(1, sum(uses.values()))
    made: dict[Path, Thumbnail] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        for side, quality in steps:
            make = functools.partial(_make, side=side, quality=quality)
            is_last = (side, quality) == steps[-1]
            sample = dict(zip(tried, threads.map(make, tried), strict=True))
            if not is_last and MARGIN * _size(sample, uses) > room * share:
                continue
            made = {}
            for file, thumbnail in zip(files, threads.map(make, files), strict=True):
                made[file] = thumbnail
                if progress is not None:
                    progress.advance()
            if is_last or _size(made, uses) <= room:
                break
    _warn_of_missing(made)
    return made


def _size(thumbnails: Mapping[Path, Thumbnail], uses: Mapping[Path, int]) -> int:
    return sum(len(thumbnail.uri) * uses[file] for file, thumbnail in thumbnails.items())


def _make(file: Path, side: int, quality: int) -> Thumbnail:
    try:
        image = open_image(file, enough=2 * side)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=4)
    except Exception:  # Pillow's decoders raise many kinds; a report is not the place to fail for one picture
        return NONE
    return Thumbnail(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", *image.size)


def _warn_of_missing(made: Mapping[Path, Thumbnail]) -> None:
    missing = [file for file, thumbnail in made.items() if not thumbnail.uri]
    if missing:
        text = "%d of %d pictures cannot be opened, and are left empty in the report: %s"
        logger.warning(text, len(missing), len(made), missing[0])
