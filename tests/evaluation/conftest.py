"""A network small enough to know its answers, and folders of images with their manifests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data_manifest import schemas
from data_manifest.images import file_states
from data_manifest.tables import write_table
from evaluation.descriptors.image_list import ImageList

Rows = list[dict[str, object]]


class TinyNetwork(nn.Module):
    """Convolution, batch norm and dropout (which tell the modes apart), mean over the image, unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.5))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.layers(images).mean(dim=(2, 3)), dim=1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _trust_young_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait until images that a test has just written are 2 seconds old."""
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)


@pytest.fixture
def network() -> TinyNetwork:
    torch.manual_seed(0)
    return TinyNetwork()


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[[list[tuple[int, int]]], pa.Array]:
    """Write noise images of the given (width, height) into tmp_path; returns their paths as an Arrow column."""

    def write(sizes: list[tuple[int, int]]) -> pa.Array:
        generator = np.random.default_rng(0)
        names = [f"{number}.png" for number in range(len(sizes))]
        for name, (width, height) in zip(names, sizes, strict=True):
            # A colour of its own for each image: the mean of plain noise would be the same for all.
            pixels = generator.integers(0, 256, (height, width, 3)) * generator.random(3)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
        return pa.array(names)

    return write


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[[str, Rows], ImageList]:
    """Write a manifest artifact whose images lie in the folder tmp_path/name; columns not given are null."""

    def write(name: str, rows: Rows) -> ImageList:
        empty = dict.fromkeys(schemas.MANIFEST.names)
        frame = pl.DataFrame(
            [{**empty, **row} for row in rows], schema=pl.DataFrame(schemas.MANIFEST.empty_table()).schema
        )
        artifact = tmp_path / "artifacts" / name
        artifact.mkdir(parents=True, exist_ok=True)
        write_table(frame, artifact / "manifest" / "part.parquet", schemas.MANIFEST)
        return ImageList(artifact, tmp_path / name)

    return write
