from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.verification.drop_bad_images import drop_bad_images
from tests.pipeline.verification.helpers import change, image, name, verify


def test_groups_without_bad_images_count_them_by_status(train: Path) -> None:
    change(image(train, 3), image(train, 3).read_bytes()[:300])
    change(image(train, 4), b"")
    artifacts = train.parent / "A"
    manifest, checks = build_manifest(train, artifacts), verify(train)
    good = drop_bad_images(manifest, checks, artifacts)
    assert len(read_table(good, "manifest")) == 28
    rejects = read_table(good, "rejects").select("path", pl.col("reason").cast(pl.String)).rows()
    assert rejects == [(f"37.0/{name(3)}", "truncated"), (f"37.0/{name(4)}", "zero bytes")]
    same = [path.name for path in good.glob("manifest/*") if path.stat().st_nlink > 1]
    assert len(same) == len(list(manifest.glob("manifest/*"))) - 1
    groups, recipe = build_groups(good, artifacts, GroupSettings(min_images_per_class=1)), read_recipe(good)
    members = read_table(groups, "members")["path"]
    assert len(members) == 28
    assert not {name(3), name(4)} & {Path(path).name for path in members}
    stored = read_recipe(groups)
    assert stored["inputs"] == {"manifest": recipe["digest"], "checks": read_recipe(checks)["digest"]}
    assert stored["settings"]["verified"] == "decode"
    assert stored["summary"]["images_left_out"] == {"truncated": 1, "zero bytes": 1}
    image(train, 9).unlink()
    other = build_manifest(train, artifacts)
    with pytest.raises(UserError, match=r"belong to the manifest .* Verify the images again"):
        drop_bad_images(other, checks, artifacts)


def test_only_bad_images_are_an_error(train: Path) -> None:
    for number in range(30):
        change(image(train, number), b"")
    artifacts = train.parent / "A"
    with pytest.raises(UserError, match=r"All images of .* are bad"):
        drop_bad_images(build_manifest(train, artifacts), verify(train), artifacts)
