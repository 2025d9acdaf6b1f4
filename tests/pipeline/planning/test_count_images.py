import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesUrl
from pipeline.groups.settings import GroupSettings
from pipeline.listing.cache import read_scan, write_scan
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest
from pipeline.planning import count_images as counting
from pipeline.planning.advise import find_manifest
from pipeline.planning.count_images import count_images
from tests.object_server import ObjectServer
from tests.pipeline.planning.conftest import fields_at

NameWith = Callable[..., str]
Run = Callable[..., str]


def cell_of(image: dict[str, Any], side: int) -> tuple[int, int]:
    return image["utm_east"] // side, image["utm_north"] // side


def counted(by_class: pl.DataFrame) -> dict[tuple[int, ...], int]:
    rows = by_class.select("cell_east", "cell_north", "heading_bin", "num_images").iter_rows()
    return {tuple(key): num_images for *key, num_images in rows}


@pytest.mark.parametrize("is_built", [False, True], ids=["names", "manifest"])
def test_counts_by_year_and_class_agree_with_plain_python(is_built: bool, train: Path, tmp_path: Path) -> None:
    manifest = build_manifest(train, tmp_path / "A") if is_built else None
    coarse, fine = GroupSettings(M=50, alpha=90), GroupSettings(M=20, alpha=360, years="2014")
    same_classes = replace(coarse, N=1, min_images_per_class=1)
    counts = count_images(train, tmp_path / "A", [coarse, fine, same_classes])
    assert counts.manifest == manifest
    assert (counts.summary["usable"], counts.summary["repeats"]) == (500, 2)
    images = list(fields_at(seed=1))
    years = Counter(image["timestamp"] or None for image in images)
    assert counts.by_year.rows() == [(year, years[year]) for year in (None, 2013, 2014, 2015)]
    cells = Counter((*cell_of(image, 20), 0) for image in images if image["timestamp"] == 2014)
    assert counted(counts.by_class[fine]) == cells
    bins = [None if image["heading"] == "" else image["heading"] // 90 for image in images]
    classes = Counter((*cell_of(image, 50), heading_bin) for image, heading_bin in zip(images, bins, strict=True))
    assert counted(counts.by_class[coarse]) == classes
    assert counted(counts.by_class[same_classes]) == classes


def test_nothing_is_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = set(tmp_path.rglob("*"))
    run("--M", "20")
    assert set(tmp_path.rglob("*")) == before


def test_counts_do_not_depend_on_partitions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(run("--format", "json", "--min-images-per-class", "1"))

    monkeypatch.setattr(counting, "ROWS_PER_PARTITION", 30)
    cut = json.loads(run("--format", "json", "--min-images-per-class", "1"))
    assert cut["images"].pop("partitions") > 10 > whole["images"].pop("partitions")
    assert abs(cut["images"].pop("manifest_bytes") - whole["images"].pop("manifest_bytes")) < 100
    assert cut == whole


def test_published_manifest_is_read_instead_of_names(
    run: Run, train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_names = json.loads(run("--format", "json", "--M", "50"))
    manifest = build_manifest(train, tmp_path / "A")

    def fail(*arguments: Any, **more: Any) -> None:
        raise AssertionError("names are read")

    monkeypatch.setattr(counting, "read_names", fail)
    found = json.loads(run("--format", "json", "--M", "50"))
    for images in (manifest, manifest.parent / "current", manifest.parent):
        assert json.loads(run("--format", "json", "--M", "50", images=images))["plans"] == from_names["plans"]
    assert found["plans"] == from_names["plans"]
    assert found["images"]["manifest"] == str(manifest)
    assert found["images"]["manifest_bytes"] == sum(path.stat().st_size for path in manifest.rglob("*.*"))
    with (tmp_path / "train_images_paths.txt").open("a") as lines:
        lines.write("another.jpg\n")
    with pytest.raises(AssertionError, match="names are read"):
        run()  # it is the manifest of other images


def test_listing_is_cached_only_if_a_manifest_was_built(tmp_path: Path, name_with: NameWith, run: Run) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / name_with()).touch()
    run(images=folder)
    assert not (tmp_path / "A").exists()
    build_manifest(folder, tmp_path / "A", listing=list_images(folder))
    run(images=folder)
    assert (tmp_path / "A" / ".listings").is_dir()


def test_rescan_ignores_modification_times(tmp_path: Path, name_with: NameWith, run: Run) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / name_with(pano_id=1)).touch()
    os.utime(folder, (1_600_000_000, 1_600_000_000))
    build_manifest(folder, tmp_path / "A")
    (cache,) = (tmp_path / "A" / ".listings").iterdir()
    known = read_scan(cache)
    (folder / name_with(pano_id=2)).touch()
    state = folder.stat()  # as where neither time tells that an image came
    same_times = {
        path: replace(each, modified_ns=state.st_mtime_ns, changed_ns=state.st_ctime_ns, listed_ns=2**62)
        for path, each in known.folders.items()
    }
    write_scan(replace(known, folders=same_times), cache)
    assert [
        json.loads(run("--format", "json", *more, images=folder))["images"]["files"] for more in ((), ("--rescan",))
    ] == [1, 2]


def test_list_of_blank_lines_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train_images_paths.txt").write_bytes(b"\n \n\r\n")
    with pytest.raises(UserError, match=r"train_images_paths\.txt: no image in it$"):
        count_images(tmp_path / "train", tmp_path / "A", [GroupSettings()])


@pytest.mark.parametrize("is_built", [False, True], ids=["list", "manifest"])
def test_counts_of_a_bucket_are_those_of_the_folder(
    is_built: bool, train: Path, tmp_path: Path, objects: ObjectServer
) -> None:
    objects.put("city/train_images_paths.txt", train.with_name("train_images_paths.txt").read_bytes())
    url, grouping = ImagesUrl.parse("s3://bucket/city/train"), GroupSettings(M=20, alpha=360)
    if is_built:
        build_manifest(url, tmp_path / "A")
        assert find_manifest(url, tmp_path / "A").parent.name == "bucket-city-train"
    else:
        with pytest.raises(UserError, match=r"s3://bucket/city/train: the manifest .* is not built yet"):
            find_manifest(url, tmp_path / "A")
    of_bucket, of_folder = (count_images(each, tmp_path / "A", [grouping]) for each in (url, train))
    assert counted(of_bucket.by_class[grouping]) == counted(of_folder.by_class[grouping])
