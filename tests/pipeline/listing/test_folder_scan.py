import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from data_manifest.errors import UserError
from data_manifest.images.file_states import is_settled
from pipeline.listing import folder_scan
from pipeline.listing.folder_scan import Folder, Scan, read_folders, scan_tree
from pipeline.listing.leaves import NUM_LEAVES, Leaves, hash_lines

AnHourPasses = Callable[[], None]
IMAGES = [b"37.70/b.JPG", b"37.70/deep/c.Jpeg", b"@x/d.png", b"a.jpg"]
SECOND = 10**9


def images_in(folder: Path) -> list[bytes]:
    """Return the sorted paths of the images that a scan finds, checked against its counts and sums."""
    scan = scan_tree(folder, Scan())
    content = b"".join(read_folders(folder, sorted(scan.folders)))
    paths = content.split(b"\n")[:-1]
    assert len(paths) == sum(found.count for found in scan.folders.values()) == scan.leaves["rows"].sum()
    hashed = hash_lines(content)
    assert np.array_equal(Leaves().add(scan.leaves).sums.sum(axis=1), hashed.hashes.sum(axis=1))
    assert np.array_equal(Leaves().add(scan.leaves).rows, np.bincount(hashed.leaves, minlength=NUM_LEAVES))
    return sorted(path.replace(b"\0", b"\n") for path in paths)


def digest_of(scan: Scan) -> str:
    return Leaves().add(scan.leaves).digest()


def what_is_in(scan: Scan) -> dict[bytes, tuple[int, list[bytes]]]:
    """Return what a scan found but for its times."""
    return {path: (folder.count, list(folder.children)) for path, folder in scan.folders.items()}


def test_images_are_told_by_their_names(train: Path) -> None:
    assert images_in(train) == IMAGES
    found = scan_tree(train, Scan()).folders
    assert found.keys() == {b"", b"37.70/", b"37.70/deep/", b"@x/", b"folder.jpg/", b"nothing/"}
    assert found[b""].children == [b"37.70", b"@x", b"folder.jpg", b"nothing"]
    assert found[b""].modified_ns == train.stat().st_mtime_ns


def test_settled_times() -> None:
    assert is_settled((0, 0), 2 * SECOND + 1)
    assert not is_settled((0, 0), 2 * SECOND)
    assert not is_settled((0, 1), 2 * SECOND + 1)
    assert not is_settled((5 * SECOND, 0), 3 * SECOND)  # the clock was set back
    folder = Folder(10, 20, 3 * SECOND, 0, ())
    assert folder.is_unchanged(10, 20)
    assert not folder.is_unchanged(10, 21)
    assert not folder.is_unchanged(9, 20)


def test_what_is_settled_is_not_listed_again(
    train: Path, an_hour_passes: AnHourPasses, listed_folders: list[str]
) -> None:
    an_hour_passes()
    found = scan_tree(train, Scan())
    assert sorted(listed_folders) == ["37.70", "@x", "deep", "folder.jpg", "nothing", "train"]
    listed_folders.clear()
    again = scan_tree(train, found)
    assert again.folders == found.folders
    assert_frame_equal(again.leaves, found.leaves, check_row_order=False)
    assert listed_folders == []


def test_what_changed_is_listed_again_and_nothing_else(
    train: Path, an_hour_passes: AnHourPasses, listed_folders: list[str]
) -> None:
    an_hour_passes()
    found = scan_tree(train, Scan())
    listed_folders.clear()
    (train / "37.70" / "deep" / "new.jpg").touch()
    (train / "nothing" / "new").mkdir()
    again = scan_tree(train, found)
    assert sorted(listed_folders) == ["deep", "new", "nothing"]
    assert what_is_in(again) == what_is_in(scan_tree(train, Scan()))
    assert digest_of(again) == digest_of(scan_tree(train, Scan()))
    assert again.folders[b"37.70/deep/"].count == 2


def test_young_times_are_not_trusted(train: Path, listed_folders: list[str]) -> None:
    found = scan_tree(train, Scan())
    listed_folders.clear()
    scan_tree(train, found)
    assert len(listed_folders) == 6


