"""Links, copies, sizes and times of files."""

import os
import shutil
from pathlib import Path


def link(source: Path, target: Path) -> bool:
    """Give a file a second place by a hard link; return whether it is there, be it from another attempt at this."""
    try:
        os.link(source, target)
    except FileExistsError:
        return True
    except OSError:  # the file is not there, gone meanwhile, or on a file system without links
        return False
    return True


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Have a file at a second place: by a hard link, or where the file system has none, by a copy.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not link(Path(source), Path(target)):
        shutil.copyfile(source, target)


def modified_ns(path: Path) -> int:
    """Return when a file, a folder or a link itself was modified; 0 if it is gone, as another process may see to."""
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def bytes_in(folder: Path) -> int:
    """Return how many bytes the files in a folder and below have together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def disk_usage(folder: Path) -> tuple[int, int]:
    """Return how many bytes the disk of a folder has, and how many are free; the folder need not be there yet.

    Some network file systems do not tell: then both are 0.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    usage = shutil.disk_usage(there)
    return usage.total, usage.free


def format_bytes(count: float) -> str:
    """Return a number of bytes for people to read, as in 48.2 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.1f} TB"
