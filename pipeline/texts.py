"""Many texts at once: a column of texts and the bytes of all of them, one after the other, without Python objects."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline import bytewise
from pipeline.arrays import Letters, Offsets

FED_AT_ONCE = 16_384  # texts: more would not stay in a processor's cache


class Digest(Protocol):
    """What `hashlib` and `xxhash` give."""

    def update(self, content: Any, /) -> None:
        """Add bytes."""


@dataclass(frozen=True)
class Texts:
    """Texts of bytes, by where each starts and ends in the bytes of all.

    Args:
        content: The bytes: [num_bytes], uint8. There may be others between the texts.
        starts: In order: [num_texts], int64.
        ends: None is behind the next one's start: [num_texts], int64.
    """

    content: Letters
    starts: Offsets
    ends: Offsets

    @staticmethod
    def of(texts: Iterable[bytes]) -> "Texts":
        """Return what some texts are."""
        texts = list(texts)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ends = lengths.cumsum()
        return Texts(np.frombuffer(b"".join(texts), np.uint8), ends - lengths, ends)

    @staticmethod
    def of_column(texts: pl.Series) -> "Texts":
        """Return what a column of texts or bytes is, without nulls."""
        content, offsets = flat(texts)
        return Texts(content, offsets[:-1], offsets[1:])

    @staticmethod
    def together(blocks: Iterable["Texts"]) -> "Texts":
        """Return all texts of several blocks."""
        match list(blocks):
            case []:
                return Texts.of(())
            case [block]:
                return block
            case many:
                before = np.cumsum([0, *(len(block.content) for block in many)])
                shifted = list(zip(many, before, strict=False))
                return Texts(
                    np.concatenate([block.content for block in many]),
                    np.concatenate([block.starts + begin for block, begin in shifted]),
                    np.concatenate([block.ends + begin for block, begin in shifted]),
                )

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[bytes]:
        return (self.content[start:end].tobytes() for start, end in zip(self.starts, self.ends, strict=True))

    def take(self, rows: Offsets) -> "Texts":
        """Return the texts of some rows, with nothing between them."""
        content, offsets = bytewise.gather(self.content, self.starts, self.ends, rows)
        return Texts(content, offsets[:-1], offsets[1:])

    def array(self) -> pa.Array:
        """Return the texts as an array of Arrow's, each with what stands behind it."""
        return _array(pa.large_binary(), self.content, np.append(self.starts, len(self.content)))

    def column(self) -> pl.Series:
        """Return the texts as a column of bytes."""
        array = self.array()
        if np.array_equal(np.append(self.starts[1:], len(self.content)), self.ends):
            return pl.Series(array)
        lengths = pl.Series("length", self.ends - self.starts)
        return pl.DataFrame({"text": array, "length": lengths}).select(pl.col("text").bin.head("length")).to_series()

    def feed(self, digest: Digest) -> None:
        """Add the texts to a digest, so that no others look the same to it; nothing may stand between them."""
        assert np.array_equal(self.starts[1:], self.ends[:-1]), "what stands between them would be in the digest"
        digest.update(np.append(0, self.ends - self.starts).cumsum().data)
        digest.update(self.content.data)


def feed(digest: Digest, texts: pl.Series) -> None:
    """Add a column of texts to a digest, so that no two columns look the same to it; null is as an empty text."""
    lengths = texts.cast(pl.Binary).bin.size().fill_null(0).to_numpy()
    digest.update(np.append(0, lengths.cumsum(dtype=np.int64)).tobytes())
    for begin in range(0, len(texts), FED_AT_ONCE):
        digest.update(flat(texts[begin : begin + FED_AT_ONCE])[0].data)


def flat(texts: pl.Series) -> tuple[Letters, Offsets]:
    """Return the bytes of all texts, one after the other, and where each begins, with the end of the last."""
    array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets_buffer, content = array.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    if content is None:  # of no text, or of empty ones
        return np.empty(0, np.uint8), offsets
    return np.frombuffer(content, np.uint8)[offsets[0] : offsets[-1]], offsets - offsets[0]


def text_array(content: Letters, offsets: Offsets) -> pa.Array:
    """Return texts in UTF-8 as an array of Arrow's, by where each begins, with the end of the last."""
    return _array(pa.large_string(), content, offsets)


def _array(kind: pa.DataType, content: Letters, offsets: Offsets) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)
