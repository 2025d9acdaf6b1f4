"""How fast images are verified, against `cat`; and how many flipped bits the decoders find.

`python benchmarks/verify.py WORK` makes 512x512 JPEGs with noise and edges in WORK, of the size of SF-XL's crops, and
runs each side in a process of its own, in turns; the files are in the system's cache.
"""

import argparse
import io
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import Command, machine, measure, median, note, table
from PIL import Image

from data_manifest.images.image_store import FolderStore
from pipeline.manifest.build_manifest import build_manifest
from pipeline.verification.check_image import check_image

ROOT = Path(__file__).resolve().parent.parent
TURNS = 3
FLIPS = 2_000
QUALITY = 60  # gives 70 kB: SF-XL's crops have 25 to 50
CODE = """
import sys
from pathlib import Path
from pipeline.verification.verify_images import verify_images
if __name__ == "__main__":
    verify_images(*map(Path, sys.argv[1:4]), check=sys.argv[4])
"""


def picture(number: int) -> Image.Image:
    """Return houses of a kind: rectangles of many sizes, smoothed noise on them."""
    choose = np.random.default_rng(number)
    pixels = np.zeros((512, 512, 3)) + choose.integers(60, 200, 3)
    for _ in range(120):
        top, left = choose.integers(0, 480, 2)
        height, width = choose.integers(8, 160, 2)
        pixels[top : top + height, left : left + width] = choose.integers(0, 255, 3)
    noise = choose.normal(0, 14, (256, 256, 1)).repeat(2, 0).repeat(2, 1)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def make_images(train: Path, count: int) -> None:
    """Write images under SF-XL's names, unless they are there; fifty pictures take turns."""
    if len(list(train.glob("*/*.jpg"))) == count:
        return
    shutil.rmtree(train, ignore_errors=True)
    contents = []
    for number in range(50):
        content = io.BytesIO()
        picture(number).save(content, "JPEG", quality=QUALITY)
        contents.append(content.getvalue())
    for number in range(count):
        file = train / f"37.{number // 1000}" / f"@0545981.19@4184971.70@10@S@@@pano{number}@@174@@@@201409@@.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number % len(contents)])
    time.sleep(2.5)  # younger files are waited for


def measure_all(work: Path, count: int) -> str:
    """Return the table of rates."""
    train, size = work / "images", 0
    make_images(train, count)
    size = sum(path.stat().st_size for path in train.glob("*/*.jpg"))
    manifest = build_manifest(train, work / "artifacts")
    commands = {"cat": Command(["sh", "-c", f"find '{train}' -name '*.jpg' -print0 | xargs -0 cat > /dev/null"])}
    for check in ("header", "decode"):
        words = [sys.executable, "-c", CODE, str(manifest), str(train), str(work / "checked"), check]
        commands[check] = Command(words, {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, work)
    runs = {name: [] for name in commands}
    for _ in range(TURNS):
        for name, command in commands.items():
            shutil.rmtree(work / "checked", ignore_errors=True)
            runs[name].append(measure(command))
            note(f"{name}: {runs[name][-1]}")
    cat, rows = median(runs["cat"]).seconds, []
    for name in runs:
        took = median(runs[name])
        rows.append(
            (
                name,
                f"{count / took.seconds:,.0f}",
                f"{size / took.seconds / 1e6:,.0f}",
                f"{took.seconds / cat:.2f}",
                str(took),
            )
        )
    return table(("", "images/s", "MB/s", "times the time of cat", "time"), rows)


def found_flips() -> str:
    """Return the table of how many of many flipped bits are found."""
    choose = random.Random(0)
    found = {"Pillow": 0, "VerifyImages --check decode, JPEG": 0, "the same, PNG": 0}
    with tempfile.TemporaryDirectory() as folder:
        contents: dict[str, list[bytes]] = {"JPEG": [], "PNG": []}
        for number in range(20):
            for kind, kept in contents.items():
                content = io.BytesIO()
                picture(number).resize((256, 256)).save(content, kind, **({"quality": 85} if kind == "JPEG" else {}))
                kept.append(content.getvalue())
        file, store = Path(folder) / "x.jpg", FolderStore(Path(folder))
        for number in range(FLIPS):
            for kind, kept in contents.items():
                flipped = bytearray(kept[number % len(kept)])
                bit = choose.randrange(8 * len(flipped))
                flipped[bit // 8] ^= 1 << bit % 8
                file.write_bytes(flipped)
                seen = any(check_image(file.name, opened).status != "ok" for opened in store.open([file.name]))
                found["the same, PNG" if kind == "PNG" else "VerifyImages --check decode, JPEG"] += seen
                if kind == "JPEG":
                    found["Pillow"] += fails(lambda: Image.open(file).load())
    rows = [(name, f"{count:,} of {FLIPS:,}", f"{count / FLIPS:.1%}") for name, count in found.items()]
    return table(("decoder", "flipped bits found", "share"), rows)


def fails(work: Callable[[], object]) -> bool:
    """Return whether something raises."""
    try:
        work()
    except Exception:
        return True
    return False


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--images", type=int, default=6_000)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print(machine(), "", measure_all(options.work.resolve(), options.images), "", found_flips(), sep="\n")


if __name__ == "__main__":
    main()
