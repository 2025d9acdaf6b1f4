import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing
from pipeline.manifest.build_manifest import build_manifest

NameWith = Callable[..., str]
Manifest = Callable[..., Path]
FEW: dict[str, Any] = {"min_images_per_class": 1}


@pytest.fixture
def manifest(tmp_path: Path, listing_of: Callable[..., Listing]) -> Manifest:
    """Return a function that publishes the manifest of names."""

    def manifest(names: list[str]) -> Path:
        return build_manifest(tmp_path, tmp_path / "A", "city", strict=False, listing=listing_of(names))

    return manifest


def test_images_of_other_years_are_logged(
    manifest: Manifest, name_with: NameWith, caplog: pytest.LogCaptureFixture
) -> None:
    folder = manifest([name_with(timestamp=year, pano_id=number) for number, year in enumerate((2013, 2014, 2014, ""))])
    caplog.set_level(logging.INFO, "pipeline.groups.summary")
    build_groups(folder, folder.parents[2], GroupSettings(**FEW, years="2013"))
    assert caplog.messages[1:3] == [
        "city: left out 2 images of other years than 2013",
        "city: left out 1 images without a year",
    ]


def test_a_single_group_is_logged_as_a_hint_for_training(
    manifest: Manifest, name_with: NameWith, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipeline.groups.summary")
    folder = manifest([name_with()])
    build_groups(folder, folder.parents[2], GroupSettings(**FEW, N=1, L=1))
    assert "--groups-num 1" not in caplog.text, "one group is what was asked for"
    build_groups(folder, folder.parents[2], GroupSettings(**FEW))
    assert "all classes are in one group: train with --groups-num 1" in caplog.messages


def test_classes_and_left_out_images_are_logged(
    manifest: Manifest, name_with: NameWith, caplog: pytest.LogCaptureFixture
) -> None:
    here = [name_with(pano_id=number) for number in range(12)]
    there = [name_with(pano_id=number, utm_east="545991.19") for number in range(20)]
    few = [name_with(pano_id=number, heading="0") for number in range(3)]
    without = [name_with(pano_id=number, heading="") for number in range(4)]
    folder = manifest([*here, *there, *few, *without])
    caplog.set_level(logging.INFO, "pipeline.groups.summary")
    build_groups(folder, folder.parents[2])
    assert caplog.messages == [
        "city: 2 classes of 32 images in 2 groups",
        "city: left out 4 images without a heading",
        "city: left out 3 images of 1 classes with fewer than 10",
        "group 35: 1 classes, 12 images, 12.0 images per class",
        "group 45: 1 classes, 20 images, 20.0 images per class",
    ]


def test_at_most_50_groups_are_logged(
    manifest: Manifest, name_with: NameWith, caplog: pytest.LogCaptureFixture
) -> None:
    folder = manifest([name_with(heading=heading) for heading in range(60)])
    caplog.set_level(logging.INFO, "pipeline.groups.summary")
    build_groups(folder, folder.parents[2], GroupSettings(**FEW, alpha=1, L=60))
    assert len(caplog.messages) == 1 + 50 + 1
    assert caplog.messages[-1] == "and 10 more groups: see the classes table"
