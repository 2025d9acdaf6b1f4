import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import PARTS
from data_manifest.inspect.summary import summarise
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.manifest.settings import SplitSettings
from pipeline.manifest.split_manifest import split_manifest

Photos = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Build the manifest of a square kilometre of panoramas of two crops, of days from 2015 on, one without a time."""

    def photos(count: int = 600, seed: int = 1) -> Path:
        generator = random.Random(seed)
        lines = []
        for number in range(count):
            east, north = 500_000 + generator.uniform(0, 1000), 4_000_000 + generator.uniform(0, 1000)
            when = "" if number == 0 else f"{2015 + number % 5}06{number % 20 + 1:02d}"
            name = f"@{east:.2f}@{north:.2f}@10@S@@@p{number:04d}@@{{}}@@@@{when}@@.jpg"
            lines += [name.format(heading) for heading in (0, 180)]
        (tmp_path / "city_images_paths.txt").write_text("\n".join(lines))
        return build_manifest(tmp_path / "city", tmp_path / "A", "city")

    return photos


def parts_of(manifest: Path, settings: SplitSettings, artifacts: Path) -> dict[str, pl.DataFrame]:
    return {part: read_table(path, "manifest") for part, path in split_manifest(manifest, artifacts, settings).items()}


def metres(images: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return images.select("utm_east", "utm_north").to_numpy()


def test_split_by_area_separates_places(photos: Photos, tmp_path: Path) -> None:
    manifest = photos()
    settings = SplitSettings(split="area", block_m=100, margin_m=30)
    parts = parts_of(manifest, settings, tmp_path / "A")
    train = metres(parts["train"])
    for part in PARTS[1:]:
        apart = np.hypot(*(train[:, None] - metres(parts[part])[None]).transpose(2, 0, 1))
        assert apart.min() >= 30
    blocks: dict[str, set[tuple[float, ...]]] = {split: set() for split in ("val", "test")}
    for part in PARTS[1:]:
        blocks[part.partition("/")[0]] |= set(map(tuple, metres(parts[part]) // 100))
    assert not blocks["val"] & blocks["test"]
    for split in ("val", "test"):
        shots = [set(parts[f"{split}/{role}"]["pano_id"]) for role in ("database", "queries")]
        assert not shots[0] & shots[1], "two crops of a panorama are on both sides"
        assert len(shots[1]) / len(shots[0] | shots[1]) == pytest.approx(0.2, abs=0.01)
        assert len(shots[0] | shots[1]) / 600 == pytest.approx(0.1, abs=0.02)


def test_parts_and_rejects_are_all_photos(photos: Photos, tmp_path: Path) -> None:
    manifest = photos()
    for settings in (SplitSettings(split="area"), SplitSettings(split="time")):
        folders = split_manifest(manifest, tmp_path / "A", settings)
        tables = {part: read_table(folder, "manifest") for part, folder in folders.items()}
        rejects = read_table(folders["train"], "rejects")
        parts = PARTS if settings.split == "area" else ("train", "val/queries", "test/queries")
        found = sorted(path for part in parts for path in tables[part]["path"]) + sorted(rejects["path"])
        assert sorted(found) == read_table(manifest, "manifest")["path"].sort().to_list()
        assert {row["reason"] for row in rejects.to_dicts()} == {
            "near another part" if settings.split == "area" else "no time"
        }


def test_split_by_time_makes_the_newest_photos_queries(photos: Photos, tmp_path: Path) -> None:
    parts = parts_of(photos(), SplitSettings(split="time", val_share=0.15, test_share=0.15), tmp_path / "A")
    assert parts["train"].equals(parts["val/database"])
    assert parts["train"].equals(parts["test/database"])
    newest = [parts[part]["timestamp"] for part in ("train", "val/queries", "test/queries")]
    assert newest[0].max() < newest[1].min()  # type: ignore[operator]
    assert newest[1].max() < newest[2].min()  # type: ignore[operator]
    assert len(newest[2]) == pytest.approx(180, abs=60)  # whole days


def test_split_is_reproducible_and_depends_on_the_settings(photos: Photos, tmp_path: Path) -> None:
    manifest, settings = photos(), SplitSettings(split="area", split_seed=1)
    first = split_manifest(manifest, tmp_path / "A", settings)
    assert split_manifest(manifest, tmp_path / "A", settings) == first
    again = split_manifest(manifest, tmp_path / "B", settings)
    for part, folder in again.items():
        assert [path.read_bytes() for path in sorted(folder.glob("*/*"))] == [
            path.read_bytes() for path in sorted(first[part].glob("*/*"))
        ]
    other = split_manifest(manifest, tmp_path / "A", SplitSettings(split="area", split_seed=2))
    assert not read_table(other["train"], "manifest").equals(read_table(first["train"], "manifest"))


def test_later_stages_accept_a_part(photos: Photos, tmp_path: Path) -> None:
    folders = split_manifest(photos(), tmp_path / "A", SplitSettings(split="area"))
    groups = build_groups(folders["train"], tmp_path / "A", GroupSettings(M=50, min_images_per_class=1))
    assert groups.parent.name == "city-train"
    assert read_recipe(groups)["summary"]["images"] == len(read_table(folders["train"], "manifest"))
    assert summarise(folders["val/queries"])["images"] == len(read_table(folders["val/queries"], "manifest"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "area", "block_m": 2000, "margin_m": 10}, "split = area: no photo would be in val/database"),
        ({"split": "none"}, "split = none does not split the photos. Pass --split area or --split time"),
    ],
)
def test_impossible_splits_are_errors(
    photos: Photos, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as error:
        split_manifest(photos(20), tmp_path / "A", SplitSettings(**settings))  # type: ignore[arg-type]
    assert message in str(error.value)


@pytest.mark.parametrize(
    "values", [{"block_m": 0}, {"margin_m": 300}, {"val_share": 1}, {"val_share": 0.6, "test_share": 0.5}]
)
def test_invalid_settings_are_errors(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(values))):
        SplitSettings(split="area", **values)  # type: ignore[arg-type]


def test_groups_of_another_split_have_its_photos(photos: Photos, tmp_path: Path) -> None:
    """What groups take over from earlier ones is told by the names of a manifest's files."""
    manifest, grouping = photos(), GroupSettings(M=50, alpha=180, N=2, min_images_per_class=1)
    members = []
    for seed in (0, 1, 0):
        train = split_manifest(manifest, tmp_path / "A", SplitSettings(split="area", split_seed=seed))["train"]
        groups = build_groups(train, tmp_path / "A", grouping)
        members.append(set(read_table(groups, "members")["path"]))
        assert members[-1] == set(read_table(train, "manifest")["path"])
    assert members[0] == members[2] != members[1]
