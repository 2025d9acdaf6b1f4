import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.texts import Texts, feed

ANY = st.lists(st.binary(max_size=20), max_size=20)


def with_gaps(texts: list[bytes]) -> Texts:
    """The same texts, with a line's end behind each but the last."""
    ends = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64) - 1
    starts = ends - np.array(list(map(len, texts)), np.int64)
    return Texts(np.frombuffer(b"\n".join(texts), np.uint8), starts, ends)


@given(ANY)
def test_texts_are_what_they_are_made_of(texts: list[bytes]) -> None:
    for made in (Texts.of(texts), with_gaps(texts), Texts.of_column(pl.Series(texts, dtype=pl.Binary))):
        assert len(made) == len(texts)
        assert list(made) == texts
        assert made.column().to_list() == texts
        assert made.column().dtype == pl.Binary


@given(st.lists(ANY, max_size=4), st.booleans())
def test_blocks_together(blocks: list[list[bytes]], are_apart: bool) -> None:
    together = Texts.together(with_gaps(block) if are_apart else Texts.of(block) for block in blocks)
    expected = [text for block in blocks for text in block]
    assert list(together) == expected
    assert together.column().to_list() == expected


@given(ANY, st.data())
def test_rows_are_taken(texts: list[bytes], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1))) if texts else []
    taken = with_gaps(texts).take(np.array(rows, np.int64))
    assert list(taken) == [texts[row] for row in rows]
    assert taken.content.tobytes() == b"".join(taken)


@given(ANY)
def test_a_digest_of_texts_is_that_of_their_column(texts: list[bytes]) -> None:
    one, other = hashlib.sha256(), hashlib.sha256()
    Texts.of(texts).feed(one)
    feed(other, pl.Series(texts, dtype=pl.Binary))
    assert one.digest() == other.digest()


def test_a_digest_of_what_stands_between_texts_is_refused() -> None:
    with pytest.raises(AssertionError, match="between them"):
        with_gaps([b"a", b"b"]).feed(hashlib.sha256())
