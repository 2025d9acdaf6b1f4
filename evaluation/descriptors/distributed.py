"""Descriptors by several processes: each describes its share of the images, and all get those of all."""

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch.distributed as dist

from evaluation.descriptors.extract import Descriptors
from evaluation.descriptors.images import ImageFiles


def number_of_processes() -> int:
    """Return how many processes share the work."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_rows(num_images: int) -> npt.NDArray[np.int64]:
    """Return the rows that are this process's share, at least one: beyond the last, the rows begin anew."""
    process, processes = (dist.get_rank() if dist.is_initialized() else 0), number_of_processes()
    return np.arange(process, max(process + 1, num_images), processes)


def describe_together(describe: Callable[[ImageFiles], Descriptors], images: ImageFiles) -> Descriptors:
    """Return the descriptors of images, in their order, from all the processes that train together.

    Args:
        describe: Gives the descriptors of images, of which there is at least one.
        images: The same in each process.
    """
    if not dist.is_initialized() or not len(images):
        return describe(images)
    processes = number_of_processes()
    part = copy.copy(images)
    part.paths = images.paths.take(pa.array(own_rows(len(images)) % len(images)))
    shares: list[Descriptors | None] = [None] * processes
    dist.all_gather_object(shares, describe(part))
    descriptors: Descriptors | None = None
    for first, share in enumerate(shares):
        assert share is not None
        if descriptors is None:
            descriptors = np.empty((len(images), share.shape[1]), np.float32)
        rows = descriptors[first::processes]
        rows[:] = share[: len(rows)]
    assert descriptors is not None
    return descriptors
