"""Groups of images with odd names, and packs of them."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data_manifest import schemas
from data_manifest.images import file_states
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.tables import group_file, make_frame, write_table
from pipeline.packs import plan_shards
from pipeline.packs.pack_groups import pack_groups
from pipeline.packs.settings import PackSettings

LONG = "folder of 100 and more/" + "x" * 60 + "/" + "y" * 60 + ".jpg"
VERY_LONG = "/".join(["ä" * 100] * 3) + ".jpg"
ODD = ("a b.jpg", "Straße/Łódź/京都 #1.jpg", "100%25.jpg", "@0548@37.7@.jpg", "-rf.jpg", LONG, VERY_LONG, "e.jpg")
SIX = [f"c/{number}.jpg" for number in range(6)]
WriteGroups = Callable[[dict[int, list[str]]], Path]


@pytest.fixture(autouse=True)
def _trust_young_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the modification times of files that a test has just written."""
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a megabyte 10,000 bytes: two images per shard."""
    monkeypatch.setattr(plan_shards, "MEGABYTE", 10_000)


def pack(
    groups_folder: Path, *groups: int, url: ImagesUrl | None = None, executor: ThreadPoolExecutor | None = None
) -> Path:
    """Pack groups of a folder from `write_groups`, to a bucket if a URL is given; return the packs."""
    artifacts, settings = groups_folder.parents[2], PackSettings(shard_megabytes=1, output_url=url)
    return pack_groups(groups_folder, groups, artifacts.parent / "images", artifacts, settings, executor=executor)


def content_of(path: str, size: int = 3_000) -> bytes:
    """Return bytes of a file that no other path has."""
    return np.random.default_rng(list(path.encode())).bytes(size + len(path))


def write_image(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@pytest.fixture
def write_groups(tmp_path: Path) -> WriteGroups:
    """Write a groups artifact of paths by group, and a file of random bytes at each path; return its folder."""

    def write(groups: dict[int, list[str]]) -> Path:
        folder = tmp_path / "artifacts" / "groups" / "city" / "abc"
        for group, paths in groups.items():
            rows = [{"group_index": group, "class_index": 0, "path": path} for path in paths]
            folder.mkdir(parents=True, exist_ok=True)
            members = make_frame(rows, schemas.MEMBERS)
            write_table(members, folder / "members" / group_file(group), schemas.MEMBERS)
            for path in paths:
                if not (tmp_path / "images" / path).exists():
                    write_image(tmp_path / "images" / path, content_of(path))
        recipe = {"stage": "groups", "name": "city", "digest": "abc", "settings": {"M": 10.0}, "inputs": {}}
        (folder / "recipe.json").write_text(json.dumps(recipe))
        return folder

    return write