def test_a_change_that_leaves_the_time_as_it_was(train: Path) -> None:
    """As where a file system counts whole seconds: the time is that of before, and young."""
    found = scan_tree(train, Scan())
    times = (train / "@x").stat()
    (train / "@x" / "e.png").touch()
    os.utime(train / "@x", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert scan_tree(train, found).folders[b"@x/"].count == 2


@pytest.mark.parametrize("modified", [0, 1_000_000_000, 7_000_000_000], ids=["1970", "2001", "2191"])
def test_a_time_that_was_set_is_not_all_there_is(train: Path, an_hour_passes: AnHourPasses, modified: int) -> None:
    """Unpacking gives all folders times of old, and the next version of a data set the very same."""
    for folder in (train, train / "@x"):
        os.utime(folder, (modified, modified))
    an_hour_passes()
    found = scan_tree(train, Scan())
    shutil.rmtree(train / "@x")
    (train / "@x").mkdir()
    (train / "@x" / "another.png").touch()
    for folder in (train, train / "@x"):
        os.utime(folder, (modified, modified))
    assert digest_of(scan_tree(train, found)) == digest_of(scan_tree(train, Scan()))


def test_a_time_to_come_is_not_trusted(train: Path, listed_folders: list[str]) -> None:
    os.utime(train / "@x", (7e9, 7e9))
    found = scan_tree(train, Scan())
    listed_folders.clear()
    scan_tree(train, found)
    assert "@x" in listed_folders


def test_a_touch_lists_again_and_finds_the_same(
    train: Path, an_hour_passes: AnHourPasses, listed_folders: list[str]
) -> None:
    an_hour_passes()
    found = scan_tree(train, Scan())
    listed_folders.clear()
    os.utime(train / "@x", (1e9, 1e9))
    again = scan_tree(train, found)
    assert listed_folders == ["@x"]
    assert what_is_in(again) == what_is_in(found)


def test_a_link_whose_end_changes_is_seen(train: Path, tmp_path: Path, an_hour_passes: AnHourPasses) -> None:
    """As when a disk is mounted or not: the folder that holds the link does not change."""
    (train / "disk2").symlink_to(tmp_path / "mnt")
    an_hour_passes()
    without = scan_tree(train, Scan())
    (tmp_path / "mnt").mkdir()
    (tmp_path / "mnt" / "x.jpg").touch()
    mounted = scan_tree(train, without)
    assert mounted.folders[b"disk2/"].count == 1
    shutil.rmtree(tmp_path / "mnt")
    assert scan_tree(train, mounted).folders.keys() == without.folders.keys()


def test_links_to_images_do_not_have_a_folder_listed_again(
    train: Path, an_hour_passes: AnHourPasses, listed_folders: list[str]
) -> None:
    (train / "y.jpg").symlink_to("a.jpg")
    an_hour_passes()
    found = scan_tree(train, Scan())
    listed_folders.clear()
    again = scan_tree(train, found)
    assert again.folders == found.folders
    assert_frame_equal(again.leaves, found.leaves, check_row_order=False)
    assert listed_folders == []


def test_a_folder_that_is_gone_when_it_is_read(train: Path) -> None:
    with pytest.raises(UserError, match=r"gone/: cannot be listed: No such file or directory$"):
        list(read_folders(train, [b"gone/"]))


@pytest.mark.parametrize("names_at_a_time", [1, 2, 3, 100])
def test_batches_of_any_size(train: Path, monkeypatch: pytest.MonkeyPatch, names_at_a_time: int) -> None:
    whole = digest_of(scan_tree(train, Scan()))
    for number in range(5):
        (train / "@x" / f"{number}.jpg").touch()
    more = digest_of(scan_tree(train, Scan()))
    monkeypatch.setattr(folder_scan, "NAMES_AT_A_TIME", names_at_a_time)
    assert digest_of(scan_tree(train, Scan())) == more != whole
    assert len(images_in(train)) == len(IMAGES) + 5


def test_links_that_lead_in_a_circle(train: Path, caplog: pytest.LogCaptureFixture) -> None:
    (train / "37.70" / "up").symlink_to(train)
    (train / "37.70" / "deep" / "here").symlink_to(".")
    caplog.set_level(logging.WARNING)
    assert images_in(train) == IMAGES
    assert sorted(caplog.messages) == [
        f"{train}/37.70/deep/here leads back to a folder above it: not followed",
        f"{train}/37.70/up leads back to a folder above it: not followed",
    ]


def test_two_folders_that_link_to_each_other(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / f"{name}.jpg").touch()
        (tmp_path / "train" / name / "other").symlink_to(tmp_path / "train" / other)
    found = images_in(tmp_path / "train")
    assert found == [b"a/a.jpg", b"a/other/b.jpg", b"b/b.jpg", b"b/other/a.jpg"]


def test_a_link_to_a_folder_above_the_images_ends(train: Path) -> None:
    (train / "up").symlink_to(train.parent)
    (train.parent / "beside").mkdir()
    (train.parent / "beside" / "x.jpg").touch()
    assert images_in(train) == [*IMAGES, b"up/beside/x.jpg"]


def test_links_to_elsewhere_are_followed(train: Path, tmp_path: Path) -> None:
    (tmp_path / "disk2" / "37.71").mkdir(parents=True)
    (tmp_path / "disk2" / "37.71" / "x.jpg").touch()
    (train / "37.71").symlink_to(tmp_path / "disk2" / "37.71")
    (train / "y.jpg").symlink_to(tmp_path / "disk2" / "37.71" / "x.jpg")
    (tmp_path / "linked").symlink_to(train)
    expected = sorted([*IMAGES, b"37.71/x.jpg", b"y.jpg"])
    assert images_in(train) == images_in(tmp_path / "linked") == expected


def test_links_that_lead_nowhere_are_listed_by_their_names(train: Path) -> None:
    (train / "gone.jpg").symlink_to("nowhere.jpg")
    (train / "gone").symlink_to("nowhere")
    (train / "itself").symlink_to("itself")
    (train / "itself.jpg").symlink_to("itself.jpg")
    assert images_in(train) == [*IMAGES, b"gone.jpg", b"itself.jpg"]


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "train" / os.fsdecode(b"\xff\xfe")
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"\xe4.jpg")).touch()
    assert images_in(tmp_path / "train") == [b"\xff\xfe/\xe4.jpg"]
    assert images_in(folder) == [b"\xe4.jpg"]


