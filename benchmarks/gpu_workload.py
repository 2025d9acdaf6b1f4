"""The photos, groups and plain loops of `on_gpu.py`."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor

from training.classifier.cosface import CosFace
from training.network.preprocessing import Preprocessing

DIFFERENT_PHOTOS, CLASSES = 32, 64  # the other photos are copies under other names


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run."""

    pixels: int  # of a photo's side, and of the network's input
    batch: int
    steps: int  # that are timed
    warm_up: int  # steps before them
    photos: int
    classes: int  # of a classifier
    workers: tuple[int, ...]


def write_photos(folder: Path, sizes: Sizes) -> list[str]:
    """Write JPEG files of soft colours under noise, square, and return their paths in the folder."""
    folder.mkdir(parents=True)
    different = []
    for seed in range(DIFFERENT_PHOTOS):
        generator = np.random.default_rng(seed)
        areas = Image.fromarray(generator.integers(0, 230, (16, 16, 3), dtype=np.uint8))
        soft = np.asarray(areas.resize((sizes.pixels, sizes.pixels), Image.Resampling.BICUBIC), np.int16)
        noisy = soft + generator.integers(0, 25, soft.shape)
        file = folder / f"{seed}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=90)
        different.append(file.read_bytes())
    names = [f"{number}.jpg" for number in range(sizes.photos)]
    for name, content in zip(names, itertools.cycle(different), strict=False):
        (folder / name).write_bytes(content)
    return names


def write_groups(folder: Path, paths: list[str]) -> None:
    """Write the tables of one group, with its photos spread over the classes."""
    class_indices = np.sort(np.arange(len(paths)) % CLASSES).astype(np.int32)
    members = pl.DataFrame({"class_index": class_indices, "path": paths}).with_columns(group_index=pl.lit(0, pl.Int32))
    classes = members.group_by("class_index", maintain_order=True).agg(
        pl.col("group_index").first(), num_images=pl.len().cast(pl.Int32)
    )
    for name, table in (("members", members), ("classes", classes)):
        (folder / name).mkdir(parents=True)
        table.write_parquet(folder / name / "group-000000.parquet")


class PlainStep:
    """One training step as a first version would write it, in fp32 or fp16: default memory format, default Adam."""

    def __init__(self, network: nn.Module, sizes: Sizes, fc_output_dim: int, device: torch.device, fp16: bool) -> None:
        self.network = network.to(device, memory_format=torch.contiguous_format).train()
        self.classifier = CosFace(fc_output_dim, sizes.classes).to(device)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizers = torch.optim.Adam(trained, lr=1e-5), torch.optim.Adam(self.classifier.parameters(), lr=0.01)
        self.device, self.fp16 = device, fp16
        self.scaler = torch.amp.GradScaler(device.type, enabled=fp16)

    def __call__(self, images: Tensor, class_indices: Tensor) -> None:
        """Take a step on normalised images [b, 3, h, w] and their classes [b]."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.float16, enabled=self.fp16):
            loss = cross_entropy(self.classifier(self.network(images), class_indices), class_indices)
        torch.autograd.backward(self.scaler.scale(loss))
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()


class PlainPhotos(Dataset[Tensor]):
    """Photos as float tensors from 0 to 1: [3, h, w]."""

    def __init__(self, folder: Path, paths: list[str], length: int) -> None:
        self.folder, self.paths, self.length = folder, paths, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Tensor:
        with Image.open(self.folder / self.paths[number % len(self.paths)]) as image:
            return pil_to_tensor(image.convert("RGB")).float() / 255


def plain_batches(
    photos: PlainPhotos, sizes: Sizes, device: torch.device, workers: int
) -> Iterator[tuple[Tensor, float]]:
    """Yield batches on the device with the seconds that each took to arrive."""
    loader: DataLoader[Tensor] = DataLoader(
        photos, sizes.batch, shuffle=True, num_workers=workers, drop_last=True, pin_memory=device.type == "cuda"
    )
    batches = iter(loader)
    for _ in range(len(loader)):
        began = time.perf_counter()
        batch = next(batches)
        yield batch.to(device), time.perf_counter() - began


def plain_augmentation(sizes: Sizes) -> Callable[[Tensor], Tensor]:
    """Return torchvision's augmentation of images [b, 3, h, w] from 0 to 1, one by one, on their device."""
    one = v2.Compose(
        [
            v2.ColorJitter(0.7, 0.7, 0.7, 0.5),
            v2.RandomResizedCrop((sizes.pixels, sizes.pixels), scale=(0.5, 1.0), antialias=True),
        ]
    )
    preprocessing = Preprocessing()
    return lambda images: preprocessing.normalise(255 * torch.stack([one(image) for image in images]))
