"""The baselines: grouping as a plain Python loop over file names does it, with a dict of lists, pickled.

    python benchmarks/plain_groups.py paths|fields train_images_paths.txt OUT.pickle

`paths` groups the paths and keeps nothing else. `fields` keeps what the manifest does as well, each field of each name.
"""

import pickle
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

M, ALPHA, N, L, MIN_IMAGES_PER_CLASS = 10, 30, 5, 2, 10
Key = tuple[int, int, int]


def with_paths(path: str) -> tuple[Key, str]:
    """Return the class of a name, and its path."""
    fields = path.rpartition("/")[2].split("@")
    return class_of(float(fields[1]), float(fields[2]), float(fields[9])), path


def with_fields(path: str) -> tuple[Key, tuple[Any, ...]]:
    """Return the class of a name, and its path with all fields."""
    _, east, north, zone, band, latitude, longitude, pano, tile, heading, pitch, roll, height, timestamp, note, _ = (
        path.rpartition("/")[2].split("@")
    )
    utm = float(east), float(north), int(zone), band
    turn = float(heading), number(pitch), number(roll), number(height)
    shot = timestamp, int(timestamp[:4]), int(timestamp[4:6]), note
    return class_of(utm[0], utm[1], turn[0]), (path, *utm, float(latitude), float(longitude), pano, tile, *turn, *shot)


def number(text: str) -> float | None:
    """Return the number that a field says, if it is filled."""
    return float(text) if text else None


def class_of(east: float, north: float, heading: float) -> Key:
    """Return the cell and the heading bin."""
    return int(east // M), int(north // M), int(heading // ALPHA)


def group(classes: dict[Key, list[Any]]) -> dict[Key, dict[Key, list[Any]]]:
    """Spread the classes that have enough images over groups, by the paper's rule."""
    groups: defaultdict[Key, dict[Key, list[Any]]] = defaultdict(dict)
    for key, images in classes.items():
        if len(images) >= MIN_IMAGES_PER_CLASS:
            groups[key[0] % N, key[1] % N, key[2] % L][key] = images
    return dict(groups)


def main() -> None:
    """Group the names of a list file."""
    kinds: dict[str, Callable[[str], tuple[Key, Any]]] = {"paths": with_paths, "fields": with_fields}
    kept = kinds[sys.argv[1]]
    classes: defaultdict[Key, list[Any]] = defaultdict(list)
    with Path(sys.argv[2]).open() as lines:
        for line in lines:
            key, image = kept(line.rstrip("\n"))
            classes[key].append(image)
    groups = group(classes)
    with Path(sys.argv[3]).open("wb") as out:
        pickle.dump(groups, out)
    print(f"{sum(map(len, groups.values()))} classes in {len(groups)} groups")


if __name__ == "__main__":
    main()
