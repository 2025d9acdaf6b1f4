"""Batches of images of one size: images are loaded in order, and those of a size wait for each other.

Nothing here imports the network, so that the worker processes, which import this module, start fast and stay small.
"""

import math
import warnings
from collections.abc import Generator, Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_manifest.errors import UserError
from data_manifest.loader_workers import check_shared_memory, end_with_parent, forkserver, receive_batches
from evaluation.descriptors.images import ImageFiles

Sample = tuple[int, Tensor]  # row, image [3, h, w]
Stack = tuple[Tensor, Tensor]  # rows [b], images [b, 3, h, w]
Batch = list[Stack]  # one entry a shape
MOST_BYTES_WAITING = 1 << 28
BATCH_FLAG = "--infer-batch-size"


def load_batches(
    images: ImageFiles, batch_size: int, num_workers: int, pin_memory: bool = False, first_row: int = 0
) -> Generator[Batch, None, None]:
    """Yield all images from a row on in batches of `batch_size`, the last one smaller; in a batch, one entry a shape.

    The global random state is left alone, so that validating during training does not change the training.

    Raises:
        UserError: An image cannot be opened, shared memory is too small, or a worker died.
    """
    check_workers(images, batch_size, num_workers, first_row)
    rows = range(first_row, len(images))
    for batch in receive_batches(_batches(rows, images, batch_size, num_workers, pin_memory), BATCH_FLAG):
        if isinstance(batch, UserError):
            raise batch
        yield batch


def check_workers(images: ImageFiles, batch_size: int, num_workers: int, first_row: int = 0) -> None:
    """Check that shared memory can hold the batches of workers, by the size of the first image.

    Raises:
        UserError: It cannot, or the first image cannot be opened.
    """
    if num_workers and (count := len(images) - first_row) > 0:
        batch_bytes = min(count, batch_size) * images[first_row].nbytes
        check_shared_memory(batch_bytes, math.ceil(count / batch_size), num_workers, BATCH_FLAG)


def batches_of_one_shape(loaded: Iterable[Batch], batch_size: int) -> Iterator[Stack]:
    """Give all images in batches that share a shape: of `batch_size` where there are as many, never of more.

    Images of a shape wait until their batch is full. Where those that wait come to be too many for the memory, the
    shape with the most of them goes first.
    """
    waiting: dict[torch.Size, list[Stack]] = {}
    for batch in loaded:
        for rows, pixels in batch:
            stacks = waiting.setdefault(pixels.shape[1:], [])
            if len(rows) < batch_size and pixels.is_shared():  # type: ignore[no-untyped-call]
                pixels = pixels.clone()  # while it waits, it must not take up shared memory
            stacks.append((rows, pixels))
            while sum(len(rows) for rows, _ in stacks) >= batch_size:
                rows, pixels = _join(stacks)
                yield rows[:batch_size], pixels[:batch_size]
                stacks[:] = [(rows[batch_size:], pixels[batch_size:])] if len(rows) > batch_size else []
        while sum(_bytes(stacks) for stacks in waiting.values()) > MOST_BYTES_WAITING:
            yield _join(waiting.pop(max(waiting, key=lambda shape: sum(len(rows) for rows, _ in waiting[shape]))))
    yield from (_join(stacks) for stacks in waiting.values() if stacks)


def _join(stacks: list[Stack]) -> Stack:
    if len(stacks) == 1:  # nothing to copy
        return stacks[0]
    return torch.cat([rows for rows, _ in stacks]), torch.cat([pixels for _, pixels in stacks])


def _bytes(stacks: list[Stack]) -> int:
    return sum(pixels.numel() for _, pixels in stacks)


def _batches(
    rows: range, images: ImageFiles, batch_size: int, num_workers: int, pin_memory: bool
) -> Iterator[Batch | UserError]:
    workers = min(num_workers, math.ceil(len(rows) / batch_size))  # no process without a batch of its own
    with warnings.catch_warnings():
        # More workers than cores are the user's choice: they help where the images lie on a slow disk.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: DataLoader[Batch | UserError] = DataLoader(
            _Samples(images),  # type: ignore[arg-type]  # the loader is typed by what `collate_fn` gives
            batch_size=batch_size,
            sampler=rows,
            num_workers=workers,
            collate_fn=_group_by_shape,
            pin_memory=pin_memory,
            multiprocessing_context=forkserver("torch") if workers else None,
            worker_init_fn=end_with_parent,
            generator=torch.Generator(),  # otherwise starting an epoch draws from the global random state
        )
        return iter(loader)


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
