"""Files that are through to the disk, whatever happens to the machine then. Needs nothing but Python."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a small file that appears whole or not at all, and is through to the disk."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(text)
    fsync(unfinished)
    unfinished.replace(path)


def fsync(path: Path) -> None:
    """Have a file, or the entries of a folder, written through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
