"""Extract descriptors in several ranks, each of its share of the images."""

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch.distributed as dist

from evaluation.descriptors.extract import Descriptors
from evaluation.descriptors.image_dataset import ImageDataset


def world_size() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rows_of_rank(num_images: int) -> npt.NDArray[np.int64]:
    """Return the rows of this rank's share, at least one: taken modulo the number of images."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    return np.arange(rank, max(rank + 1, num_images), world_size())


def all_gather_descriptors(extract: Callable[[ImageDataset], Descriptors], images: ImageDataset) -> Descriptors:
    """Return the descriptors of images, the same in each rank, extracted by all ranks."""
    if not dist.is_initialized() or not len(images):
        return extract(images)
    share = copy.copy(images)
    share.paths = images.paths.take(pa.array(rows_of_rank(len(images)) % len(images)))
    shares: list[Descriptors] = [np.empty((0, 0), np.float32)] * world_size()
    dist.all_gather_object(shares, extract(share))
    descriptors = np.empty((len(images), shares[0].shape[1]), np.float32)
    for rank, part in enumerate(shares):
        rows = descriptors[rank :: world_size()]
        rows[:] = part[: len(rows)]
    return descriptors
