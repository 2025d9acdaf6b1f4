"""Smaller copies: upright JPEGs without EXIF, never enlarged; damaged images are rejects."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageOps

from data_manifest.errors import UserError
from pipeline.packs.pack_groups import pack_groups
from pipeline.packs.settings import PackSettings
from pipeline.packs.shrink_image import shrink_image
from pipeline.verification.bad_image import BadImageError
from tests.pipeline.packs.conftest import WriteGroups, write_image


def picture(width: int, height: int, kind: str = "JPEG", orientation: int = 1) -> bytes:
    east, south = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([east, south, 255 - east], axis=-1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((200, 100), (100, 50)),
        ((100, 200), (50, 100)),
        ((50, 50), (50, 50)),
        ((40, 30), (40, 30)),
        ((999, 1), (999, 1)),
    ],
)
def test_shorter_side_is_limited(size: tuple[int, int], expected: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(shrink_image(picture(*size), 50, 90))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_copy_is_upright_without_exif_and_looks_the_same(kind: str) -> None:
    content = picture(200, 100, kind, orientation=6)
    with Image.open(io.BytesIO(shrink_image(content, 50, 95))) as image, Image.open(io.BytesIO(content)) as original:
        assert not image.getexif()
        expected = ImageOps.exif_transpose(original).convert("RGB").resize((50, 100), Image.Resampling.BOX)
        assert np.abs(np.asarray(image, int) - np.asarray(expected, int)).mean() < 3


def test_quality_decides_the_size() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    sizes = [len(shrink_image(buffer.getvalue(), 60, quality)) for quality in (20, 60, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[2]


@pytest.mark.parametrize("content", [picture(200, 100)[:-300], b"no image", b""])
def test_damaged_images_are_refused(content: bytes) -> None:
    with pytest.raises(BadImageError):
        shrink_image(content, 50, 90)


def test_packs_of_copies_have_rejects(write_groups: WriteGroups, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.png"):
        write_image(tmp_path / "images" / name, picture(200, 100, "PNG" if name == "c.png" else "JPEG"))
    write_image(tmp_path / "images" / "b.jpg", picture(200, 100)[:-300])
    groups = write_groups({0: ["a.jpg", "b.jpg", "c.png"]})
    settings = PackSettings(jpeg_size=50)
    packs = pack_groups(groups, [0], tmp_path / "images", tmp_path / "artifacts", settings)
    assert pl.read_parquet(packs / "index" / "*.parquet")["path"].to_list() == ["a.jpg", "c.png"]
    (reject,) = pl.read_parquet(packs / "rejects" / "*.parquet").cast({"reason": pl.String}).rows()
    assert reject[:2] == ("b.jpg", "corrupt")
    plain = pack_groups(groups, [0], tmp_path / "images", tmp_path / "artifacts")
    assert pl.read_parquet(plain / "index" / "*.parquet")["path"].to_list() == ["a.jpg", "b.jpg", "c.png"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shard_megabytes": 0}, "shard_megabytes = 0: give 1 or more"),
        ({"jpeg_size": 0}, "jpeg_size = 0: give 1 pixel or more"),
        ({"jpeg_size": 100, "quality": 101}, "quality = 101: choose a number from 1 to 100"),
        ({"quality": 80}, "quality = 80: no effect without jpeg_size"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PackSettings(**values)
