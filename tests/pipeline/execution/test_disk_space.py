"""The room that is said to be needed, against what tables come to, and what happens where it is not there."""

import logging
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts
from data_manifest.store.staging import STAGING
from pipeline.execution.disk_space import check_space, room_for_groups, room_for_manifest
from pipeline.groups import build_groups as groups_module
from pipeline.groups.build_groups import build_groups
from pipeline.listing.list_images import Listing, list_images
from pipeline.manifest.build_manifest import build_manifest

MB = 1_000_000
ListingOf = Callable[..., Listing]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have disks of 1 TB with so many bytes free."""

    def free(count: int) -> None:
        usage = SimpleNamespace(total=10**12, used=10**12 - count, free=count)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    return free


def panoramas(count: int, folders: int = 40) -> list[str]:
    """Names as in SF-XL: 12 crops of each panorama."""
    choose = random.Random(0)
    names = []
    for number in range(count):
        pano, first = choose.randbytes(11).hex(), choose.randrange(360)
        east, north = 545_900 + choose.randrange(2000) / 100, 4_184_900 + choose.randrange(2000) / 100
        names += [
            f"37.{number * folders // count}/@0{east:.2f}@{north:.2f}@10@S@037.81098@-122.47762@{pano}@@{heading % 360}"
            f"@@@@{2007 + number % 15}01@@.jpg"
            for heading in range(first, first + 360, 30)
        ]
    return names


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_estimates() -> None:
    assert room_for_manifest(41_200_000, 4_000_000_000) == 4_412_000_000
    assert room_for_groups(41_200_000, 4_000_000_000) == 5_071_200_000


def test_estimates_are_near_the_actual_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = panoramas(2000)
    (tmp_path / "train_images_paths.txt").write_text("\n".join(names))
    path_bytes = sum(map(len, names))
    manifest = build_manifest(tmp_path / "train", tmp_path / "A", strict=False)
    assert 0.5 < (bytes_in(manifest) + path_bytes) / room_for_manifest(len(names), path_bytes) < 2
    assert 0.5 < bytes_in(manifest) / room_for_manifest(len(names), 0) < 4  # a small table's share of names is large
    scratch: list[int] = []
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **named: scratch.append(bytes_in(folder)))
    groups = build_groups(manifest, tmp_path / "A")
    assert room_for_groups(len(names), path_bytes) == pytest.approx(scratch[0] + bytes_in(groups / "members"), rel=0.5)


def test_estimate_of_a_list(tmp_path: Path, listing_of: ListingOf) -> None:
    names = panoramas(500)
    images, path_bytes = listing_of(names).estimate()
    assert images == pytest.approx(6000, rel=0.02)
    assert path_bytes == sum(len(name) + 1 for name in names)
    assert listing_of(["a.jpg"]).estimate() == (1, 6)
    assert listing_of([]).estimate() == (0, 0)
    listing = listing_of(names)
    (tmp_path / "train_images_paths.txt").unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        listing.estimate()


def test_estimate_of_a_tree(tmp_path: Path) -> None:
    names = panoramas(10, folders=3)
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    images, path_bytes = list_images(tmp_path).estimate()
    assert images == 120
    assert path_bytes == pytest.approx(sum(map(len, names)), rel=0.1)


def test_needed_and_free_space_are_logged(
    tmp_path: Path, free: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    free(80_000 * MB)
    check_space(tmp_path / "not" / "there yet", 1_200 * MB, "manifest of x")
    check_space(tmp_path, 1_200 * MB, "manifest of x", at_most=True)
    assert caplog.messages == [
        f"manifest of x: needs about 1.2 GB, 80.0 GB free in {tmp_path}/not/there yet",
        f"manifest of x: needs at most about 1.2 GB, 80.0 GB free in {tmp_path}",
    ]


def test_too_little_space_is_an_error(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(MB)
    check_space(tmp_path, MB, "groups of x")
    check_space(tmp_path, MB + 1, "groups of x", at_most=True)
    message = f"groups of x: needs about 1.5 MB; 1.0 MB are free in {tmp_path}. Free some or choose --artifacts-folder."
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        check_space(tmp_path, 3 * MB // 2, "groups of x")


def test_file_system_of_unknown_size_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, used=0, free=0))
    check_space(tmp_path, MB, "groups of x")


def test_nothing_is_written_without_space(tmp_path: Path, listing_of: ListingOf, free: Callable[[int], None]) -> None:
    listing = listing_of(panoramas(100))
    free(1000)
    with pytest.raises(UserError, match="manifest of city: needs about"):
        build_manifest(tmp_path / "train", tmp_path / "A", "city", strict=False, listing=listing)
    assert not (tmp_path / "A").exists()
    free(MB)
    manifest = build_manifest(tmp_path / "train", tmp_path / "A", "city", strict=False, listing=listing)
    free(1000)
    with pytest.raises(UserError, match="groups of city: needs about"):
        build_groups(manifest, tmp_path / "A")
    assert list_artifacts(tmp_path / "A") == [manifest]


def test_reusable_partitions_need_no_space(
    tmp_path: Path, listing_of: ListingOf, free: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    names = panoramas(100)
    build_manifest(tmp_path / "train", tmp_path / "A", "city", strict=False, listing=listing_of(names))
    free(1000)
    caplog.set_level(logging.INFO)
    build_manifest(tmp_path / "train", tmp_path / "A", "city", strict=False, listing=listing_of(names[1:]))
    assert caplog.messages[0].startswith("manifest of city: needs at most about ")
    with pytest.raises(UserError, match="manifest of town: needs about"):
        build_manifest(tmp_path / "train", tmp_path / "A", "town", strict=False, listing=listing_of(names[2:]))


def test_staging_of_killed_runs_is_removed_before_the_check(
    tmp_path: Path, listing_of: ListingOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what the disk is full of."""
    left: list[list[Path]] = []

    def look(*given: object, at_most: bool) -> None:
        left.append(list((tmp_path / "A" / STAGING).iterdir()))

    monkeypatch.setattr(groups_module, "check_space", look)
    manifest = build_manifest(tmp_path / "train", tmp_path / "A", strict=False, listing=listing_of(panoramas(100)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups_module, "write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            build_groups(manifest, tmp_path / "A")
    assert len(list((tmp_path / "A" / STAGING).iterdir())) == 2  # with its lock
    build_groups(manifest, tmp_path / "A")
    assert left == [[], []]


def stop(*given: object) -> None:
    raise KeyboardInterrupt
