"""Paths as lines in one byte array, without one Python object per path."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

NEWLINE = ord("\n")
FIND_BYTES = 1 << 17
Content = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lines:
    """Lines that each end with a newline.

    Args:
        content: Their bytes: [num_bytes], uint8.
        offsets: Where each begins, and the end of the last: [num_lines + 1].
    """

    content: npt.NDArray[np.uint8]
    offsets: Offsets

    @staticmethod
    def split(content: Content) -> "Lines":
        """Return the lines in some bytes."""
        letters = np.frombuffer(content, np.uint8)
        return Lines(letters, np.append(0, find_bytes(letters, NEWLINE) + 1))

    @staticmethod
    def join(texts: pl.Series) -> "Lines":
        """Return texts as lines, even if they contain newlines."""
        return Lines(*flat_bytes((texts + "\n").cast(pl.Binary)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def with_newlines(self) -> pl.Series:
        """Return the lines, each with its newline, as a column of bytes."""
        return pl.Series("line", binary_array(self.content, self.offsets))

    def column(self) -> pl.Series:
        """Return the lines as a column of bytes."""
        lines = pl.DataFrame({"line": self.with_newlines(), "length": np.diff(self.offsets) - 1})
        return lines.select(pl.col("line").bin.head("length")).to_series()

    def with_escaped_newlines(self) -> "Lines":
        """Return the lines with the newlines that `join_lines` escaped."""
        is_escaped = self.content == 0
        return Lines(np.where(is_escaped, np.uint8(NEWLINE), self.content), self.offsets) if is_escaped.any() else self

    def filter(self, keep: npt.NDArray[np.bool_]) -> "Lines":
        """Return some of the lines."""
        return Lines.split(flat_bytes(self.with_newlines().filter(pl.Series(keep)))[0])


def find_bytes(letters: npt.NDArray[np.uint8], *wanted: int) -> Offsets:
    """Return the positions of some bytes in an array, searched in pieces that fit into the processor's cache."""
    is_wanted, is_other = np.empty((2, FIND_BYTES), np.bool_)
    found = [np.empty(0, np.int64)]
    for begin in range(0, len(letters), FIND_BYTES):
        piece = letters[begin : begin + FIND_BYTES]
        mask, other = is_wanted[: len(piece)], is_other[: len(piece)]
        np.equal(piece, wanted[0], out=mask)
        for byte in wanted[1:]:
            np.logical_or(mask, np.equal(piece, byte, out=other), out=mask)
        found.append(np.flatnonzero(mask) + begin)
    return np.concatenate(found)


def binary_array(content: Content, offsets: Offsets) -> pa.Array:
    """Return adjacent texts as an Arrow array, without a copy."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def flat_bytes(texts: pl.Series) -> tuple[npt.NDArray[np.uint8], Offsets]:
    """Return the concatenated bytes of a column, and the offsets of its texts."""
    _, offsets, content = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
    ends = np.frombuffer(offsets, np.int64)[: len(texts) + 1]
    return np.frombuffer(content or b"", np.uint8)[: ends[-1]], ends


def join_lines(paths: Iterable[bytes], folder: bytes = b"") -> bytes:
    """Return paths in a folder as lines; a newline in a path becomes NUL, which no file path contains."""
    paths = list(paths)
    if not paths:
        return b""
    content = folder + (b"\n" + folder).join(paths) + b"\n"
    if content.count(b"\n") == len(paths):
        return content
    return b"".join((folder + path).replace(b"\n", b"\0") + b"\n" for path in paths)
