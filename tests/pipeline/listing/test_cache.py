import errno
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data_manifest.errors import UserError
from pipeline.listing import cache as known
from pipeline.listing.cache import cache_folder, known_digest_of_list, read_scan, state_of, write_scan
from pipeline.listing.folder_scan import LEAVES_OF_FOLDERS, Folder, Scan, scan_tree
from pipeline.listing.leaves import hash_check
from pipeline.listing.read_list import digest_of_list

AnHourPasses = Callable[[], None]
FOLDERS = {
    b"": Folder(1, 2, 3, 0, (b"a", b"\xff\n")),
    b"a/": Folder(-5, 7_000_000_000 * 10**9, 0, 2**40, ()),
}
SCAN = Scan(FOLDERS, pl.DataFrame([(b"a/", 3, 2**40, 2**64 - 1, 0)], LEAVES_OF_FOLDERS, orient="row"))


def check_same(one: Scan, other: Scan) -> None:
    assert one.folders == other.folders
    assert_frame_equal(one.leaves, other.leaves, check_row_order=False)


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    (tmp_path / "list").write_bytes(b"a.jpg\n")
    return tmp_path / "list"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list to which each file is added that is read as a whole."""
    seen: list[Path] = []

    def noted(path: Path) -> str:
        seen.append(path)
        return digest_of_list(path)

    monkeypatch.setattr(known, "digest_of_list", noted)
    return seen


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # printf /data/train | sha256sum
    assert cache_folder(Path("A"), Path("/data/train")) == Path("A/.listings/198aece320aa8710")
    monkeypatch.chdir(tmp_path)
    assert cache_folder(Path("A"), Path("train")) == cache_folder(Path("A"), tmp_path / "train")


def test_folders_come_back_as_they_were(tmp_path: Path, train: Path) -> None:
    for scan in (SCAN, scan_tree(train, Scan())):
        write_scan(scan, tmp_path / "cache")
        check_same(read_scan(tmp_path / "cache"), scan)


def test_folders_that_are_not_kept(tmp_path: Path) -> None:
    check_same(read_scan(tmp_path / "none"), Scan())


def test_folders_that_an_older_version_kept(tmp_path: Path) -> None:
    write_scan(SCAN, tmp_path)
    pl.read_parquet(tmp_path / "folders.parquet").drop("leaf").write_parquet(
        tmp_path / "folders.parquet", metadata={known.HASH_NOTE: hash_check()}
    )
    check_same(read_scan(tmp_path), Scan())


def test_folders_that_were_hashed_in_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(SCAN, tmp_path)
    monkeypatch.setattr(known, "hash_check", lambda: "another")
    check_same(read_scan(tmp_path), Scan())


@pytest.mark.parametrize("length", [0, 1, 4, 100, 500, -1])
def test_folders_that_were_cut_off(tmp_path: Path, length: int) -> None:
    write_scan(SCAN, tmp_path)
    content = (tmp_path / "folders.parquet").read_bytes()
    (tmp_path / "folders.parquet").write_bytes(content[:length])
    check_same(read_scan(tmp_path), Scan())
    (tmp_path / "folders.parquet").write_bytes(random.Random(1).randbytes(len(content)))
    check_same(read_scan(tmp_path), Scan())


def test_the_digest_of_a_list_that_did_not_change(
    list_file: Path, tmp_path: Path, reads: list[Path], an_hour_passes: AnHourPasses
) -> None:
    an_hour_passes()
    # as in test_listing.py
    assert [known_digest_of_list(list_file, tmp_path / "cache") for _ in range(3)] == ["7732d1b8cb130d43"] * 3
    assert reads == [list_file]


def test_young_times_of_a_list_are_not_trusted(list_file: Path, tmp_path: Path, reads: list[Path]) -> None:
    for _ in range(3):
        assert known_digest_of_list(list_file, tmp_path / "cache") == "7732d1b8cb130d43"
    os.utime(list_file, (7e9, 7e9))  # nor one to come
    known_digest_of_list(list_file, tmp_path / "cache")
    known_digest_of_list(list_file, tmp_path / "cache")
    assert reads == [list_file] * 5


@pytest.mark.parametrize("in_place", [True, False])
def test_a_list_of_the_same_size_and_time(
    list_file: Path, tmp_path: Path, an_hour_passes: AnHourPasses, in_place: bool
) -> None:
    an_hour_passes()
    times, first = list_file.stat(), known_digest_of_list(list_file, tmp_path / "cache")
    if not in_place:
        list_file.unlink()
    list_file.write_bytes(b"b.jpg\n")
    os.utime(list_file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert known_digest_of_list(list_file, tmp_path / "cache") != first


def test_a_touch_reads_a_list_again(
    list_file: Path, tmp_path: Path, reads: list[Path], an_hour_passes: AnHourPasses
) -> None:
    an_hour_passes()
    first = known_digest_of_list(list_file, tmp_path / "cache")
    os.utime(list_file, (1e9, 1e9))
    assert known_digest_of_list(list_file, tmp_path / "cache") == first
    assert len(reads) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", "{}", '{"state": 1}', "\0", "STATE ONLY", "ODD CLOCK"])
def test_a_broken_note_on_a_list(list_file: Path, tmp_path: Path, an_hour_passes: AnHourPasses, content: str) -> None:
    an_hour_passes()
    (tmp_path / "cache").mkdir()
    state = list(state_of(list_file))
    made = {"STATE ONLY": {"state": state}, "ODD CLOCK": {"state": state, "looked_at_ns": "x", "digest": "y"}}
    text = json.dumps(made[content]) if content in made else content
    (tmp_path / "cache" / "list.json").write_text(text)
    assert known_digest_of_list(list_file, tmp_path / "cache") == "7732d1b8cb130d43"


def test_where_nothing_can_be_kept(
    list_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert known_digest_of_list(list_file, tmp_path / "file" / "cache") == "7732d1b8cb130d43"
    write_scan(SCAN, tmp_path / "file" / "cache")

    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(known, "write_table", full)
    write_scan(SCAN, tmp_path / "cache")


def test_a_list_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list: cannot be read: No such file or directory$"):
        known_digest_of_list(tmp_path / "list", tmp_path / "cache")


def test_a_digest_that_was_kept_under_another_rule_is_not_taken(
    list_file: Path, tmp_path: Path, an_hour_passes: Callable[[], None]
) -> None:
    an_hour_passes()
    digest = known_digest_of_list(list_file, tmp_path / "cache")
    kept = tmp_path / "cache" / "list.json"
    for change in ({"rule": 1}, {"rule": None}):
        kept.write_text(json.dumps({**json.loads(kept.read_text()), "digest": "another", **change}))
        assert known_digest_of_list(list_file, tmp_path / "cache") == digest
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "digest": "another"}))
    assert known_digest_of_list(list_file, tmp_path / "cache") == "another"
