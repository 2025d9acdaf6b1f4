"""How fast panoramas are cut, against plain Pillow: open, crop and save twelve times, one panorama after the other.

`python benchmarks/crops.py WORK` makes strips of 3328x512 in WORK; each side runs in a process of its own, in turns.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from measure import Command, machine, measure, median, note, table
from PIL import Image

from data_manifest.images.data_set_names import plain_name

ROOT = Path(__file__).resolve().parent.parent
PLAIN = """
import sys
from pathlib import Path
from PIL import Image
out = Path(sys.argv[2])
out.mkdir()
for path in sorted(Path(sys.argv[1]).glob("*.jpg")):
    strip = Image.open(path).convert("RGB")
    wide = Image.new("RGB", (3840, 512))
    wide.paste(strip, (0, 0))
    wide.paste(strip, (3328, 0))
    for number in range(12):
        left = round(number * 3328 / 12)
        wide.crop((left, 0, left + 512, 512)).save(out / f"{path.stem}-{number}.jpg", quality=95)
"""
OURS = """
import sys
from pathlib import Path
from pipeline.panoramas.settings import CropSettings
from pipeline.panoramas.crop_panoramas import crop_panoramas
if __name__ == "__main__":
    crop_panoramas(*map(Path, sys.argv[1:4]), CropSettings(projection=sys.argv[4]))
"""


def make_panoramas(folder: Path, count: int) -> None:
    """Write strips of rectangles and noise under SF-XL's names, unless they are there."""
    if len(list(folder.glob("*.jpg"))) == count:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(count):
        choose = np.random.default_rng(number)
        pixels = np.zeros((512, 3328, 3)) + 120
        for _ in range(500):
            top, left = choose.integers(0, 480), choose.integers(0, 3300)
            pixels[top : top + choose.integers(8, 160), left : left + choose.integers(8, 160)] = choose.integers(
                0, 255, 3
            )
        noise = choose.normal(0, 14, (256, 1664, 1)).repeat(2, 0).repeat(2, 1)
        name = f"@0545981.19@4184971.70@10@S@@@pano{number}@@{number % 360}@@@@201409@@.jpg"
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(folder / name, quality=90)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--panoramas", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    work = options.work.resolve()
    make_panoramas(work / "panoramas", options.panoramas)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    folders = (str(work / "panoramas"), str(work / "crops"), str(work / "artifacts"))
    commands = {"plain Pillow": Command([sys.executable, "-c", PLAIN, *folders], environment, work)}
    for projection in ("none", "perspective"):
        words = [sys.executable, "-c", OURS, *folders, projection]
        commands[f"CropPanoramas --projection {projection}"] = Command(words, environment, work)
    runs = {name: [] for name in commands}
    for _ in range(options.turns):
        for name, command in commands.items():
            for made in ("crops", f"artifacts/crops/{plain_name(work / 'panoramas')}"):
                shutil.rmtree(work / made, ignore_errors=True)
            time.sleep(0.5)
            runs[name].append(measure(command))
            note(f"{name}: {runs[name][-1]}")
    plain, rows = median(runs["plain Pillow"]), []
    for name in runs:
        took = median(runs[name])
        share = f"{(took.user_seconds + took.system_seconds) / (plain.user_seconds + plain.system_seconds):.2f}"
        rate = f"{options.panoramas / took.seconds:.1f}"
        rows.append((name, rate, f"{plain.seconds / took.seconds:.2f}", share, str(took)))
    print(
        machine(),
        "",
        table(("", "panoramas/s", "times as fast as plain Pillow", "times its processor time", "time"), rows),
        sep="\n",
    )


if __name__ == "__main__":
    main()
