"""Training from packs gives what training from the folder of images gives, on this machine and from a URL."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
import torch
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.packs import open_packs
from data_manifest.images.packs.lookup_table import write_lookup
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import group_file, read_table
from pipeline.packs.pack_groups import pack_groups
from pipeline.packs.settings import PackSettings
from tests.object_server import ObjectServer
from tests.training.conftest import run_ranks
from tests.training.test_train_cosplace import Validation
from training.distributed.processes import process_group
from training.image_changes import TRAIN, VALIDATION
from training.train_cosplace import train_cosplace


@pytest.fixture(scope="module")
def expected(city: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a training from the folder."""
    torch.set_num_threads(1)
    folder = shutil.copytree(city, tmp_path_factory.mktemp("expected"), dirs_exist_ok=True)
    return (train(folder, tiny, "by-folder", None) / "model.pth").read_bytes()


def pack(folder: Path, groups: tuple[int, ...] = (0, 3), **settings: Any) -> Path:
    open_packs.find_packs.cache_clear()
    return pack_groups(folder / "groups", groups, folder / "images", folder / "artifacts", PackSettings(**settings))


def train(
    folder: Path, tiny: dict[str, Any], artifacts: str, packs: ImagesFolder | None, epochs: int = 2, **runtime: Any
) -> Path:
    settings = {name: value for name, value in tiny.items() if name != "validate"}
    settings["training"] = dataclasses.replace(settings["training"], epochs_num=epochs)
    settings["runtime"] = dataclasses.replace(settings["runtime"], packs=packs, **runtime)
    validation = Validation([50.0] * epochs)
    validation.images = {role: (folder / role, pl.LazyFrame({"path": ["0.png"]})) for role in VALIDATION}
    return train_cosplace(folder / "groups", folder / "images", folder / artifacts, validation, **settings)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_same_weights_and_digest_as_from_the_folder(folder: Path, tiny: dict[str, Any], num_workers: int) -> None:
    for damaged in list((folder / "images" / "g0").iterdir())[:2]:
        damaged.write_bytes(damaged.read_bytes()[:-50])
    next((folder / "images" / "g3").iterdir()).unlink()
    packs = pack(folder)
    expected = train(folder, tiny, "by-folder", None)
    (folder / "images").rename(folder / "gone")
    model = train(folder, tiny, "by-packs", packs.parent, num_workers=num_workers)
    assert (model / "model.pth").read_bytes() == (expected / "model.pth").read_bytes()
    assert model.name == expected.name
    assert read_table(model, TRAIN).equals(read_table(expected, TRAIN))
    skipped, others = (read_table(each, "skipped") for each in (model, expected))
    assert skipped["path"].to_list() == others["path"].to_list()
    assert not list((folder / "by-packs" / "runs").rglob("packs.npy"))


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_same_weights_from_a_url(
    folder: Path, tiny: dict[str, Any], expected: bytes, objects: ObjectServer, kind: str
) -> None:
    packs = pack(folder)
    objects.put_files(packs, "copied")
    objects.failures = {key: [503] for key in objects.objects}
    url = ImagesUrl.parse("s3://bucket/copied" if kind == "s3" else f"{objects.url}/copied")
    model = train(folder, tiny, "by-url", url)
    assert (model / "model.pth").read_bytes() == expected


@pytest.mark.parametrize("settings", [{}, {"jpeg_size": 30}])
def test_packs_in_a_bucket_are_read_ahead_into_a_cache(
    folder: Path, tiny: dict[str, Any], objects: ObjectServer, settings: dict[str, Any]
) -> None:
    packs = pack(folder, **settings)
    objects.put_files(packs, "copied")
    url = ImagesUrl.parse("s3://bucket/copied")
    expected = train(folder, tiny, "by-packs", packs, epochs=4)
    model = train(folder, tiny, "by-cache", url, epochs=4, cache_folder=folder / "cache")
    assert (model / "model.pth").read_bytes() == (expected / "model.pth").read_bytes()
    assert sum(file.stat().st_size > 100 for file in (folder / "cache").glob("??/*")) > 9
    assert read_table(model, "metrics")["cache_hit_share"].max() > 0  # type: ignore[operator]


