"""Batches of images of any sizes: loaded in order, each batch sorted out by shape, so that equal shapes are stacked.

Nothing here imports the network, so that the worker processes, which import this module, start fast and stay small.
"""

import math
import multiprocessing
import multiprocessing.context
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_manifest.errors import UserError
from evaluation.images import ImageFiles

Sample = tuple[int, Tensor]  # row, image [3, h, w]
Batch = list[tuple[Tensor, Tensor]]  # rows [b], images [b, 3, h, w]; one entry a shape


def load_batches(images: ImageFiles, batch_size: int, num_workers: int, pin_memory: bool = False) -> Iterator[Batch]:
    """Yield all images in batches of `batch_size`, the last one smaller; within a batch, one entry a shape.

    The global random state is left alone, so that validating during training does not change the training.

    Raises:
        UserError: An image cannot be opened.
    """
    for batch in _loader(images, batch_size, num_workers, pin_memory):
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _loader(images: ImageFiles, batch_size: int, num_workers: int, pin_memory: bool) -> DataLoader[Sample | UserError]:
    workers = min(num_workers, math.ceil(len(images) / batch_size))  # no process without a batch of its own
    with warnings.catch_warnings():
        # More workers than cores are the user's choice: they help where the images lie on a slow disk.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        return DataLoader(
            _Samples(images),
            batch_size=batch_size,
            num_workers=workers,
            collate_fn=_group_by_shape,
            pin_memory=pin_memory,
            multiprocessing_context=_forkserver() if workers else None,
            generator=torch.Generator(),  # otherwise starting an epoch draws from the global random state
        )


class _Samples(Dataset[Sample | UserError]):
    """An image with its row, or its error as a value: raised in a worker, it would arrive with a traceback in it."""

    def __init__(self, images: ImageFiles) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Sample | UserError:
        try:
            return row, self.images[row]
        except UserError as error:
            return error


def _group_by_shape(samples: list[Sample | UserError]) -> Batch | UserError:
    groups: dict[torch.Size, list[Sample]] = {}
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        groups.setdefault(sample[1].shape, []).append(sample)
    return [
        (torch.tensor([row for row, _ in group]), torch.stack([pixels for _, pixels in group]))
        for group in groups.values()
    ]


def _forkserver() -> multiprocessing.context.ForkServerContext:
    """A plain fork hangs once threads run, as those of polars do; spawn imports torch anew in each worker."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    return context
