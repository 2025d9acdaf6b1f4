"""Descriptors by several processes: each describes its share of the images, and all get those of all."""

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch.distributed as dist

from evaluation.images import ImageFiles

Descriptors = npt.NDArray[np.float32]


def describe_together(describe: Callable[[ImageFiles], Descriptors], images: ImageFiles) -> Descriptors:
    """Return the descriptors of images, in their order, from all the processes that train together.

    Args:
        describe: Gives the descriptors of images, of which there is at least one.
        images: The same in each process.
    """
    if not dist.is_initialized() or not len(images):
        return describe(images)
    process, processes = dist.get_rank(), dist.get_world_size()
    own = np.arange(process, max(process + 1, len(images)), processes)
    part = copy.copy(images)
    part.paths = images.paths.take(pa.array(own % len(images)))  # one without a share describes some image again
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