def test_the_packed_images_are_read_although_a_cache_has_those_of_the_folder(
    folder: Path, tiny: dict[str, Any]
) -> None:
    packs = pack(folder)
    expected = train(folder, tiny, "by-packs", packs, epochs=4)
    for file in (folder / "images").glob("*/*"):  # other images with the same sizes and times, as of a restored backup
        time_ns, size = file.stat().st_mtime_ns, file.stat().st_size
        Image.new("RGB", (48, 40), 200).save(file)
        assert file.stat().st_size <= size
        file.write_bytes(file.read_bytes().ljust(size, b"\0"))
        os.utime(file, ns=(time_ns, time_ns))
    train(folder, tiny, "by-folder", None, epochs=4, cache_folder=folder / "cache")
    model = train(folder, tiny, "by-cache", packs, epochs=4, cache_folder=folder / "cache")
    assert (model / "model.pth").read_bytes() == (expected / "model.pth").read_bytes()


def train_in_ranks(folder: Path, tiny: dict[str, Any], packs: Path) -> None:
    torch.set_num_threads(1)
    with process_group("cpu"), patch.object(open_packs, "write_lookup", wraps=write_lookup) as write:
        train(folder, tiny, "by-ranks", packs)
        print(write.call_count)
        cut_off(folder)
        for runtime in ({"packs": packs}, {"packs": None, "cache_folder": folder / "cache", "cache_gb": 1e9}):
            with pytest.raises(UserError, match=r"has [\d,]+ bytes, not|--cache-gb 1e\+09"):
                train(folder, tiny, "others", **runtime)


def test_one_rank_writes_the_lookup_table(folder: Path, tiny: dict[str, Any]) -> None:
    done = run_ranks(3, train_in_ranks, folder, {**tiny, "validate": None}, pack(folder))
    assert [each.returncode for each in done] == [0] * 3, done[0].stderr
    assert sorted(each.stdout for each in done) == ["0\n", "0\n", "1\n"]


