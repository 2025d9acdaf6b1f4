"""Photos to a manifest by their EXIF, against a plain loop over Pillow: `python benchmarks/read_photos.py WORK`.

The photos are copies of one JPEG of 640 pixels with GPS, heading and time. The plain loop opens each, and keeps
latitude and longitude in a list: no checks, no UTM, no table. Each side is a process of its own, in turns.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from measure import Command, Measured, machine, measure, median, note, table
from PIL import ExifTags, Image

ROOT = Path(__file__).resolve().parent.parent
CHANGED = "one photo changed"
STAGES = ("manifest", "nothing changed", CHANGED)
PLAIN = """
import sys
from pathlib import Path
from PIL import ExifTags, Image
found = []
for path in Path(sys.argv[1]).rglob("*.jpg"):
    with Image.open(path) as image:
        gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    found += [sum(float(part) / 60**power for power, part in enumerate(gps[tag])) for tag in (2, 4)]
"""
OURS = """
import sys
from pathlib import Path
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
if __name__ == "__main__":
    build_manifest(*map(Path, sys.argv[1:3]), source=make_source(SourceSettings(source="exif")))
"""
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


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    work = options.work.resolve()
    photos, artifacts = work / f"photos-{options.photos}", work / "artifacts-of-photos"
    write_photos(photos, options.photos)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    plain = Command([sys.executable, "-c", PLAIN, str(photos)], environment, work)
    ours = Command([sys.executable, "-c", OURS, str(photos), str(artifacts)], environment, work)
    runs: dict[str, list[Measured]] = {name: [] for name in ("plain loop", *STAGES)}
    for _ in range(options.turns):
        shutil.rmtree(artifacts, ignore_errors=True)
        runs["plain loop"].append(measure(plain))
        for stage in STAGES:
            if stage == CHANGED:
                (photos / "0" / "0.jpg").touch()
            runs[stage].append(measure(ours))
        note(", ".join(f"{name} {taken[-1]}" for name, taken in runs.items()))
    taken = {name: median(each) for name, each in runs.items()}
    base, rows = taken["plain loop"], []
    for name, each in taken.items():
        processor = (each.user_seconds + each.system_seconds) / (base.user_seconds + base.system_seconds)
        rate = f"{options.photos / each.seconds:,.0f}"
        rows.append((name, rate, f"{base.seconds / each.seconds:.2f}", f"{processor:.2f}", str(each)))
    print(machine(), "", sep="\n")
    print(table((f"{options.photos:,} photos", "a second", "times as fast", "times its processor time", "time"), rows))


if __name__ == "__main__":
    main()
