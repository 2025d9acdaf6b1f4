"""The images of `slow_stores.py`: JPEGs of about 70 kB with positions in their names, in two layouts, and their groups.

Each place has images of several visits with two headings: two classes, one in each of the two groups.
"""

import io
import itertools
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import Command, measure, note
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURES, SIDE, NOISE, QUALITY = 32, 400, 50, 86
FOLDERS = 30  # of the second layout
HEADINGS = (15, 45)
SHARD_MEGABYTES = 50
GROUPING = ("--N", "1", "--L", "2", "--min-images-per-class", "2")


@dataclass(frozen=True)
class Images:
    """Images in a folder, with their groups, and the members of the first group."""

    name: str
    title: str
    groups: Path
    packs: str  # name of the folder with their packs
    paths: list[str]
    class_indices: list[int]


def write_images(work: Path, name: str, places: int, *, by_class: bool) -> Images:
    """Write images and their groups, unless they are there.

    The images are in WORK/local/NAME and, as hard links, in WORK/disk/NAME: in one folder per place, or shuffled over a
    few folders. They are written folder by folder.
    """
    folder, artifacts = work / "local" / name, work / "artifacts" / name
    if not (work / "disk" / name).exists():
        note(f"writing {folder}")
        pictures = itertools.cycle(_pictures())
        for path in _paths(places, by_class):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(next(pictures))
        link_to_disk(work, name)
        _run("groups", folder, artifacts, *GROUPING)
    from data_manifest.tables import scan_members  # late: it is elsewhere in older checkouts, see `loader_pairs.py`

    (groups,) = artifacts.glob("groups/*/current")
    members = scan_members(groups, 0).collect()
    columns = members["path"].to_list(), members["class_index"].to_list()
    title = "a folder per place" if by_class else f"shuffled over {FOLDERS} folders"
    return Images(name, title, groups.resolve(), f"packs-{name}", *columns)


def write_packs(work: Path, images: Images) -> None:
    """Pack the images, unless they are packed, and copy the packs to both disks."""
    if not (work / "disk" / images.packs).exists():
        artifacts = work / "artifacts" / images.name
        sizes = "--groups-num", f"{len(HEADINGS)}", "--shard-megabytes", f"{SHARD_MEGABYTES}"
        _run("pack", work / "local" / images.name, artifacts, *GROUPING, *sizes)
        (packs,) = artifacts.glob("packs/*/current")
        shutil.copytree(packs, work / "local" / images.packs)
        link_to_disk(work, images.packs)


def _run(command: str, images: Path, artifacts: Path, *options: str) -> None:
    folders = "--train-folder", str(images), "--artifacts-folder", str(artifacts)
    measure(Command([sys.executable, "-m", "cosplace", command, *folders, *options], folder=ROOT))


def link_to_disk(work: Path, name: str) -> None:
    """Put a folder of WORK/local on a slow disk as well, by hard links."""
    for file in sorted((work / "local" / name).rglob("*")):
        if file.is_file():
            target = work / "disk" / file.relative_to(work / "local")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(file)


def _pictures() -> list[bytes]:
    """Return JPEGs of soft colours under noise."""
    pictures = []
    for seed in range(PICTURES):
        generator = np.random.default_rng(seed)
        areas = Image.fromarray(generator.integers(0, 200, (16, 16, 3), dtype=np.uint8))
        soft = np.asarray(areas.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
        noisy = soft + generator.integers(0, NOISE, (SIDE, SIDE, 1))
        content = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=QUALITY)
        pictures.append(content.getvalue())
    return pictures


def _paths(places: int, by_class: bool) -> list[str]:
    """Return the images' paths in the order in which they are written."""
    generator = np.random.default_rng(0)
    found = list(_paths_by_class(places, generator))
    if by_class:
        return found
    folders = generator.integers(0, FOLDERS, len(found))
    return sorted(f"{folder:02}/{Path(path).name}" for path, folder in zip(found, folders, strict=True))


def _paths_by_class(places: int, generator: np.random.Generator) -> Iterator[str]:
    for place in range(places):
        for heading in HEADINGS:
            for visit in range(generator.integers(6, 19)):
                east, north = 500_005 + 10 * (place % 50), 4_000_005 + 10 * (place // 50)
                pano = f"{visit:02}{generator.integers(10**9):09}"
                yield f"place-{place:04}/@{east}.00@{north}.00@10@S@@@{pano}@@{heading}@@@@201806@@.jpg"
