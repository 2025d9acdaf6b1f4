"""Changes to one folder of a data set, in a list file or in a tree; each is undone at the end."""

import itertools
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sfxl_names import HUGE_FOLDER

PANO_ID, HEADING = 7, 9  # fields of a name


def renamed(name: str) -> str:
    """Return a name of the same length: another panorama at the same place, with another heading."""
    fields = name.split("@")
    fields[PANO_ID] = fields[PANO_ID].swapcase()
    fields[HEADING] = _turned(fields[HEADING])
    return "@".join(fields)


def _turned(heading: str) -> str:
    """Return another heading of as many digits."""
    low = 10 ** (len(heading) - 1) if len(heading) > 1 else 0
    span = min(10 ** len(heading), 360) - low
    return str((int(heading) - low + span // 3) % span + low)


@contextmanager
def image_added_to_list(list_file: Path, folder: str) -> Iterator[None]:
    """Append a line; the list is cut back at the end."""
    _, line = next(_lines_of(list_file, folder))
    size = list_file.stat().st_size
    with list_file.open("r+b") as file:
        try:
            os.pwrite(file.fileno(), f"{renamed(line)}\n".encode(), size)
            yield
        finally:
            file.truncate(size)


@contextmanager
def images_renamed_in_list(list_file: Path, folder: str, count: int) -> Iterator[None]:
    """Write over every second of `count` lines of a folder; what was there is written back at the end."""
    lines = list(itertools.islice(_lines_of(list_file, folder), count))[::2]
    with list_file.open("r+b") as file:
        try:
            for start, line in lines:
                os.pwrite(file.fileno(), renamed(line).encode(), start)
            yield
        finally:
            for start, line in lines:
                os.pwrite(file.fileno(), line.encode(), start)


def _lines_of(list_file: Path, folder: str) -> Iterator[tuple[int, str]]:
    """Give where each line of a folder begins, and the line; of a list with one huge folder, from its middle on."""
    before = f"\n{folder}/".encode()
    with list_file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = content.find(before)
        if begin < 0:
            raise ValueError(f"{list_file}: no line of {folder}")
        begin = content.find(before, len(content) // 2) if folder == HUGE_FOLDER else begin
        while begin >= 0:
            end = content.find(b"\n", begin + 1)
            yield begin + 1, content[begin + 1 : end].decode()
            begin = content.find(before, end)


@contextmanager
def image_added_to_tree(tree: Path, folder: str) -> Iterator[None]:
    """Make a file; it is removed at the end."""
    first = min((tree / folder).iterdir())
    added = first.with_name(renamed(first.name))
    added.touch(exist_ok=False)
    try:
        yield
    finally:
        added.unlink()


@contextmanager
def images_renamed_in_tree(tree: Path, folder: str) -> Iterator[None]:
    """Rename every second file of a folder; they are renamed back at the end."""
    done: list[tuple[Path, Path]] = []
    try:
        for before in sorted((tree / folder).iterdir())[::2]:
            done.append((before, before.rename(before.with_name(renamed(before.name)))))
        yield
    finally:
        for before, after in done:
            after.rename(before)
