"""The cache folder: its writer, the files found in it, and foreign files, which stay untouched."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data_manifest.errors import UserError
from tests.helpers import files_in
from training.data.reads.lookahead.cache_folder import (
    LOCK_FILE,
    CacheFiles,
    check_space,
    make_cache_folder,
    opened_cache,
    space_of,
)
from training.data.reads.lookahead.cached_store import ImageCache

MODIFIED_NS = 1_700_000_000_123_456_789


def _cache(folder: Path) -> ImageCache:
    with opened_cache(folder):
        return ImageCache(folder, "/images")


def test_a_written_image_is_read_and_found(tmp_path: Path) -> None:
    cache = _cache(tmp_path / "new" / "cache")
    for path, content in {"a/é.jpg": b"some bytes", "b.jpg": b""}.items():
        assert cache.read(path) is None
        cache.write(path, content, MODIFIED_NS)
        assert cache.read(path) == content
    found = CacheFiles.scan(cache.folder, clean=True)
    assert sorted(found.image_bytes) == [0, 10]
    assert found.modified_ns.tolist() == [MODIFIED_NS] * 2
    names = np.array([cache.name("b.jpg"), 1, cache.name("a/é.jpg")], np.uint64)
    assert (found.find(names) >= 0).tolist() == [True, False, True]
    assert found.image_bytes[found.find(names)[[0, 2]]].tolist() == [0, 10]


@pytest.mark.parametrize("unit_ns", [1, 1_000, 10_000_000, 1_000_000_000, 2_000_000_000])
def test_images_are_found_whatever_the_unit_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit_ns: int
) -> None:
    cache, utime = _cache(tmp_path), os.utime

    def coarse(file: str | int, ns: tuple[int, int]) -> None:
        utime(file, ns=(ns[0] // unit_ns * unit_ns, ns[1] // unit_ns * unit_ns))

    monkeypatch.setattr(os, "utime", coarse)
    cache.write("1.jpg", b"one", MODIFIED_NS)
    found = CacheFiles.scan(tmp_path, clean=True)
    numbers = found.find(np.array([cache.name("1.jpg"), 1, cache.name("1.jpg"), cache.name("1.jpg")], np.uint64))
    times = np.array([MODIFIED_NS, MODIFIED_NS, MODIFIED_NS + unit_ns, MODIFIED_NS])
    assert found.are_of(numbers, np.array([3, 3, 3, 4]), times).tolist() == [True, False, False, False]


def test_images_of_another_folder_are_others(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.write("1.jpg", b"one", MODIFIED_NS)
    assert ImageCache(tmp_path, "s3://bucket/images").read("1.jpg") is None


@pytest.mark.parametrize("damaged", [b"", b"short", b"onE" + bytes(8), bytes(11), bytes(4096)])
def test_damaged_file_is_removed(tmp_path: Path, damaged: bytes) -> None:
    cache = _cache(tmp_path)
    cache.write("1.jpg", b"one", MODIFIED_NS)
    Path(cache.file(cache.name("1.jpg"))).write_bytes(damaged)
    assert cache.read("1.jpg") is None
    assert not Path(cache.file(cache.name("1.jpg"))).exists()


def test_unfinished_files_are_not_read_and_are_removed_by_the_writer(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.write("1.jpg", b"one", MODIFIED_NS)
    file = Path(cache.file(cache.name("1.jpg")))
    unfinished = file.rename(f"{file}.unfinished")
    assert cache.read("1.jpg") is None
    assert len(CacheFiles.scan(tmp_path, clean=False)) == 0
    assert unfinished.exists()
    CacheFiles.scan(tmp_path, clean=True)
    assert not unfinished.exists()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    expected = r"--cache-folder .*: has other files in it\. Give an empty folder"
    with pytest.raises(UserError, match=expected), opened_cache(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]


def test_several_processes_may_make_a_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Path.iterdir

    def list_after_another_process(folder: Path) -> Iterator[Path]:
        (folder / LOCK_FILE).touch()
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", list_after_another_process)
    make_cache_folder(tmp_path / "cache")


def test_foreign_files_are_not_found_or_removed(tmp_path: Path) -> None:
    _cache(tmp_path)
    foreign = "thesis.tex", "ab/thesis.tex", "ab/ab.unfinished", "ab/cd00000000000000", "ab/ab0000000000000"
    for name in (*foreign, "0123456789abcdef"):
        (tmp_path / name).write_bytes(b"foreign")
    before = files_in(tmp_path)
    assert len(CacheFiles.scan(tmp_path, clean=True)) == 0
    assert files_in(tmp_path) == before


def test_only_one_training_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened_cache(tmp_path) as first, opened_cache(tmp_path) as second:
        assert (first, second) == (True, False)
    assert "in use by another training: this one reads from it, and adds nothing" in caplog.text
    with opened_cache(tmp_path) as later:
        assert later


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: not a folder"), opened_cache(tmp_path / "file"):
        pass


def test_too_small_a_disk_is_an_error(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    with pytest.raises(UserError, match=r"--cache-gb .* free, and 0 B are in the cache\. Free some, or lower"):
        check_space(tmp_path, 2 * free, 0)
    check_space(tmp_path, 2 * free, 3 * free // 2)


def test_space_is_that_of_blocks(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    sizes = [0, 1, 4088, 4089, 100_000]
    for size in sizes:
        cache.write(f"{size}.jpg", bytes(size), MODIFIED_NS)
        size_on_disk = Path(cache.file(cache.name(f"{size}.jpg"))).stat().st_blocks * 512
        assert space_of(size) >= size_on_disk
        assert space_of(size) - 4096 < size + 8
    assert space_of(np.array(sizes)).tolist() == [space_of(size) for size in sizes]
    assert (tmp_path / LOCK_FILE).exists()
