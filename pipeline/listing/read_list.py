"""List files: one path per line, relative to the images folder, read in blocks of whole lines."""

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from pipeline.execution.executor import run_all
from pipeline.listing.lines import NEWLINE, find_bytes

BLOCK_BYTES, MAX_BLOCKS = 4 << 20, 2_000  # blocks of a huge list are larger, so that partitions have few slices
BLOCK_BYTES_PER_LINE = 16 << 10  # one line per so many bytes is fit for a border
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
SLASH, DOT, SPACE = b"/. "
_LEADING_DOTS = re.compile(rb"\n(?:\./+)+")
_IDLE_PARTS = re.compile(rb"/(?:\.?/+)+")
_BLANK_LINES = re.compile(rb"\n[ \t\r\x0b\x0c]*(?=\n)")


class ListBlock(NamedTuple):
    """Whole lines of a list file: where they begin and end, and a digest of their bytes."""

    begin: int
    end: int
    digest: bytes


@contextlib.contextmanager
def reading(list_file: Path) -> Iterator[None]:
    """Turn errors of reading a list into UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{list_file}: cannot be read: {error.strerror}") from error


def find_blocks(list_file: Path) -> list[ListBlock]:
    """Return the blocks of a list; a byte-order mark is left out.

    Raises:
        UserError: The list cannot be read, or is UTF-16, as some Windows shells write it.
    """
    with reading(list_file):
        borders = _split(list_file)
    with Progress(f"reading {list_file.name}", len(borders), "blocks") as progress:
        return list(run_all(partial(_digest, list_file), borders, progress))


def _split(list_file: Path) -> list[tuple[int, int]]:
    """Return where the blocks begin and end.

    A hash of the line before a border chooses it, so that a line that is added or removed moves few borders.
    """
    with list_file.open("rb") as file:
        head, size = file.read(len(UTF8_MARK)), os.fstat(file.fileno()).st_size
        if head.startswith(UTF16_MARKS):
            raise UserError(f"{list_file} is UTF-16. Save it as UTF-8.")
        borders = [len(UTF8_MARK) if head == UTF8_MARK else 0]
        block_bytes = BLOCK_BYTES << (size // (BLOCK_BYTES * MAX_BLOCKS)).bit_length()
        lines_per_border = max(1, block_bytes // BLOCK_BYTES_PER_LINE)
        while borders[-1] < size:
            file.seek(borders[-1] + block_bytes - 1)
            file.readline()
            for line in itertools.islice(file, 8 * lines_per_border):
                if xxhash.xxh3_64_intdigest(line) % lines_per_border == 0:
                    break
            borders.append(min(file.tell(), size))
    return list(itertools.pairwise(borders))


def _digest(list_file: Path, borders: tuple[int, int]) -> ListBlock:
    return ListBlock(*borders, xxhash.xxh3_128_digest(read_bytes(list_file, *borders)))


def read_bytes(list_file: Path, begin: int, end: int) -> bytes:
    """Return some bytes of a list; fewer if it is shorter.

    Raises:
        UserError: The list cannot be read.
    """
    with reading(list_file), list_file.open("rb") as file:
        file.seek(begin)
        return file.read(end - begin)


def read_block(list_file: Path, block: ListBlock) -> Iterator[bytes]:
    """Yield the lines of a block, cleaned.

    Raises:
        UserError: The list cannot be read, or the block has changed.
    """
    content = read_bytes(list_file, block.begin, block.end)
    if xxhash.xxh3_128_digest(content) != block.digest:
        raise UserError(f"{list_file} has changed while it was being read. Run again.")
    yield clean_lines(content)


def clean_lines(content: bytes) -> bytes:
    """Return lines without carriage returns at their ends, `./`, doubled slashes and blank lines.

    The path that is left is the shortest of the many ways to write it. Each line ends with a newline.
    """
    if not content.endswith(b"\n"):
        content += b"\n"
    while b"\r" in content and b"\r\n" in content:
        content = content.replace(b"\r\n", b"\n")
    letters = np.frombuffer(content, np.uint8)
    marks = find_bytes(letters, SLASH, NEWLINE)
    is_slash, before, after = letters[marks] == SLASH, letters[marks - 1], letters[(marks + 1) % len(letters)]
    if (is_slash & ((before == SLASH) | (before == DOT))).any():
        content = _IDLE_PARTS.sub(b"/", _LEADING_DOTS.sub(b"\n", b"\n" + content)[1:])
    elif not (~is_slash & (after <= SPACE)).any() and letters[0] > SPACE:
        return content
    return _BLANK_LINES.sub(b"", b"\n" + content)[1:]
