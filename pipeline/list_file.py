"""List files: one path a line, relative to the images folder.

A list of 41 million paths is 4 GB. So of a folder is kept where its lines stand: runs of lines in the list itself. That
is little as long as the list is grouped by folder, as listings are; blocks of a list that is not are written anew.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from data_manifest.errors import UserError

Offsets = npt.NDArray[np.int64]
BLOCK_BYTES = 32 << 20
NEWLINE, SLASH = 10, 47
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_IDLE_PARTS = re.compile(rb"(?:^|(?<=/))(?:\./+)+|(?<=/)/+")  # ./a/b, a/./b and a//b are a/b
LINES_PER_RUN = 16  # a block with shorter runs is written anew, sorted by folder


@dataclass(frozen=True)
class Run:
    """Lines of one folder that stand together in a file: `length` bytes from `start`."""

    file: Path
    start: int
    length: int
    lines: int
    separator: bytes = b"\n"

    def read(self) -> list[bytes]:
        """Return the paths as `clean_line` gives them, without blank lines.

        Raises:
            UserError: The file cannot be read.
        """
        try:
            with self.file.open("rb") as file:
                content = os.pread(file.fileno(), self.length, self.start)
        except OSError as error:
            raise UserError(f"{self.file}: cannot be read: {error.strerror}") from error
        paths = content.removesuffix(self.separator).split(self.separator)
        may_be_blank = b"/" not in content and any(not path or path.isspace() for path in paths)
        if may_be_blank or any(sign in content for sign in (b"\r", b"./", b"//")):
            return [path for path in map(clean_line, paths) if path.strip()]
        return paths


def clean_line(line: bytes) -> bytes:
    """Return a line's path: without the end that Windows gives it, and of the many ways to write it the shortest."""
    return _IDLE_PARTS.sub(b"", line.rstrip(b"\r"))


def scan_list(list_file: Path, scratch: Path) -> dict[bytes, list[Run]]:
    """Return where the lines of each folder stand; a folder's name ends with a slash, that of the top is empty.

    Args:
        list_file: The list.
        scratch: A file to be made for the blocks that are not grouped by folder.

    Raises:
        UserError: The list cannot be read, or is UTF-16, as some Windows shells write it.
    """
    runs: dict[bytes, list[Run]] = {}
    for start, block in read_blocks(list_file):
        in_block = list(runs_of_block(list_file, start, block))
        if len(in_block) * LINES_PER_RUN > sum(run.lines for _, run in in_block) > LINES_PER_RUN:
            in_block = list(_write_sorted(block, scratch))
        for folder, run in in_block:
            runs.setdefault(clean_line(folder), []).append(run)
    return runs


def read_blocks(list_file: Path) -> Iterator[tuple[int, bytes]]:
    """Give blocks of whole lines, each with where it starts; a byte-order mark is left out."""
    try:
        with list_file.open("rb") as file:
            head = file.read(len(UTF8_MARK))
            if head.startswith(UTF16_MARKS):
                raise UserError(f"{list_file} is UTF-16: save it as UTF-8")
            start, rest = (len(head), b"") if head == UTF8_MARK else (0, head)
            while block := file.read(BLOCK_BYTES):
                whole, newline, tail = (rest + block).rpartition(b"\n")
                if newline:
                    yield start, whole + newline
                    start += len(whole) + 1
                rest = tail
            if rest:
                yield start, rest
    except OSError as error:
        raise UserError(f"{list_file}: cannot be read: {error.strerror}") from error


def runs_of_block(file: Path, start: int, block: bytes) -> Iterator[tuple[bytes, Run]]:
    """Give the folder and the place of each run of lines of one folder; the block stands at `start` in the file."""
    content = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(content == NEWLINE) + 1
    if not len(ends) or ends[-1] != len(block):  # the list's last line has no end
        ends = np.append(ends, len(block))
    starts = np.concatenate(([0], ends[:-1]))
    folders = _folders(block, starts, ends, np.flatnonzero(content == SLASH))
    first = np.flatnonzero((folders != folders.shift()).fill_null(True).to_numpy())
    last = np.append(first[1:], len(ends)) - 1
    for folder, begin, end, lines in zip(
        folders.gather(first), starts[first], ends[last], last - first + 1, strict=True
    ):
        if not clean_line(folder):  # blank lines would be images of the top
            lines = sum(bool(clean_line(line).strip()) for line in block[begin:end].split(b"\n"))
        if lines:
            yield folder, Run(file, start + int(begin), int(end - begin), int(lines))


def _folders(block: bytes, starts: Offsets, ends: Offsets, slashes: Offsets) -> pl.Series:
    """Return the folder of each line, up to its last slash."""
    before = np.searchsorted(slashes, ends) - 1  # -1 finds the sentinel
    last_slash = np.append(slashes, -1)[before]
    offsets = pa.py_buffer(np.append(starts[:1], ends).astype(np.int64))
    lines = pa.Array.from_buffers(pa.large_binary(), len(ends), [None, offsets, pa.py_buffer(block)])
    frame = pl.DataFrame({"line": lines, "length": np.maximum(last_slash - starts + 1, 0)})
    return frame.select(pl.col("line").bin.head(pl.col("length")))["line"]


def _write_sorted(block: bytes, scratch: Path) -> Iterator[tuple[bytes, Run]]:
    """Append a block's lines to the scratch file, sorted by folder, and give its runs there."""
    lines = [path for path in map(clean_line, block.split(b"\n")) if path.strip()]
    lines.sort(key=lambda line: line[: line.rfind(b"/") + 1])
    with scratch.open("ab") as file:
        start = file.tell()
        content = b"\n".join(lines) + b"\n"
        file.write(content)
    return runs_of_block(scratch, start, content)