def test_a_name_with_a_newline_comes_through(tmp_path: Path) -> None:
    (tmp_path / "a\nb.jpg").touch()
    assert images_in(tmp_path) == [b"a\nb.jpg"]


def test_names_of_255_bytes(tmp_path: Path) -> None:
    (tmp_path / ("f" * 255)).mkdir()
    (tmp_path / ("f" * 255) / ("x" * 251 + ".jpg")).touch()
    assert images_in(tmp_path) == [b"f" * 255 + b"/" + b"x" * 251 + b".jpg"]


def test_a_folder_that_cannot_be_listed(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(folder: bytes) -> object:
        if folder.endswith(b"37.70"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(UserError) as error:
        scan_tree(train, Scan())
    assert str(error.value) == f"{train}/37.70: cannot be listed: Permission denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any folder")
def test_a_folder_without_permission(train: Path) -> None:
    (train / "37.70").chmod(0)
    try:
        with pytest.raises(UserError, match=r"37\.70: cannot be listed: Permission denied"):
            scan_tree(train, Scan())
    finally:
        (train / "37.70").chmod(0o755)


def test_a_link_that_cannot_be_followed(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name, path = b"x", os.fsencode(train) + b"/x"

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def __iter__(self) -> Iterator[Self]:
            return iter([self])

        def is_dir(self) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied", self.path)

    monkeypatch.setattr(os, "scandir", lambda folder: Entry())
    with pytest.raises(UserError) as error:
        scan_tree(train, Scan())
    assert str(error.value) == f"{train}/x: cannot be followed: Permission denied"
