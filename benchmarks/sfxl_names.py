"""Realistic SF-XL file names, as many as wanted: streets, 12 crops a panorama, repeat visits over the years.

    python benchmarks/sfxl_names.py 5600000 OUT/train_images_paths.txt

A panorama every 5 metres along streets of a grid in San Francisco, each visited in several years, a few metres beside
the visits before; 12 headings each, 30 degrees apart. So a class of 10 metres and 30 degrees has about 20 images. The
names are written in the order of their folders, which are strips of latitude, as in SF-XL.
"""

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import utm

WEST, SOUTH = 543_002.5, 4_173_005.0  # UTM zone 10 S, metres: in the middle of cells, where visits stay together
BLOCK_M, STEP_M, STREET_M = 130.0, 5.0, 10_000.0
VISITS, HEADINGS, FIRST_YEAR = 10, 12, 2007
FOLDERS = [f"{37.70 + 0.0005 * strip:.4f}" for strip in range(300)]  # strips of latitude
MIDDLE_FOLDER, HUGE_FOLDER = FOLDERS[len(FOLDERS) // 2], "train"
ORDERS = ("folders", "sorted", "interleaved", "random")
PANORAMAS_AT_A_TIME = 50_000
ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)


def panoramas(count: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], ...]:
    """Return east, north, year and month of panoramas, from south to north."""
    places = -(-count // VISITS)
    per_street = int(STREET_M / STEP_M)
    place = np.repeat(np.arange(places), VISITS)[:count]
    east = WEST + place % per_street * STEP_M + rng.normal(0, 1.5, count)
    north = SOUTH + place // per_street * BLOCK_M + rng.normal(0, 1.5, count)
    year = FIRST_YEAR + np.tile(np.arange(VISITS), places)[:count]
    return east, north, year.astype(np.float64), rng.integers(1, 13, count).astype(np.float64)


def names(count: int, seed: int = 0) -> Iterator[pl.Series]:
    """Give `count` paths in chunks."""
    rng = np.random.default_rng(seed)
    total = -(-count // HEADINGS)
    east, north, year, month = panoramas(total, rng)
    folder = np.arange(total) * len(FOLDERS) // total
    for start in range(0, total, PANORAMAS_AT_A_TIME):
        part = slice(start, min(start + PANORAMAS_AT_A_TIME, total))
        chunk = _paths(east[part], north[part], year[part], month[part], folder[part], rng)
        yield chunk.head(count - start * HEADINGS)


def _paths(
    east: npt.NDArray[np.float64],
    north: npt.NDArray[np.float64],
    year: npt.NDArray[np.float64],
    month: npt.NDArray[np.float64],
    folder: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> pl.Series:
    east, north = east.round(2), north.round(2)
    latitude, longitude = utm.to_latlon(east, north, 10, "S")
    letters = ALPHABET[rng.integers(0, len(ALPHABET), (len(east), 22))]
    frame = pl.DataFrame(
        {
            "folder": pl.Series(FOLDERS).gather(folder),
            "east": east, "north": north, "latitude": latitude, "longitude": -longitude,
            "pano": pl.Series([row.tobytes().decode() for row in letters]),
            "first": rng.integers(0, 360, len(east)),
            "date": year.astype(np.int64) * 100 + month.astype(np.int64),
        }
    )  # fmt: skip
    turned = pl.DataFrame({"turn": np.arange(HEADINGS) * 360 // HEADINGS})
    return frame.join(turned, how="cross", maintain_order="left_right").select(
        path=pl.format(
            "{}/@{}@{}@10@S@{}@{}@{}@@{}@@@@{}@@.jpg",
            "folder",
            _fixed("east", 2, 10),
            _fixed("north", 2, 10),
            _fixed("latitude", 5, 9),
            pl.lit("-") + _fixed("longitude", 5, 9),
            "pano",
            (pl.col("first") + pl.col("turn")) % 360,
            "date",
        )
    )["path"]


def _fixed(column: str, decimals: int, width: int) -> pl.Expr:
    """Return positive numbers as text of a width, padded with zeros."""
    scaled = (pl.col(column) * 10**decimals).round().cast(pl.Int64)
    whole, rest = scaled // 10**decimals, scaled % 10**decimals
    return pl.format(
        "{}.{}", whole.cast(pl.String).str.zfill(width - decimals - 1), rest.cast(pl.String).str.zfill(decimals)
    )


def write_list(path: Path, count: int, seed: int = 0, order: str = "folders") -> None:
    """Write `count` names, one per line.

    Args:
        path: The list file.
        count: How many names.
        seed: For the names, and for the order `random`.
        order: `folders`: folder by folder. `sorted`: in one huge folder, sorted by name. `interleaved`: each line in
            another folder than the one before. `random`: shuffled.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in (
            names(count, seed) if order == "folders" else _in_order(pl.concat(names(count, seed)), seed, order)
        ):
            file.write("\n".join(chunk.to_list()).encode() + b"\n")


def _in_order(paths: pl.Series, seed: int, order: str) -> Iterator[pl.Series]:
    """Give paths in another order than that of folders, in chunks."""
    if order == "sorted":
        paths = (HUGE_FOLDER + paths.str.replace("^[^/]*", "")).sort()
    else:
        rows = np.random.default_rng(seed).permutation(len(paths))
        if order == "interleaved":
            per_folder = -(-len(paths) // len(FOLDERS))
            rows = np.argsort(np.arange(len(paths)) % per_folder, kind="stable")
        paths = paths.gather(rows)
    return (chunk.to_series() for chunk in paths.to_frame().iter_slices(PANORAMAS_AT_A_TIME))


def make_tree(tree: Path, count: int, seed: int = 0) -> None:
    """Make `count` empty files; `tree` appears when all are there."""
    unfinished = tree.with_name(f"{tree.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for folder in FOLDERS:
        (unfinished / folder).mkdir(parents=True)
    for chunk in names(count, seed):
        for path in chunk:
            os.mknod(f"{unfinished}/{path}")
    unfinished.rename(tree)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--order", choices=ORDERS, default="folders")
    options = parser.parse_args()
    write_list(options.path, options.count, options.seed, options.order)


if __name__ == "__main__":
    main()
