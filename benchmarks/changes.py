"""Changes to one folder of a data set, in a list file or in a tree; each is undone at the end."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    _, lines = _lines_of(list_file, folder)
    size = list_file.stat().st_size
    with list_file.open("r+b") as file:
        try:
            os.pwrite(file.fileno(), f"{renamed(lines[0])}\n".encode(), size)
            yield
        finally:
            file.truncate(size)


@contextmanager
def images_renamed_in_list(list_file: Path, folder: str) -> Iterator[None]:
    """Write over every second line of a folder; what was there is written back at the end."""
    start, lines = _lines_of(list_file, folder)
    after = [renamed(line) if index % 2 == 0 else line for index, line in enumerate(lines)]
    with list_file.open("r+b") as file:
        try:
            os.pwrite(file.fileno(), "\n".join(after).encode(), start)
            yield
        finally:
            os.pwrite(file.fileno(), "\n".join(lines).encode(), start)


def _lines_of(list_file: Path, folder: str) -> tuple[int, list[str]]:
    """Return where the lines of a folder begin, and the lines, which stand together."""
    before = f"\n{folder}/".encode()
    with list_file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, last = content.find(before) + 1, content.rfind(before) + 1
        if not start:
            raise ValueError(f"{list_file}: no line of {folder}")
        return start, content[start : content.find(b"\n", last)].decode().split("\n")


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
