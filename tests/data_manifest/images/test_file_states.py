"""Sizes and modification times of a manifest's images."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.images import file_states
from data_manifest.images.file_states import ImageStates, changed_images, stat_images, stat_manifest, stat_partitions

LONG_AGO = 1_500_000_000


def write(file: Path, content: bytes, when: float = LONG_AGO) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (when, when))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five images in two folders, one with a name that is not ASCII."""
    for number, path in enumerate(("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/é 4.jpg", "b/5.jpg")):
        write(tmp_path / "images" / path, b"x" * number, LONG_AGO + number)
    return tmp_path / "images"


@pytest.fixture
def manifest(tmp_path: Path, images: Path) -> Path:
    """Their manifest, in two partitions."""
    (tmp_path / "manifest" / "manifest").mkdir(parents=True)
    for part in ("a", "b"):
        paths = sorted(str(path.relative_to(images)) for path in (images / part).iterdir())
        pl.DataFrame({"path": paths}).write_parquet(tmp_path / "manifest" / "manifest" / f"part-{part}.parquet")
    return tmp_path / "manifest"


def test_states_are_those_of_the_system_in_the_order_of_the_manifest(manifest: Path, images: Path) -> None:
    states = pl.concat(stat_partitions(manifest, images))
    assert len(states) == 5
    for path, size, modified_ns in states.iter_rows():
        found = (images / path).stat()
        assert (size, modified_ns) == (found.st_size, found.st_mtime_ns)
    assert states["path"].to_list() == ["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/5.jpg", "b/é 4.jpg"]


def test_the_digest_follows_each_file(manifest: Path, images: Path) -> None:
    first = stat_manifest(manifest, images)
    digests = {first.digest}
    write(images / "a/2.jpg", b"y", LONG_AGO + 9)  # another time, the same size
    digests.add(stat_manifest(manifest, images).digest)
    write(images / "a/2.jpg", b"yy", LONG_AGO + 1)  # another size, the time of before
    digests.add(stat_manifest(manifest, images).digest)
    (images / "b/5.jpg").unlink()
    digests.add(stat_manifest(manifest, images).digest)
    assert len(digests) == 4
    write(images / "a/2.jpg", b"y", LONG_AGO + 1)
    write(images / "b/5.jpg", b"xxxx", LONG_AGO + 4)
    assert stat_manifest(manifest, images) == first, "restored with the old times"
    assert stat_manifest(manifest, images.rename(images.with_name("moved"))) == first
    assert first.digest != ImageStates(()).digest


def test_swapped_files_are_another_digest(manifest: Path, images: Path) -> None:
    before = stat_manifest(manifest, images).digest
    (images / "a/1.jpg").rename(images / "kept")
    (images / "a/2.jpg").rename(images / "a/1.jpg")
    (images / "kept").rename(images / "a/2.jpg")
    assert stat_manifest(manifest, images).digest != before


def test_changed_images_are_those_with_another_state(images: Path) -> None:
    paths = pl.Series("path", ["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/gone.jpg"])
    states = stat_images(paths, images)
    assert states["bytes"].to_list() == [0, 1, 2, None]
    assert changed_images(states, images).is_empty()
    write(images / "a/2.jpg", b"y", LONG_AGO + 9)
    (images / "b/3.jpg").unlink()
    write(images / "b/gone.jpg", b"found")
    changed = changed_images(states, images)
    assert changed.select("path", "bytes").rows() == [("a/2.jpg", 1), ("b/3.jpg", None), ("b/gone.jpg", 5)]


def test_a_file_that_was_just_written_is_checked_again_later(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the resolution of the clock, it could change once more and keep its time."""
    write(images / "a/1.jpg", b"new", time.time())
    monkeypatch.setattr("data_manifest.images.file_states.time.sleep", lambda _: write(images / "a/1.jpg", b"newest"))
    states = stat_images(pl.Series("path", ["a/1.jpg", "a/2.jpg"]), images)
    assert states["bytes"].to_list() == [len(b"newest"), 1]


def test_files_that_are_being_written_end_the_command(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_states, "MAX_WAIT_SECONDS", 0)
    write(images / "a/1.jpg", b"new", time.time())
    with pytest.raises(UserError, match=r"a/1\.jpg: still being written\. Wait until all images are there"):
        stat_images(pl.Series("path", ["a/1.jpg"]), images)


def test_missing_images_and_folders(manifest: Path, images: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        stat_manifest(manifest, images / "elsewhere")
    with pytest.raises(UserError, match=r"none of the 5 images is there\. Give the folder that the manifest"):
        stat_manifest(manifest, manifest)


def test_a_state_that_cannot_be_read(images: Path) -> None:
    (images / "a/1.jpg").unlink()
    (images / "a/1.jpg").symlink_to(images / "a/1.jpg")
    paths = pl.Series("path", ["a/1.jpg", "a/2.jpg"])
    with pytest.raises(UserError, match=r"a/1\.jpg: cannot read its size and time: Too many levels of symbolic links"):
        stat_images(paths, images)
    assert stat_images(paths, images, skip_errors=True)["bytes"].to_list() == [None, 1]


@pytest.mark.parametrize(("slow_s", "most"), [(0.0, 16), (60.0, 2)])
def test_slow_disks_are_read_by_more_threads(
    slow_s: float, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def executor(count: int) -> ThreadPoolExecutor:
        asked.append(count)
        return ThreadPoolExecutor(count)

    monkeypatch.setattr(file_states, "SLOW_STAT_S", slow_s)
    monkeypatch.setattr(file_states, "IMAGES_AT_A_TIME", 3)
    monkeypatch.setattr(file_states, "ThreadPoolExecutor", executor)
    paths = [f"{number}.jpg" for number in range(10)]
    for number, path in enumerate(paths):
        (tmp_path / path).write_bytes(b"x" * number)
        os.utime(tmp_path / path, (1, 1))
    states = stat_images(pl.Series("path", paths), tmp_path)
    assert states["bytes"].to_list() == list(range(10))
    assert states["path"].to_list() == paths
    assert asked == [most]
