"""Clocks that are set, and file systems that count time coarsely: no change is overlooked, in manifest and groups."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest

NameWith = Callable[..., str]
HOUR_NS = 3600 * 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have the clock that scans look at run so many hours ahead of that of the file system."""
    now_ns = time.time_ns

    def clock(hours: float) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() + round(hours * HOUR_NS))

    return clock


@pytest.fixture
def _coarse_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that knows even seconds alone."""
    stat = os.stat

    def coarse(path: Any, **named: Any) -> Any:
        found = stat(path, **named)
        if not isinstance(path, bytes):  # scans look at these
            return found
        times = (found.st_mtime_ns, found.st_ctime_ns)
        modified, changed = (time_ns // 2_000_000_000 * 2_000_000_000 for time_ns in times)
        return SimpleNamespace(st_mtime_ns=modified, st_ctime_ns=changed)

    monkeypatch.setattr(os, "stat", coarse)


@pytest.fixture
def add(tmp_path: Path, name_with: NameWith) -> Callable[[int], None]:
    """Add an image to one of three folders."""

    def add(number: int) -> None:
        folder = tmp_path / "train" / f"37.{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name_with(pano_id=number)).touch()

    return add


def images_in_groups(tmp_path: Path) -> int:
    groups = build_groups(
        build_manifest(tmp_path / "train", tmp_path / "A"), tmp_path / "A", GroupSettings(min_images_per_class=1)
    )
    return len(read_table(groups, "members"))


@pytest.mark.parametrize("hours", [(1, 0), (0, -1), (1, -1), (0, 0), (-1, 1), (0, 1), (5, 1, -3, 0, 2)])
def test_a_clock_that_is_set(
    tmp_path: Path, clock: Callable[[float], None], add: Callable[[int], None], hours: tuple[int, ...]
) -> None:
    add(0)
    for number, ahead in enumerate(hours, start=1):
        clock(ahead)
        assert images_in_groups(tmp_path) == number
        add(number)
        assert images_in_groups(tmp_path) == number + 1


@pytest.mark.usefixtures("_coarse_times")
def test_coarse_times(tmp_path: Path, add: Callable[[int], None]) -> None:
    for number in range(6):
        add(number)
        assert images_in_groups(tmp_path) == number + 1


def test_times_that_lie_are_what_rescan_is_for(
    tmp_path: Path, clock: Callable[[float], None], add: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(0)
    clock(1)
    assert images_in_groups(tmp_path) == 1
    stat = os.stat
    before = {path: stat(path) for path in map(os.fsencode, (tmp_path / "train", *(tmp_path / "train").iterdir()))}
    add(3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda path, **named: before[path] if path in before else stat(path, **named))
        assert images_in_groups(tmp_path) == 1
        listing = list_images(tmp_path / "train", tmp_path / "A", rescan=True)
        manifest = build_manifest(tmp_path / "train", tmp_path / "A", listing=listing)
        assert len(read_table(manifest, "manifest")) == 2
        assert images_in_groups(tmp_path) == 2, "what a rescan finds is kept"
