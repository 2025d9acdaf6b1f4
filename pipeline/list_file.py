"""List files: one path a line, relative to the images folder.

A list of 41 million paths is 4 GB. So of a folder is kept where its lines stand: runs of lines in the list itself. That
is little as long as the list is grouped by folder, as listings are; blocks of a list that is not are written anew.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import xxhash

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.store.recipe import digest_of
from pipeline import bytewise
from pipeline.execution.executor import usable_cores
from pipeline.runs import Run, clean_line

PIECE_BYTES = 32 << 20  # what a thread scans of a list, and the most that stands in one run
DIGESTED_BYTES = 32 << 20  # of a part in a list's digest: with another number all lists are others
BLOCK_BYTES = 2 << 20  # what it looks at at a time: more would not stay in a processor's cache, and take three times
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
LINES_PER_RUN = 16  # a block with shorter runs is written anew, sorted by folder


def scan_list(list_file: Path, scratch: Path) -> dict[bytes, list[Run]]:
    """Return where the lines of each folder stand; a folder's name ends with a slash, that of the top is empty.

    Args:
        list_file: The list.
        scratch: A folder for files with the blocks that are not grouped by folder.

    Raises:
        UserError: The list cannot be read, or is UTF-16, as some Windows shells write it.
    """
    runs: dict[bytes, list[Run]] = {}
    cut = pieces(list_file)
    megabytes = [(end - begin) >> 20 for begin, end in cut]
    with (
        ThreadPoolExecutor(usable_cores()) as threads,
        Progress(f"scanning {list_file.name}", sum(megabytes), "MB") as progress,
    ):
        scanned = threads.map(partial(_scan_piece, list_file, scratch), cut)
        for in_piece, done in zip(scanned, megabytes, strict=True):
            progress.advance(done)
            for folder, run in in_piece:
                in_folder = runs.setdefault(folder, [])
                if in_folder and in_folder[-1].can_go_on_with(run, PIECE_BYTES):
                    run = in_folder.pop().with_next(run)
                in_folder.append(run)
    return runs


def pieces(list_file: Path) -> list[tuple[int, int]]:
    """Return where pieces of whole lines begin and end; a byte-order mark is left out.

    Raises:
        UserError: The list cannot be read, or is UTF-16.
    """
    try:
        with list_file.open("rb") as file:
            head, size = file.read(len(UTF8_MARK)), os.fstat(file.fileno()).st_size
            if head.startswith(UTF16_MARKS):
                raise UserError(f"{list_file} is UTF-16: save it as UTF-8")
            borders = [len(UTF8_MARK) if head == UTF8_MARK else 0]
            while borders[-1] < size:
                file.seek(borders[-1] + PIECE_BYTES - 1)
                file.readline()
                borders.append(min(file.tell(), size))
    except OSError as error:
        raise UserError(f"{list_file}: cannot be read: {error.strerror}") from error
    return list(itertools.pairwise(borders))


def digest_of_list(list_file: Path) -> str:
    """Return a digest of the list's bytes: that of the digests of its parts, which several threads make.

    Raises:
        UserError: The list cannot be read.
    """
    try:
        starts = range(0, max(list_file.stat().st_size, 1), DIGESTED_BYTES)
        with (
            ThreadPoolExecutor(usable_cores()) as threads,
            Progress(f"reading {list_file.name}", len(starts) * DIGESTED_BYTES >> 20, "MB") as progress,
        ):
            digests = []
            for digest in threads.map(partial(_digest_of_part, list_file), starts):
                progress.advance(DIGESTED_BYTES >> 20)
                digests.append(digest)
            return digest_of(digests)
    except OSError as error:
        raise UserError(f"{list_file}: cannot be read: {error.strerror}") from error


def _digest_of_part(list_file: Path, start: int) -> str:
    digest, end, block = xxhash.xxh3_128(), start + DIGESTED_BYTES, memoryview(bytearray(BLOCK_BYTES))
    with list_file.open("rb", buffering=0) as file:
        file.seek(start)
        while count := file.readinto(block[: min(BLOCK_BYTES, end - start)]):
            digest.update(block[:count])
            start += count
    return digest.hexdigest()


def _scan_piece(list_file: Path, scratch: Path, piece: tuple[int, int]) -> list[tuple[bytes, Run]]:
    """Return the folder and the place of each run of lines of a piece."""
    found: list[tuple[bytes, Run]] = []
    for start, block in read_blocks(list_file, *piece):
        in_block = list(runs_of_block(list_file, start, block))
        if len(in_block) * LINES_PER_RUN > sum(run.lines for _, run in in_block) > LINES_PER_RUN:
            in_block = list(_write_sorted(block, scratch / f"lines-{piece[0]}"))
        found.extend(in_block)
    return found


def read_blocks(list_file: Path, begin: int, end: int) -> Iterator[tuple[int, memoryview]]:
    """Give blocks of whole lines of a piece, each with where it starts; one stands until the next is asked for.

    Raises:
        UserError: The list cannot be read.
    """
    buffer, start, filled = bytearray(BLOCK_BYTES), begin, 0
    try:
        with list_file.open("rb", buffering=0) as file:
            file.seek(begin)
            while count := file.readinto(memoryview(buffer)[filled : filled + end - (start + filled)]):
                filled += count
                whole = buffer.rfind(b"\n", 0, filled) + 1
                if whole:
                    yield start, memoryview(buffer)[:whole]
                    buffer[: filled - whole] = buffer[whole:filled]
                    start, filled = start + whole, filled - whole
                elif filled == len(buffer):  # a line longer than a block
                    buffer = buffer + bytes(len(buffer))
            if filled:
                yield start, memoryview(buffer)[:filled]
    except OSError as error:
        raise UserError(f"{list_file}: cannot be read: {error.strerror}") from error


def runs_of_block(file: Path, start: int, block: bytes | memoryview) -> Iterator[tuple[bytes, Run]]:
    """Give the folder and the place of each run of lines of one folder; the block stands at `start` in the file."""
    runs, sums = bytewise.find_folders(np.frombuffer(block, np.uint8))
    ends = [*runs[1:, 0].tolist(), len(block)]
    for index, (begin, folder_end, lines, least, most) in enumerate(runs.tolist()):
        written, images = bytes(block[begin:folder_end]), lines
        folder = clean_line(written)
        if not folder:  # blank lines would be images of the top
            images = sum(bool(clean_line(line).strip()) for line in bytes(block[begin : ends[index]]).split(b"\n"))
        if not images:
            continue
        idle = of_run = None
        if written.endswith(folder) and least == most and images == lines:
            idle = len(written) - len(folder), least
            of_run = None if sums is None else (int(sums[index, 0]), int(sums[index, 1]))
        yield folder, Run(file, start + begin, ends[index] - begin, images, idle=idle, sums=of_run)


def _write_sorted(block: memoryview, scratch: Path) -> Iterable[tuple[bytes, Run]]:
    """Append a block's lines to the scratch file, sorted by folder, and return its runs there."""
    lines = [path for path in map(clean_line, bytes(block).split(b"\n")) if path.strip()]
    lines.sort(key=lambda line: line[: line.rfind(b"/") + 1])
    with scratch.open("ab") as file:
        start = file.tell()
        content = b"\n".join(lines) + b"\n"
        file.write(content)
    return runs_of_block(scratch, start, content)
