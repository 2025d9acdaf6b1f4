"""List files: one path per line, relative to the images folder, read in blocks of whole lines."""

import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import xxhash

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.store.recipe import digest_of
from pipeline.execution.executor import usable_cores
from pipeline.listing.lines import NEWLINE, find_bytes

BLOCK_BYTES, MAX_BLOCKS = 4 << 20, 2_000  # blocks of a huge list are larger, so that partitions have few slices
DIGEST_BYTES = 32 << 20  # per part of a list's digest; another number changes the digests of all lists
BLOCK_BYTES_PER_LINE = 16 << 10  # one line per so many bytes is fit for a border
READ_BYTES = 2 << 20  # fits into a processor's cache
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
SLASH, DOT, SPACE = b"/. "
_LEADING_DOTS = re.compile(rb"\n(?:\./+)+")
_IDLE_PARTS = re.compile(rb"/(?:\.?/+)+")
_BLANK_LINES = re.compile(rb"\n[ \t\r\x0b\x0c]*(?=\n)")


def split_list(list_file: Path) -> list[tuple[int, int]]:
    """Return where blocks of whole lines begin and end; a byte-order mark is left out.

    A hash of the line before a border chooses it, so that a line that is added or removed moves few borders.

    Raises:
        UserError: The list cannot be read, or is UTF-16, as some Windows shells write it.
    """
    try:
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
    except OSError as error:
        raise cannot_read(list_file, error) from error
    return list(itertools.pairwise(borders))


def cannot_read(list_file: Path, error: OSError) -> UserError:
    """Return the error for a list that cannot be read."""
    return UserError(f"{list_file}: cannot be read: {error.strerror}")


def read_bytes(list_file: Path, begin: int, end: int) -> bytes:
    """Return the bytes of a block.

    Raises:
        UserError: The list cannot be read, or is shorter than it was.
    """
    try:
        with list_file.open("rb") as file:
            file.seek(begin)
            content = file.read(end - begin)
    except OSError as error:
        raise cannot_read(list_file, error) from error
    if len(content) != end - begin:
        raise UserError(f"{list_file} has changed while it was being read. Run again.")
    return content


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


def digest_of_list(list_file: Path) -> str:
    """Return a digest of the list's bytes: of the digests of its parts, which several threads compute.

    Raises:
        UserError: The list cannot be read.
    """
    try:
        starts = range(0, max(list_file.stat().st_size, 1), DIGEST_BYTES)
        with (
            ThreadPoolExecutor(usable_cores()) as threads,
            Progress(f"reading {list_file.name}", len(starts) * DIGEST_BYTES >> 20, "MB") as progress,
        ):
            digests = []
            for digest in threads.map(partial(_digest_of_part, list_file), starts):
                progress.advance(DIGEST_BYTES >> 20)
                digests.append(digest)
            return digest_of(digests)
    except OSError as error:
        raise cannot_read(list_file, error) from error


def _digest_of_part(list_file: Path, start: int) -> str:
    digest, end, buffer = xxhash.xxh3_128(), start + DIGEST_BYTES, memoryview(bytearray(READ_BYTES))
    with list_file.open("rb", buffering=0) as file:
        file.seek(start)
        while count := file.readinto(buffer[: min(READ_BYTES, end - start)]):
            digest.update(buffer[:count])
            start += count
    return digest.hexdigest()