def test_resumed_run_may_change_between_folder_and_packs(
    folder: Path, tiny: dict[str, Any], expected: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    train(folder, tiny, "by-both", None, epochs=1)
    model = train(folder, tiny, "by-both", pack(folder), epochs=2)
    assert (model / "model.pth").read_bytes() == expected
    assert "since training started" not in caplog.text


def test_resumed_run_warns_of_images_that_were_packed_again(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    train(folder, tiny, "artifacts", pack(folder), epochs=1)
    first, second, *_ = sorted((folder / "images" / "g0").iterdir())
    Image.new("RGB", (48, 40), (255, 255, 255)).save(first)
    second.unlink()
    train(folder, tiny, "artifacts", pack(folder), epochs=2)
    assert "1 of 21 training images changed, 1 of 21 training images are missing since training started" in caplog.text


def test_smaller_copies_make_another_model(folder: Path, tiny: dict[str, Any]) -> None:
    digests = set()
    kinds: list[dict[str, Any]] = [{}, {"jpeg_size": 30}, {"jpeg_size": 30, "quality": 80}]
    for settings in kinds:
        packs = pack(folder, **settings)
        model = train(folder, tiny, "artifacts", packs, epochs=1)
        digests.add(model.name)
        assert read_recipe(model)["settings"].get("copies") == ({"quality": 90, **settings} if settings else None)
    assert len(digests) == 3
    sizes = {row["bytes"] for row in read_table(model, TRAIN).iter_rows(named=True)}
    assert sizes.isdisjoint(file.stat().st_size for file in folder.glob("images/*/*"))
    assert train(folder, tiny, "artifacts", None, epochs=1).name in digests, "the folder's is that of plain packs"


def test_damaged_image_in_a_shard_is_found_and_replaced(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    packs = pack(folder)
    row = packs_row(packs, 0, 5)
    shard = packs / "shards" / row["shard"]
    content = bytearray(shard.read_bytes())
    content[row["offset"] + row["size"] // 2] ^= 1
    shard.write_bytes(content)
    model = train(folder, tiny, "artifacts", packs, epochs=4)
    skipped = read_table(model, "skipped").row(0, named=True)
    assert (skipped["path"], skipped["detail"]) == (row["path"], "checksum differs from the index")


def packs_row(packs: Path, group: int, number: int) -> dict[str, Any]:
    return pl.read_parquet(packs / "index" / group_file(group)).row(number, named=True)


def rename_a_member(folder: Path) -> None:
    (file,) = (folder / "groups" / "members").glob("group-000003.parquet")
    members = pl.read_parquet(file)
    members.with_columns(path=pl.col("path").str.replace("é0_0", "é0_9")).write_parquet(file)


def cut_off(folder: Path) -> None:
    (shard,) = folder.glob("artifacts/packs/city/*[!t]/shards/group-000003-0000.tar")
    shard.write_bytes(shard.read_bytes()[:-10_240])


def remove_a_shard(folder: Path) -> None:
    next(folder.glob("artifacts/packs/city/*/shards/group-000003-0000.tar")).unlink()


def remove_all_shards(folder: Path) -> None:
    shutil.rmtree(next(folder.glob("artifacts/packs/city/*/shards")))


def damage_the_index(folder: Path) -> None:
    next(folder.glob("artifacts/packs/city/*/index/group-000003.parquet")).write_bytes(b"no table")


@pytest.mark.parametrize(
    ("groups", "break_it", "message"),
    [
        ((0,), lambda folder: None, r"no packs of group 3, only of 0\. Pack the groups again"),
        ((0, 3), rename_a_member, r"packs of group 3 are of other groups than these\. Pack the groups again"),
        ((0, 3), cut_off, r"group-000003-0000\.tar: this shard of the packs has [\d,]+ bytes, not [\d,]+"),
        ((0, 3), remove_a_shard, r"group-000003-0000\.tar: this shard of the packs is missing"),
        ((0, 3), remove_all_shards, r"group-000000-0000\.tar: this shard of the packs is missing"),
        ((0, 3), damage_the_index, r"index/group-000003\.parquet: cannot be read"),
    ],
)
def test_packs_that_cannot_be_used_are_refused_before_training(
    folder: Path, tiny: dict[str, Any], groups: tuple[int, ...], break_it: Any, message: str
) -> None:
    packs = pack(folder, groups)
    break_it(folder)
    with pytest.raises(UserError, match=message):
        train(folder, tiny, "artifacts", packs)


def test_packs_of_another_folder_are_refused_unless_only_one_is_here(folder: Path) -> None:
    packs = open_packs.find_packs(pack(folder))
    identity = packs.identity_of(folder / "images", folder / "artifacts")
    shutil.copytree(folder / "images", folder / "other")
    with pytest.raises(UserError, match=r"packs of the images in .*/images, not of those in .*/other\."):
        packs.identity_of(folder / "other", folder / "artifacts")
    shutil.rmtree(folder / "images")
    assert {packs.identity_of(folder / name, folder / "artifacts") for name in ("other", "images")} == {identity}


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "no such file or folder"),
        ("images", "is not a published artifact"),
        ("s3://bucket/nowhere", r"s3://bucket/nowhere: no packs there, it has no recipe\.json"),
        ("s3://bucket/groups", r"s3://bucket/groups: not packs\. Give the URL"),
        ("s3://bucket/damaged", r"s3://bucket/damaged/recipe\.json is damaged"),
        ("s3://bucket/private", r"s3://bucket/private/recipe\.json: permission denied"),
    ],
)
def test_places_without_packs_are_refused(
    folder: Path, tiny: dict[str, Any], objects: ObjectServer, place: str, message: str
) -> None:
    objects.put("groups/recipe.json", (folder / "groups" / "recipe.json").read_bytes())
    objects.put("damaged/recipe.json", b"{")
    objects.failures["private/recipe.json"] = [403]
    packs = ImagesUrl.parse(place) if "://" in place else folder / place
    with pytest.raises(UserError, match=message):
        train(folder, tiny, "artifacts", packs)
