"""Networks with known answers, images with their manifests, and a published city with a model."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data_manifest import schemas
from data_manifest.images import file_states
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.tables import write_table
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.settings import Extraction
from pipeline.manifest.build_manifest import build_manifest
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

Rows = list[dict[str, object]]
WriteImages = Callable[[list[tuple[int, int]]], pa.Array]
WriteManifest = Callable[[str, Rows], ImageList]
City = Callable[..., ImageList]
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 230), "grey": (128, 128, 128)}
BACKBONE, DIM = "SqueezeNet1_1", 8
LONG_AGO = 1_500_000_000
PAINTED_SIDE = 48


class TinyNetwork(nn.Module):
    """Convolution, batch norm and dropout (which differ between modes), mean over the image, unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.5))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.layers(images).mean(dim=(2, 3)), dim=1)


class Killed(BaseException):
    """Stands for whatever ends a process."""


class Counting(nn.Module):
    """Counts the images that a network embeds, and dies after some of them."""

    def __init__(self, network: nn.Module, dies_after: int | None = None) -> None:
        super().__init__()
        self.network, self.dies_after, self.embedded = network, dies_after, 0

    def forward(self, images: Tensor) -> Tensor:
        if self.dies_after is not None and self.embedded >= self.dies_after:
            raise Killed
        self.embedded += len(images)
        descriptors: Tensor = self.network(images)
        return descriptors


def model_of(network: nn.Module, path: Path) -> TrainedModel:
    """Return a model with a given network; its file, which is written, only counts for its digests."""
    path.write_bytes(b"weights")
    model = TrainedModel(path, "ResNet18", 8)
    model.__dict__["network"] = network
    return model


def on_cpu(batch_size: int = 2, **others: Any) -> Extraction:
    """Return an extraction on the CPU, without workers unless given."""
    return Extraction(batch_size=batch_size, device="cpu", **{"num_workers": 0, **others})


def pattern(colour: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    """Return a coloured image with a mark at the upper left, so that its orientation matters."""
    image = Image.new("RGB", size, colour)
    image.paste((0, 0, 0), (0, 0, size[0] // 2, size[1] // 3))
    return image


def manifest_frame(rows: Rows) -> pl.DataFrame:
    """Return a table MANIFEST; columns that are not given are null."""
    empty = dict.fromkeys(schemas.MANIFEST.names)
    schema = pl.DataFrame(schemas.MANIFEST.empty_table()).schema
    return pl.DataFrame([{**empty, **row} for row in rows], schema=schema)


def name(number: int) -> str:
    """Return a file name in the form of SF-XL."""
    return f"@{500_000 + 100 * number}@4000000@10@S@@@p{number}@@0@@@@2015@@.png"


def paint(folder: Path, number: int, colour: tuple[int, int, int], when: int = LONG_AGO) -> Path:
    """Write an image of one colour. All have the same number of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (PAINTED_SIDE, PAINTED_SIDE), colour).save(folder / name(number), compress_level=0)
    os.utime(folder / name(number), (when, when))
    return folder / name(number)


def list_images(folder: Path, artifacts: Path) -> ImageList:
    """Build the manifest of a folder, and return the list of its images."""
    return ImageList(build_manifest(folder, artifacts, strict=False), folder)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


@pytest.fixture(autouse=True)
def _trust_young_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait until images that a test has just written are 2 seconds old."""
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)


@pytest.fixture
def network() -> TinyNetwork:
    torch.manual_seed(0)
    return TinyNetwork()


@pytest.fixture
def write_images(tmp_path: Path) -> WriteImages:
    """Write noise images of the given (width, height) to tmp_path; returns their paths as an Arrow column."""

    def write(sizes: list[tuple[int, int]]) -> pa.Array:
        generator = np.random.default_rng(0)
        names = [f"{number}.png" for number in range(len(sizes))]
        for name, (width, height) in zip(names, sizes, strict=True):
            # Each image has its own colour: the mean of plain noise would be the same for all.
            pixels = generator.integers(0, 256, (height, width, 3)) * generator.random(3)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
        return pa.array(names)

    return write


@pytest.fixture
def write_manifest(tmp_path: Path) -> WriteManifest:
    """Write a manifest without a recipe whose images are in tmp_path/name."""

    def write(name: str, rows: Rows) -> ImageList:
        artifact = tmp_path / "artifacts" / name
        artifact.mkdir(parents=True, exist_ok=True)
        write_table(manifest_frame(rows), artifact / "manifest" / "part.parquet", schemas.MANIFEST)
        return ImageList(artifact, tmp_path / name)

    return write


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def city(tmp_path: Path, artifacts: Path) -> City:
    """Make a folder of images a kilometre apart, and its published manifest."""

    def make(name: str, shift_m: float = 0.0, colours: tuple[str, ...] = tuple(COLOURS)) -> ImageList:
        folder = tmp_path / "city" / name
        folder.mkdir(parents=True)
        rows: Rows = []
        for number, colour in enumerate(colours):
            pattern(COLOURS[colour], (64, 48)).save(folder / f"{colour}.png")
            place = {"utm_east": 500_000.0 + 1000 * number + shift_m, "utm_north": 4e6, "utm_zone": 10, "utm_band": "S"}
            facts = {"latitude": 36.14, "longitude": -123.0 + number / 100, "heading": 90.0 * number, "year": 2015}
            if colour == "grey":  # its name has only UTM coordinates
                del facts["latitude"], facts["longitude"]
            rows.append({"path": f"{colour}.png", **place, **facts})
        recipe = Recipe("manifest", f"city-{name}", 1, {}, {"images": name})
        with publishing(artifacts, recipe, {"made": "some"}) as staging:
            write_table(manifest_frame(rows), staging / "manifest" / "part.parquet", schemas.MANIFEST)
        return ImageList(recipe.folder(artifacts), folder)

    return make


@pytest.fixture
def training(artifacts: Path) -> Path:
    """Return the folder of a published training."""
    torch.manual_seed(0)
    recipe = Recipe("training", "city-train", 1, {"backbone": BACKBONE, "fc_output_dim": DIM}, {})
    with publishing(artifacts, recipe, {"made": "a model"}) as staging:
        save_network(GeoLocalizationNet(BACKBONE, DIM), staging / "model.pth")
    return recipe.folder(artifacts)


@pytest.fixture
def model(training: Path) -> TrainedModel:
    return TrainedModel(training / "model.pth", BACKBONE, DIM)


@pytest.fixture
def evaluation(city: City, model: TrainedModel, artifacts: Path) -> Path:
    """Return the folder of a published evaluation."""
    return evaluate_cosplace(model, city("database"), city("queries", 3.0), artifacts, on_cpu(16))
