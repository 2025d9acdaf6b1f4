"""Write files that survive a crash of the machine."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a small file that appears whole or not at all, and flush it to disk."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(text)
    fsync(unfinished)
    unfinished.replace(path)


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
