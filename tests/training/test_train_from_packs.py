"""Training from packs gives what training from the folder of images gives, on this machine and from a URL."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.packs import open_packs
from data_manifest.tables import read_table
from pipeline.packs.pack_groups import pack_groups
from pipeline.packs.settings import PackSettings
from tests.helpers import files_in
from tests.object_server import ObjectServer
from tests.training.conftest import WriteGroups
from tests.training.test_train_cosplace import Validation
from training.image_changes import TRAIN, VALIDATION
from training.train_cosplace import train_cosplace


@pytest.fixture
def folder(write_groups: WriteGroups) -> Path:
    """A folder with two groups of 12 and 9 images, a validation set, and artifacts."""
    folder = write_groups({0: 4, 3: 3})
    recipe = {"stage": "groups", "name": "city", "digest": "abc", "settings": {"M": 10.0}}
    (folder / "groups" / "recipe.json").write_text(json.dumps(recipe))
    for role in VALIDATION:
        (folder / role).mkdir()
        Image.new("RGB", (48, 40)).save(folder / role / "0.png")
    return folder


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
def test_same_weights_from_a_url(folder: Path, tiny: dict[str, Any], objects: ObjectServer, kind: str) -> None:
    packs = pack(folder)
    for path, content in files_in(packs).items():
        objects.put(f"copied/{path}", content)
        objects.failures[f"copied/{path}"] = [503]
    url = ImagesUrl.parse("s3://bucket/copied" if kind == "s3" else f"{objects.url}/copied")
    expected = train(folder, tiny, "by-folder", None)
    model = train(folder, tiny, "by-url", url)
    assert (model / "model.pth").read_bytes() == (expected / "model.pth").read_bytes()
