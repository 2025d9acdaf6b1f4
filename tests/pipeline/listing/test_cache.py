import errno
import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.listing import cache as known
from pipeline.listing.cache import cache_folder, read_scan, write_scan
from pipeline.listing.folder_scan import LEAVES_OF_FOLDERS, Folder, Scan, scan_tree
from pipeline.listing.leaves import hash_check

FOLDERS = {
    b"": Folder(1, 2, 3, 0, [b"a", b"\xff\n"], 0, []),
    b"a/": Folder(-5, 7_000_000_000 * 10**9, 0, 2**40, [], 3, [b"@eaDir"]),
}
SCAN = Scan(FOLDERS, pl.DataFrame([(b"a/", 3, 2**40, 2**64 - 1, 0)], LEAVES_OF_FOLDERS, orient="row"))


def check_same(one: Scan, other: Scan) -> None:
    assert one.folders == other.folders
    assert_frame_equal(one.leaves, other.leaves, check_row_order=False)


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
        tmp_path / "folders.parquet", metadata={known.CHECK_NOTE: hash_check()}
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


def test_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    write_scan(SCAN, tmp_path / "file" / "cache")

    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(known, "write_table", full)
    write_scan(SCAN, tmp_path / "cache")
