"""Many texts at once: a column of texts and the bytes of all of them, one after the other, without Python objects."""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Letters = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
FED_AT_ONCE = 16_384  # texts: more would not stay in a processor's cache


def texts_between(content: bytes | Letters, starts: Offsets, ends: Offsets) -> pl.Series:
    """Return the bytes from each of `starts` to each of `ends`, binary; the starts are in order."""
    offsets = pa.py_buffer(np.append(starts, len(content)).astype(np.int64, copy=False))
    whole = pa.Array.from_buffers(pa.large_binary(), len(starts), [None, offsets, pa.py_buffer(content)])
    frame = pl.DataFrame({"text": whole, "length": ends - starts})
    return frame.select(pl.col("text").bin.head(pl.col("length")))["text"]


def feed(digest: "hashlib._Hash", texts: pl.Series) -> None:
    """Add a column of texts to a digest, so that no two columns look the same to it."""
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
