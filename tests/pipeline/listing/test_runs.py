from pathlib import Path

import numpy as np
import pytest

from data_manifest.errors import UserError
from pipeline.runs import Run, add_sums, clean_line, read_runs


def paths_of(*runs: Run) -> list[bytes]:
    return [path for paths in read_runs(runs) for path in paths]


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
        (b"", b""),
    ],
)
def test_clean_lines_stay_as_they_are(line: bytes, path: bytes) -> None:
    assert clean_line(line) == clean_line(path) == path


def test_paths_parted_by_nul(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_bytes(b"x/a\nb.jpg\0 \n.jpg")
    assert paths_of(Run(tmp_path / "scratch", 0, 16, 2, b"\0")) == [b"x/a\nb.jpg", b" \n.jpg"]


def test_a_run_that_cannot_be_read_whole_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"a.jpg\nb.jpg\n")
    with pytest.raises(UserError, match=r"lines has changed while it was being read: run again$"):
        Run(tmp_path / "lines", 0, 100, 2).read_into(np.empty(100, np.uint8))


def test_runs_that_are_written_in_different_ways_are_read_together(tmp_path: Path) -> None:
    content = b"x/a\n./x/b\r\nx/c\0d\n./x/e\r\nx/f\n"
    (tmp_path / "lines").write_bytes(content)
    runs, start = [], 0
    for idle, line in zip([(0, 0), (2, 1), None, None, (0, 0)], content.splitlines(keepends=True), strict=True):
        runs.append(Run(tmp_path / "lines", start, len(line), 1, idle=idle))
        start += len(line)
    assert paths_of(*runs) == [b"x/a", b"x/b", b"x/c\0d", b"x/e", b"x/f"]


def test_sums_of_parts() -> None:
    assert add_sums([]) == (0, 0)
    assert add_sums([(1, 2), (2**64 - 1, 5)]) == (0, 7)
    assert add_sums([(1, 2), None]) is None
