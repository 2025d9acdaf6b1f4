"""Real street photos in SF-XL's naming, from file names to groups."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest

SAMPLE = Path(__file__).parents[3] / "shared" / "tools" / "make_paris_sample.py"
pytestmark = pytest.mark.skipif(not SAMPLE.is_file(), reason="../shared with the Paris photos is not here")


def test_paris_from_photos_to_groups(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SAMPLE), str(tmp_path / "paris"), "--size", "16"], check=True)
    manifest = build_manifest(tmp_path / "paris" / "train", tmp_path / "artifacts")
    images = read_table(manifest, "manifest")
    assert (len(images), len(read_table(manifest, "rejects"))) == (600, 0)
    assert images["utm_zone"].unique().to_list() == [31]
    assert images.group_by("pano_id").len()["len"].unique().to_list() == [12]
    groups = build_groups(manifest, tmp_path / "artifacts", GroupSettings(min_images_per_class=3))
    members = read_table(groups, "members").join(images, on="path")
    spread = members.group_by("group_index", "class_index").agg(
        pl.len(), *((pl.col(axis).max() - pl.col(axis).min()).alias(axis) for axis in ("utm_east", "utm_north"))
    )
    assert spread["len"].min() == 3
    assert spread.select(pl.max_horizontal("utm_east", "utm_north").max()).item() < 10
