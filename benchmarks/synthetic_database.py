"""A database of generated unit vectors in place of descriptors, whose image files do not exist."""

import functools
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image

from data_manifest import schemas
from data_manifest.images.file_states import stat_images
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.tables import write_table
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.find_database import Database
from evaluation.localization.localize import Localizer
from evaluation.settings import Extraction
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

DIM, SIDE = 512, 512  # of descriptors, and of a database image in pixels
ROWS_AT_A_TIME = 100_000
GRID, STEP_M = 400, 10.0  # images per row of the grid that they are on, and metres between them
IMAGES, DESCRIPTORS = Recipe("manifest", "city", 1, {}, {}), Recipe("descriptors", "city", 1, {}, {})


def unit_vectors(count: int, seed: int) -> np.ndarray:
    """Return generated unit vectors."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def generate(path: Path, count: int) -> None:
    """Write generated unit vectors, some at a time."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, (count, DIM))
    for first in range(0, count, ROWS_AT_A_TIME):
        rows = min(ROWS_AT_A_TIME, count - first)
        array[first : first + rows] = unit_vectors(rows, first + 1)
    array.flush()


def write_database(work: Path, count: int) -> None:
    """Write a database of a number of images on a grid; only the first image exists."""
    Image.new("RGB", (SIDE, SIDE)).save(work / "0.jpg")
    paths = pl.Series("path", [f"{number}.jpg" for number in range(count)])
    number = pl.int_range(count)
    place = {
        "utm_east": 500_000 + STEP_M * (number % GRID),
        "utm_north": 4_000_000 + STEP_M * (number // GRID),
        "utm_zone": pl.lit(10),
        "utm_band": pl.lit("S"),
    }
    columns = [place.get(name, pl.lit(None)).alias(name) for name in schemas.MANIFEST.names if name != "path"]
    with publishing(work, IMAGES, {}) as staging:
        manifest = pl.DataFrame({"path": paths}).with_columns(columns)
        write_table(manifest, staging / "manifest" / "part.parquet", schemas.MANIFEST)
    with publishing(work, DESCRIPTORS, {}) as staging:
        generate(staging / "descriptors.npy", count)
        write_table(stat_images(paths, work), staging / "files" / "files.parquet", schemas.FILES)


@functools.cache
def load_localizer(work: Path, backbone: str) -> Localizer:
    """Return a localizer of a network with random weights in the database of `write_database`, on the CPU."""
    weights = work / f"{backbone}.pth"
    if not weights.exists():
        torch.manual_seed(0)
        save_network(GeoLocalizationNet(backbone, DIM), weights)
    images, descriptors = ImageList(IMAGES.folder(work), work), DESCRIPTORS.folder(work)
    return Localizer(TrainedModel(weights, backbone, DIM), Database(images, descriptors, Extraction(device="cpu")))


def write_photo(path: Path, size: tuple[int, int], seed: int) -> None:
    """Write a JPEG of smooth noise, about as large as a photo."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)
