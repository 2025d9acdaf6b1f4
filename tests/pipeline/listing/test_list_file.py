import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import xxhash

from data_manifest.errors import UserError
from pipeline import list_file as list_file_module
from pipeline.list_file import digest_of_list, pieces, read_blocks, scan_list
from pipeline.runs import Run, read_runs


def paths_of(*runs: Run) -> list[bytes]:
    return [path for paths in read_runs(runs) for path in paths]


def scan(tmp_path: Path, content: bytes) -> dict[bytes, list[bytes]]:
    """The paths of each folder of a list, in order; each run is checked to say how many lines it has."""
    (tmp_path / "list").write_bytes(content)
    shutil.rmtree(tmp_path / "scratch", ignore_errors=True)
    (tmp_path / "scratch").mkdir()
    found = {}
    for folder, runs in scan_list(tmp_path / "list", tmp_path / "scratch").items():
        assert all(len(paths_of(run)) == run.lines for run in runs)
        found[folder] = [path for run in runs for path in paths_of(run)]
        assert sorted(paths_of(*runs)) == sorted(found[folder])
    return found


def by_hand(lines: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        found.setdefault(line[: line.rfind(b"/") + 1], []).append(line)
    return found


@pytest.mark.parametrize(
    "content",
    [
        b"a.jpg\nb c.jpg\n",
        b"a.jpg\nb c.jpg",
        b"\xef\xbb\xbfa.jpg\nb c.jpg\n",
        b"a.jpg\r\nb c.jpg\r\n",
        b"\xef\xbb\xbfa.jpg\r\nb c.jpg",
        b"\n\na.jpg\n  \n\t\nb c.jpg\n\r\n\n",
        b"b c.jpg\na.jpg\n",
        b"./a.jpg\n./b c.jpg\n",  # find . -name '*.jpg'
    ],
    ids=["plain", "no last newline", "mark", "CRLF", "both", "blank lines", "other order", "find"],
)
def test_the_same_list_written_in_other_ways(tmp_path: Path, content: bytes) -> None:
    (paths,) = scan(tmp_path, content).values()
    assert sorted(paths) == [b"a.jpg", b"b c.jpg"]


@pytest.mark.parametrize("blank", [b"", b" ", b"\t ", b"\r", b" \r", b"./"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_blank_line_alone_among_others(tmp_path: Path, blank: bytes, place: int) -> None:
    lines = [b"a.jpg", b"b.jpg"]
    lines.insert(place, blank)
    assert scan(tmp_path, b"\n".join(lines)) == {b"": [b"a.jpg", b"b.jpg"]}


def test_blank_lines_are_no_folder(tmp_path: Path) -> None:
    assert scan(tmp_path, b"\nx/a.jpg\n \n\r\nx/b.jpg\n\n\n").keys() == {b"x/"}
    for content in (b"", b"\n", b"\n\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"):
        assert scan(tmp_path, content) == {}


def test_no_line_is_touched_but_for_its_ends(tmp_path: Path) -> None:
    lines = [b" a.jpg ", b"\xff.jpg", b"\xe2\x80\xa8b.jpg", b"c\rd.jpg", b"\x0ce.jpg", b"#f.jpg", b".g.jpg", b"\0h.jpg"]
    assert scan(tmp_path, b"\n".join(lines)) == {b"": lines}


def test_folders_are_those_of_the_paths(tmp_path: Path) -> None:
    lines = [b"a.jpg", b"x/b.jpg", b"x/y/c.jpg", b"/e.jpg", b"../f.jpg", b"x/g.jpg", b"h/", b"\xff/\0/i"]
    assert scan(tmp_path, b"\n".join(lines)) == by_hand(lines)
    lines.remove(b"/e.jpg")  # .//e.jpg is not absolute
    assert scan(tmp_path, b"./" + b"\r\n./".join(lines)) == by_hand(lines)


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 7, 50, 333, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, mark: bytes, end: bytes
) -> None:
    lines = [b"%d/%s.jpg" % (number // 20, b"x" * (number % 13)) for number in range(100)]
    monkeypatch.setattr(list_file_module, "BLOCK_BYTES", block_bytes)
    content = mark + b"\n".join(lines) + end
    found = {folder: sorted(paths) for folder, paths in scan(tmp_path, content).items()}
    assert found == {folder: sorted(paths) for folder, paths in by_hand(lines).items()}
    (piece,) = pieces(tmp_path / "list")
    assert piece == (len(mark), len(content))
    blocks = [(start, bytes(block)) for start, block in read_blocks(tmp_path / "list", *piece)]
    assert b"".join(block for _, block in blocks) == content.removeprefix(mark)
    assert all(content[start : start + len(block)] == block for start, block in blocks)
    assert all(block.endswith(b"\n") for _, block in blocks[:-1])


@pytest.mark.parametrize("block_bytes", [500, 3000, 1 << 20])
@pytest.mark.parametrize("ends", [(b"", b"\n"), (b"./", b"\r\n"), (b"", b"\n\n")])
def test_a_shuffled_list_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, ends: tuple[bytes, bytes]
) -> None:
    lines = [b"%d/%d\0.jpg" % (number % 40, number) for number in range(1000)] + [b"%d.jpg" % n for n in range(50)]
    random.Random(2).shuffle(lines)
    monkeypatch.setattr(list_file_module, "BLOCK_BYTES", block_bytes)
    found = scan(tmp_path, b"".join(ends[0] + line + ends[1] for line in lines))
    assert list((tmp_path / "scratch").iterdir()) != []
    expected = by_hand(lines)
    assert {folder: sorted(paths) for folder, paths in found.items()} == {
        folder: sorted(paths) for folder, paths in expected.items()
    }


def test_a_list_grouped_by_folder_is_read_where_it_stands(tmp_path: Path) -> None:
    lines = [b"%d/%d.jpg" % (number // 20, number) for number in range(1000)]
    assert scan(tmp_path, b"\n".join(lines)) == by_hand(lines)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("piece_bytes", [1, 2, 30, 77, 1000, 5000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int, mark: bytes, end: bytes, is_shuffled: bool
) -> None:
    lines = [b"%d/%s%d.jpg" % (number // 20, b"x" * (number % 13), number) for number in range(100)]
    if is_shuffled:
        random.Random(3).shuffle(lines)
    monkeypatch.setattr(list_file_module, "PIECE_BYTES", piece_bytes)
    content = mark + b"\n".join(lines) + end
    found = {folder: sorted(paths) for folder, paths in scan(tmp_path, content).items()}
    assert found == {folder: sorted(paths) for folder, paths in by_hand(lines).items()}
    borders = pieces(tmp_path / "list")
    assert b"".join(content[begin:end] for begin, end in borders) == content.removeprefix(mark)
    assert all(content[begin - 1 : begin] == b"\n" for begin, _ in borders[1:])
    assert len(borders) <= len(content) // piece_bytes + 1


def test_runs_that_follow_each_other_are_one_but_for_huge_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_file_module, "BLOCK_BYTES", 100)
    lines = [b"%d/%03d.jpg" % (number // 100, number) for number in range(200)]  # of 10 bytes each, with its end
    scan(tmp_path, b"\n".join(lines) + b"\n")
    assert scan_list(tmp_path / "list", tmp_path / "scratch") == {
        b"0/": [Run(tmp_path / "list", 0, 1000, 100)],
        b"1/": [Run(tmp_path / "list", 1000, 1000, 100)],
    }
    monkeypatch.setattr(list_file_module, "PIECE_BYTES", 600)
    runs = scan_list(tmp_path / "list", tmp_path / "scratch")[b"0/"]
    assert [(run.start, run.length) for run in runs] == [(0, 600), (600, 400)]


def test_a_lists_digest_is_that_of_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for content in (b"", b"a", b"ab", b"ba", b"a" * 99, b"a" * 100, b"a" * 101, b"a" * 50 + b"b" * 50):
        (tmp_path / "list").write_bytes(content)
        monkeypatch.setattr(list_file_module, "DIGESTED_BYTES", 50)
        digest = digest_of_list(tmp_path / "list")
        monkeypatch.setattr(list_file_module, "BLOCK_BYTES", 7)
        assert digest_of_list(tmp_path / "list") == digest
        parts = [xxhash.xxh3_128_hexdigest(content[begin : begin + 50]) for begin in range(0, len(content) or 1, 50)]
        assert digest == hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:16]
        digests.add(digest)
    assert len(digests) == 8


def test_a_run_of_lines(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"x/a.jpg\nx/b.jpg\ny/c.jpg\n")
    runs = scan_list(tmp_path / "list", tmp_path / "scratch")
    assert runs == {b"x/": [Run(tmp_path / "list", 0, 16, 2)], b"y/": [Run(tmp_path / "list", 16, 8, 1)]}
    assert paths_of(Run(tmp_path / "list", 16, 8, 1)) == [b"y/c.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    text = "a.jpg\n" if encoding == "utf-16" else "\ufeffa.jpg\n"
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))}/list is UTF-16: save it as UTF-8$"):
        scan(tmp_path, text.encode(encoding))


def test_a_list_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list: cannot be read: No such file or directory$"):
        scan_list(tmp_path / "list", tmp_path / "scratch")
    with pytest.raises(UserError, match=r"list: cannot be read: No such file or directory$"):
        Run(tmp_path / "list", 0, 1, 1).read_into(np.empty(1, np.uint8))


@pytest.mark.parametrize("rewritten", [b"x/a\n\nx/bcde\n", b"./x/a\nx/bc\n\n", b"./x/a.jpg/b\n", b"./x/a./x/b\n\n"])
def test_a_list_that_is_rewritten_between_two_looks_at_it(tmp_path: Path, rewritten: bytes) -> None:
    """Whatever has the size that the lines had: with `./` on each line, a shorter line would end before its start."""
    content = b"./x/a\n./x/b\n"
    (tmp_path / "list").write_bytes(content)
    runs = scan_list(tmp_path / "list", tmp_path / "scratch")[b"x/"]
    assert paths_of(*runs) == [b"x/a", b"x/b"]
    assert len(rewritten) == len(content)
    (tmp_path / "list").write_bytes(rewritten)
    with pytest.raises(UserError, match=r"list has changed while it was being read: run again$"):
        paths_of(*runs)
