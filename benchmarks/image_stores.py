"""Cost of reading images through stores: a folder against plain reads, a slow server against one request at a time.

`python benchmarks/image_stores.py WORK` writes JPEGs into WORK, and has both sides read the same few in turn. Images of
a folder are decoded, as in training and in extraction; they are in the system's cache, and processor time is compared,
so that other processes disturb little. The server is in a process of its own, on this machine, and waits 20 ms before
each answer; its images are not decoded, and wall time is compared. EXIF is read from photos with 2 MB of other bytes.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from measure import machine, note, table
from pairs import in_batches, ratio, time_pairs
from PIL import Image
from read_photos import write_photos
from simulated.web_server import DELAY_S, running

from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.object_store import HEAD_BYTES
from data_manifest.images.open_picture import as_shown, open_picture
from evaluation.descriptors.open_image import decode_image as decode_for_extraction
from pipeline.sources.photo_metadata import read_photo
from training.data.image_files import decode_image as decode_for_training

TURNS, BATCH = 6, 32
PAIR = 4  # images that both sides read in turn
SIDE = 512
PHOTOS, PHOTO_BYTES = 64, 2_000_000
Reads = Callable[[list[str]], None]  # reads images by name


def write_images(folder: Path, count: int) -> list[str]:
    """Write JPEGs of noise, unless they are there; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        if not (folder / name).exists():
            noise = np.random.default_rng(number).integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8)
            Image.fromarray(noise).resize((SIDE, SIDE)).save(folder / name)
    return names


def write_large_photos(folder: Path) -> list[str]:
    """Write photos with GPS whose other bytes follow their end marker; return their names."""
    write_photos(folder, 1)
    content = (folder / "0" / "0.jpg").read_bytes()
    names = [f"large-{number}.jpg" for number in range(PHOTOS)]
    for name in names:
        (folder / name).write_bytes(content.ljust(PHOTO_BYTES, b"\0"))
    return names


def exif_by_path(folder: Path, names: Iterable[str]) -> None:
    """Have Pillow open and read files one by one."""
    for name in names:
        read_photo(f"{folder}/{name}".encode())


def exif_through_store(folder: ImagesFolder, whole: bool, names: list[str]) -> None:
    """Read the EXIF of images opened by their store; whole ones, or their first bytes."""
    for opened in store_of(folder).open(names, whole):
        if isinstance(opened, OSError):
            raise opened
        read_photo(opened.file)


def plainly_for_training(folder: Path, names: Iterable[str]) -> None:
    """Read and decode images one by one with `Path.read_bytes`."""
    for name in names:
        decode_for_training((folder / name).read_bytes(), folder / name)


def plainly_for_extraction(folder: Path, names: Iterable[str]) -> None:
    """Have Pillow read and decode images one by one."""
    for name in names:
        with open_picture(folder / name) as image:
            as_shown(image)


def through_store(decode: Callable[..., object], folder: ImagesFolder, names: list[str], batch: int = BATCH) -> None:
    """Read images in batches through the store of their folder, and decode them."""
    for begin in range(0, len(names), batch):
        some = names[begin : begin + batch]
        for name, content in zip(some, store_of(folder).read(some), strict=True):
            decode(content, folder / name)


def keep(content: bytes | OSError, path: ImagesFolder) -> None:
    """Check that an image was read, instead of decoding it.

    Raises:
        OSError: It was not.
    """
    if isinstance(content, OSError):
        raise content


def compare(
    what: str, plain: Reads, ours: Reads, batches: Sequence[list[str]], clock: Callable[[], float]
) -> tuple[str, ...]:
    """Return a row: images per second of both sides, and the ratio of their times in pairs, one per batch."""
    pairs = list(time_pairs((plain, ours), batches, clock))
    note(f"{what}: {len(pairs)} pairs")
    images = statistics.mean(map(len, batches))
    rates = (f"{images / statistics.median(seconds):,.0f}" for seconds in zip(*pairs, strict=True))
    return what, *rates, ratio(pairs)


def measure_all(work: Path, count: int) -> str:
    """Return the table."""
    folder = work / "images"
    names, photos, rows = write_images(folder, count), write_large_photos(folder), list[tuple[str, ...]]()
    for what, plain, decode in (
        ("folder, as in training", plainly_for_training, decode_for_training),
        ("folder, as in extraction", plainly_for_extraction, decode_for_extraction),
    ):
        sides = partial(plain, folder), partial(through_store, decode, folder)
        rows.append(compare(what, *sides, in_batches(names, PAIR, TURNS), time.process_time))
    with running(folder, rate=math.inf) as server:
        url, name = ImagesUrl.parse(server), f"server with {DELAY_S * 1000:.0f} ms"
        one, many = (partial(through_store, keep, url, batch=batch) for batch in (1, BATCH))
        what = f"{name}, one at a time against {BATCH}"
        rows.append(compare(what, one, many, [names[: 4 * BATCH]] * TURNS, time.perf_counter))
        what = f"{name}, EXIF of {PHOTOS} photos, whole against {HEAD_BYTES // 1024} KiB"
        whole, head = (partial(exif_through_store, url, each) for each in (True, False))
        rows.append(compare(what, whole, head, [photos] * TURNS, time.perf_counter))
    sides = partial(exif_by_path, folder), partial(exif_through_store, folder, False)
    rows.append(compare("folder, EXIF", *sides, in_batches(photos, PAIR, TURNS), time.process_time))
    titles = (
        f"{count:,} images of {SIDE} x {SIDE}",
        "plain, images/s",
        "store, images/s",
        "time, store / plain: median (10 to 90 %)",
    )
    return table(titles, rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    print(machine(), "", measure_all(options.work.resolve(), options.images), sep="\n")


if __name__ == "__main__":
    main()
