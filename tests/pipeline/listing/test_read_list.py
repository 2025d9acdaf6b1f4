import random
import re
from pathlib import Path

import pytest
import xxhash

from data_manifest.errors import UserError
from pipeline.listing import read_list
from pipeline.listing.read_list import ListBlock, clean_lines, find_blocks, read_block, read_bytes


def read(tmp_path: Path, content: bytes) -> list[bytes]:
    """Return the paths of a list."""
    (tmp_path / "list").write_bytes(content)
    blocks = find_blocks(tmp_path / "list")
    lines = b"".join(content for block in blocks for content in read_block(tmp_path / "list", block))
    assert not lines or lines.endswith(b"\n")
    return lines.split(b"\n")[:-1]


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
    assert sorted(read(tmp_path, content)) == [b"a.jpg", b"b c.jpg"]


@pytest.mark.parametrize("blank", [b"", b" ", b"\t ", b"\r", b" \r", b"./", b".//./", b"\x0b\x0c"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_blank_line_among_others(tmp_path: Path, blank: bytes, place: int) -> None:
    lines = [b"a.jpg", b"b.jpg"]
    lines.insert(place, blank)
    assert read(tmp_path, b"\n".join(lines)) == [b"a.jpg", b"b.jpg"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_a_list_without_a_path(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == []


def test_only_the_ends_of_lines_change(tmp_path: Path) -> None:
    lines = [b" a.jpg ", b"\xff.jpg", b"\xe2\x80\xa8b.jpg", b"c\rd.jpg", b"\x0ce.jpg", b"#f.jpg", b".g.jpg", b"\0h.jpg"]
    assert read(tmp_path, b"\n".join(lines)) == lines
    others = [b"a.jpg", b"x/b.jpg", b"/e.jpg", b"../f.jpg", b"h/", b"\xff/\0/i"]
    assert read(tmp_path, b"\r\n".join(others)) == others


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"a.jpg", b"a.jpg"),
        (b"./a.jpg\r", b"a.jpg"),
        (b"././a.jpg\r\r", b"a.jpg"),
        (b"x/./a.jpg", b"x/a.jpg"),
        (b"x//a.jpg", b"x/a.jpg"),
        (b".//x/././/a.jpg", b"x/a.jpg"),
        (b"//x/a.jpg", b"/x/a.jpg"),
        (b"x./a.jpg", b"x./a.jpg"),
        (b"x/.a/.b.jpg", b"x/.a/.b.jpg"),
        (b"../x/../a.jpg", b"../x/../a.jpg"),
        (b"../a.jpg", b"../a.jpg"),
        (b".a.jpg", b".a.jpg"),
        (b"/a.jpg", b"/a.jpg"),
        (b"a\r.jpg", b"a\r.jpg"),
    ],
)
@pytest.mark.parametrize("others", [b"", b"b.jpg\n"])
def test_paths_are_put_into_their_shortest_form(line: bytes, path: bytes, others: bytes) -> None:
    assert clean_lines(others + line + b"\n" + others) == others + path + b"\n" + others
    assert clean_lines(path) == path + b"\n"


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 7, 50, 333, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, mark: bytes, end: bytes
) -> None:
    lines = [b"%d/%s%d.jpg" % (number // 20, b"x" * (number % 13), number) for number in range(100)]
    random.Random(3).shuffle(lines)
    monkeypatch.setattr(read_list, "BLOCK_BYTES", block_bytes)
    content = mark + b"\n".join(lines) + end
    assert read(tmp_path, content) == lines
    blocks = find_blocks(tmp_path / "list")
    assert b"".join(content[begin:end] for begin, end, _ in blocks) == content.removeprefix(mark)
    assert [digest for *_, digest in blocks] == [xxhash.xxh3_128_digest(content[begin:end]) for begin, end, _ in blocks]
    assert len(blocks) <= len(content) // block_bytes + 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    text = "a.jpg\n" if encoding == "utf-16" else "\ufeffa.jpg\n"
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path))}/list is UTF-16\. Save it as UTF-8\.$"):
        read(tmp_path, text.encode(encoding))


def test_a_missing_list(tmp_path: Path) -> None:
    for missing in (lambda: find_blocks(tmp_path / "list"), lambda: read_bytes(tmp_path / "list", 0, 1)):
        with pytest.raises(UserError, match=r"list: cannot be read: No such file or directory$"):
            missing()


@pytest.mark.parametrize("content", [b"", b"a.jp", b"b.jpg\n"])
def test_a_list_that_changes_while_it_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(b"a.jpg\n")
    (block,) = find_blocks(tmp_path / "list")
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(UserError, match=r"list has changed while it was being read\. Run again\.$"):
        list(read_block(tmp_path / "list", block))
    assert list(read_block(tmp_path / "list", ListBlock(0, len(content), xxhash.xxh3_128_digest(content))))
