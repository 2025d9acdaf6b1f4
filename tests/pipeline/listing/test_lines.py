import numpy as np
import polars as pl
import pytest

from pipeline.listing import lines as lines_module
from pipeline.listing.lines import Lines, find_bytes, join_lines


def test_lines_are_split_at_newlines() -> None:
    lines = Lines.split(b"a\n\nb\0c\n")
    assert lines.column().to_list() == [b"a", b"", b"b\0c"]
    assert lines.with_newlines().to_list() == [b"a\n", b"\n", b"b\0c\n"]
    assert len(lines) == 3
    assert Lines.split(b"").column().to_list() == []


def test_paths_with_newlines_come_back() -> None:
    paths = [b"a\nb", b"c", b"\n"]
    content = join_lines(paths, b"x\ny/")
    assert content == b"x\0y/a\0b\nx\0y/c\nx\0y/\0\n"
    lines = Lines.split(content).with_escaped_newlines()
    assert lines.column().to_list() == [b"x\ny/" + path for path in paths]


def test_no_paths_are_no_lines() -> None:
    assert join_lines([]) == join_lines([], b"x/") == b""


def test_texts_become_lines() -> None:
    texts = pl.Series(["a", "", "b\nc", "ä"])
    assert Lines.join(texts).column().to_list() == [text.encode() for text in texts]


def test_lines_are_filtered() -> None:
    lines = Lines.split(b"a\nbc\nd\n").filter(np.array([True, False, True]))
    assert lines.content.tobytes() == b"a\nd\n"
    assert lines.offsets.tolist() == [0, 2, 4]


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_bytes_are_found_in_pieces(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(lines_module, "FIND_BYTES", piece)
    letters = np.frombuffer(b"a/b/cd\ne", np.uint8)
    assert find_bytes(letters, ord("/"), ord("\n")).tolist() == [1, 3, 6]
    assert find_bytes(letters, ord("x")).tolist() == []
    assert find_bytes(letters[:0], ord("x")).tolist() == []
