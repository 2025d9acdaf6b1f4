"""The baseline: grouping as a plain Python loop over file names does it, with a dict of lists of paths, pickled.

python benchmarks/plain_groups.py train_images_paths.txt OUT.pickle
"""

import pickle
import sys
from collections import defaultdict
from pathlib import Path

M, ALPHA, N, L, MIN_IMAGES_PER_CLASS = 10, 30, 5, 2, 10


def main() -> None:
    """Group the names of a list file by the paper's rule."""
    classes: defaultdict[tuple[int, int, int], list[str]] = defaultdict(list)
    with Path(sys.argv[1]).open() as lines:
        for line in lines:
            path = line.rstrip("\n")
            fields = path.rpartition("/")[2].split("@")
            east, north, heading = float(fields[1]), float(fields[2]), float(fields[9])
            classes[int(east // M), int(north // M), int(heading // ALPHA)].append(path)
    groups: defaultdict[tuple[int, int, int], dict[tuple[int, int, int], list[str]]] = defaultdict(dict)
    for key, paths in classes.items():
        if len(paths) >= MIN_IMAGES_PER_CLASS:
            groups[key[0] % N, key[1] % N, key[2] % L][key] = paths
    with Path(sys.argv[2]).open("wb") as out:
        pickle.dump(dict(groups), out)
    print(f"{sum(map(len, groups.values()))} classes in {len(groups)} groups")


if __name__ == "__main__":
    main()
