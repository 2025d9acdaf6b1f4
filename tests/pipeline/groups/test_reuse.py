"""Reuse of earlier groups that are incomplete, corrupt, removed, or hashed by another version of polars."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.store.recipe import RECIPE_FILE, read_recipe
from pipeline.groups import spread
from pipeline.groups.build_groups import build_groups, groups_recipe
from pipeline.groups.reuse import find_earlier, find_same_classes
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import tables_in

NameWith = Callable[..., str]
SETTINGS = GroupSettings(min_images_per_class=1)
Build = Callable[..., Path]


@pytest.fixture
def names(name_with: NameWith) -> list[str]:
    """Return names of 40 classes in a street, in folders that are partitions of their own."""
    places = ((number, {"utm_east": 545_005 + 10 * (number % 40), "pano_id": number}) for number in range(120))
    return [f"{number % 4}/{name_with(**place)}" for number, place in places]


@pytest.fixture
def build(tmp_path: Path, listing_of: Callable[..., Listing], rows_per_partition: Callable[[int], None]) -> Build:
    """Build the groups of names."""
    rows_per_partition(40)

    def build(names: list[str], artifacts: str = "A") -> Path:
        listing = listing_of(names)
        manifest = build_manifest(tmp_path, tmp_path / artifacts, "city", strict=False, listing=listing)
        return build_groups(manifest, tmp_path / artifacts, SETTINGS)

    return build


def shared(before: Path, after: Path, table: str) -> int:
    """Return how many files of a table are links to files of an earlier artifact."""
    inodes = {path.stat().st_ino for path in (before / table).glob("*")}
    return sum(path.stat().st_ino in inodes for path in (after / table).iterdir())


def test_newest_groups_of_the_same_grouping_are_found(names: list[str], build: Build, tmp_path: Path) -> None:
    recipe = groups_recipe("other-name", "0123", GroupSettings(min_images_per_class=7))
    assert find_earlier(tmp_path / "A", recipe) is None
    build(names)
    newest = build(names[1:])
    assert find_earlier(tmp_path / "A", recipe) == newest
    for other in ({"M": 11}, {"alpha": 31}, {"N": 4}, {"L": 3}, {"years": "2014"}):
        assert find_earlier(tmp_path / "A", groups_recipe("city", "0123", GroupSettings(**other))) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {}, "inputs": {}}'])
def test_groups_with_a_corrupt_recipe_are_ignored(names: list[str], build: Build, tmp_path: Path, content: str) -> None:
    (build(names) / RECIPE_FILE).write_text(content)
    assert find_earlier(tmp_path / "A", groups_recipe("city", "0123", SETTINGS)) is None


def test_counts_of_another_version_of_polars_are_not_linked(
    names: list[str], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "HASHED_BY", {"polars": "0.1"})
    before = build(names)
    monkeypatch.undo()
    after = build(names[1:])
    assert shared(before, after, "class_counts") == 0


@pytest.mark.parametrize("damage", ["removed", "truncated", "garbage"])
@pytest.mark.parametrize("table", ["class_counts", "classes", "members"])
def test_earlier_tables_that_are_missing_or_corrupt_are_not_reused(
    names: list[str], build: Build, table: str, damage: str
) -> None:
    before = build(names)
    for file in (before / table).iterdir():
        content = file.read_bytes()
        file.unlink()  # so that a link is not damaged
        if damage != "removed":
            file.write_bytes(content[:-20] if damage == "truncated" else b"PAR1" + content[::-1])
    after = build(names[1:])
    assert shared(before, after, "members") == 0
    assert tables_in(after) == tables_in(build(names[1:], "B"))


def test_one_corrupt_file_of_members_leaves_the_others_reusable(names: list[str], build: Build) -> None:
    before = build(names)
    corrupt, *others = sorted((before / "members").iterdir())
    corrupt.write_bytes(corrupt.read_bytes()[:-1])
    after = build([*names, "odd.jpg"])
    assert shared(before, after, "members") == len(others)
    assert tables_in(after) == tables_in(build([*names, "odd.jpg"], "B"))


def test_the_earlier_manifest_is_not_needed(names: list[str], build: Build, tmp_path: Path) -> None:
    before = build(names)
    shutil.rmtree(next((tmp_path / "A" / "manifest").glob(f"*/{read_recipe(before)['inputs']['manifest']}")))
    assert shared(before, build(names[1:]), "members") > 0


def test_groups_that_are_removed_while_they_are_reused(
    names: list[str], build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = build(names)

    def remove(planned: pl.DataFrame, earlier: Path | None) -> pl.DataFrame:
        found = find_same_classes(planned, earlier)
        shutil.rmtree(before, ignore_errors=True)
        return found

    caplog.set_level(logging.INFO)
    monkeypatch.setattr("pipeline.groups.build_groups.find_same_classes", remove)
    after = build(names[1:])
    assert f"{before} was removed while it was being reused: building without it" in caplog.text
    assert tables_in(after) == tables_in(build(names[1:], "B"))


def test_errors_that_have_other_causes_are_raised(
    names: list[str], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(names)
    monkeypatch.setattr("pipeline.groups.build_groups.write_members", refuse)
    with pytest.raises(UserError, match=r"^no$"):
        build(names[1:])


def refuse(*given: Any) -> None:
    raise UserError("no")
