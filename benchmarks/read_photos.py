"""Photos to a manifest by their EXIF, against a plain loop over Pillow: `python benchmarks/read_photos.py WORK`.

The photos are copies of one JPEG of 640 pixels with GPS, heading and time. The plain loop opens each, and keeps
latitude and longitude in a list: no checks, no UTM, no table.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from measure import machine, table
from PIL import ExifTags, Image

from pipeline.manifest import build_manifest
from pipeline.sources.choose import make_source
from pipeline.sources.settings import SourceSettings

PER_FOLDER = 1_000
GPS = {1: "N", 2: (48.0, 51.0, 2.16), 3: "E", 4: (2.0, 20.0, 5.28), 16: "T", 17: 90.0}


def write_photos(folder: Path, count: int) -> None:
    """Write copies of one photo, unless they are there."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(GPS)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2014:06:16 10:20:30"
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    first = folder / "first.jpg"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(first, exif=exif)
    for number in range(count):
        path = folder / f"{number // PER_FOLDER}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            shutil.copyfile(first, path)
    first.unlink()


def plain_loop(folder: Path) -> list[float]:
    """Return the latitudes and longitudes of all photos."""
    found = []
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        found += [sum(float(part) / 60**power for power, part in enumerate(gps[tag])) for tag in (2, 4)]
    return found


def main() -> None:
    """Print how long each takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--photos", type=int, default=20_000)
    options = parser.parse_args()
    photos, artifacts = options.work / f"photos-{options.photos}", options.work / "artifacts"
    write_photos(photos, options.photos)
    shutil.rmtree(artifacts, ignore_errors=True)
    source = make_source(SourceSettings(source="exif"))

    def timed(work: object) -> float:
        started = time.perf_counter()
        work()  # type: ignore[operator]
        return time.perf_counter() - started

    plain = timed(lambda: plain_loop(photos))
    whole = timed(lambda: build_manifest(photos, artifacts, source=source))
    again = timed(lambda: build_manifest(photos, artifacts, source=source))
    changed = photos / "0" / "0.jpg"
    changed.touch()
    one = timed(lambda: build_manifest(photos, artifacts, source=source))
    print(machine())
    titles = ("photos", "plain loop", "manifest", "times as fast", "photos/s", "nothing changed", "one photo changed")
    cells = (f"{options.photos:,}", f"{plain:.1f} s", f"{whole:.1f} s", f"{plain / whole:.2f}")
    print(table(titles, [(*cells, f"{options.photos / whole:,.0f}", f"{again:.2f} s", f"{one:.1f} s")]))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
