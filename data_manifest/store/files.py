"""Files: links, copies, sizes and times, and writing that survives a crash of the machine."""

import contextlib
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path


class TemporaryFile:
    """An empty file that is removed with this object, or when the process ends."""

    def __init__(self) -> None:
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


def link(source: Path, target: Path) -> bool:
    """Hard-link a file; return whether the target exists afterwards."""
    try:
        os.link(source, target)
    except FileExistsError:
        return True
    except OSError:  # no such file, or a file system without links
        return False
    return True


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link a file, or copy it where the file system has no links.

    Raises:
        FileNotFoundError: The source does not exist.
    """
    if not link(Path(source), Path(target)):
        shutil.copyfile(source, target)


def modified_ns(path: Path) -> int:
    """Return the modification time of a file, folder or symlink itself in nanoseconds; 0 if it does not exist."""
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def bytes_in(folder: Path) -> int:
    """Return the total size in bytes of the files in a folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def disk_usage(folder: Path) -> tuple[int, int]:
    """Return the total and the free bytes of a folder's disk; the folder need not exist yet.

    Both are 0 on network file systems that do not report them.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    usage = shutil.disk_usage(existing)
    return usage.total, usage.free


def format_bytes(count: float) -> str:
    """Return a number of bytes as text such as 48.2 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.1f} TB"


def write_text(path: Path, text: str) -> None:
    """Write a small file that appears whole or not at all, and flush it to disk."""
    with writing_whole(path) as unfinished:
        unfinished.write_text(text, "utf-8")


@contextlib.contextmanager
def writing_whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `path` at the end; after an error, nothing is left.

    Several processes may write the same file at once; the last one stays.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield unfinished
        fsync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
