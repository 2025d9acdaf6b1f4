"""Load images in order, and batch those that share a shape.

Imports nothing of the network, so that worker processes, which import this module, start fast and stay small.
"""

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_manifest.errors import UserError
from data_manifest.images.loader_workers import check_shared_memory, end_with_parent, forkserver, receive_batches
from evaluation.descriptors.image_dataset import ImageDataset

Sample = tuple[int, Tensor]  # row, image [channels, h, w]
Stack = tuple[Tensor, Tensor]  # rows [b], images [b, channels, h, w]
Batch = list[Stack]  # one stack per shape
MAX_WAITING_BYTES = 1 << 28
BATCH_FLAG = "--infer-batch-size"


def load_batches(
    images: ImageDataset,
    batch_size: int,
    num_workers: int,
    pin_memory: bool = False,
    batches: Sequence[range] | None = None,
) -> Generator[Batch, None, None]:
    """Yield images in batches with one stack per shape.

    `batches` are the rows of each batch; by default all images, `batch_size` at a time. Leaves the global random state
    alone, so that validation does not change the training.

    Raises:
        UserError: An image cannot be opened, shared memory is too small, or a worker died.
    """
    batches = batches_of(range(len(images)), batch_size) if batches is None else batches
    check_workers(images, batch_size, num_workers, batches)
    for batch in receive_batches(_batches(batches, images, num_workers, pin_memory), BATCH_FLAG):
        if isinstance(batch, UserError):
            raise batch
        yield batch


def batches_of(rows: range, batch_size: int) -> list[range]:
    """Return consecutive rows in batches; the last may be smaller."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def check_workers(
    images: ImageDataset, batch_size: int, num_workers: int, batches: Sequence[range] | None = None
) -> None:
    """Check that shared memory can hold the workers' batches, by the size of the first image.

    Raises:
        UserError: It cannot, or the first image cannot be opened.
    """
    batches = batches_of(range(len(images)), batch_size) if batches is None else batches
    if num_workers and batches:
        batch_bytes = len(batches[0]) * images[batches[0][0]].nbytes
        check_shared_memory(batch_bytes, len(batches), num_workers, BATCH_FLAG)


def batches_of_one_shape(loaded: Iterable[Batch], batch_size: int) -> Iterator[Stack]:
    """Yield all images in stacks of one shape and at most `batch_size` images.

    A stack waits until it is full. When waiting images exceed `MAX_WAITING_BYTES`, the largest stack goes first.
    """
    waiting: dict[torch.Size, list[Stack]] = {}
    for batch in loaded:
        for rows, pixels in batch:
            stacks = waiting.setdefault(pixels.shape[1:], [])
            if len(rows) < batch_size and pixels.is_shared():  # type: ignore[no-untyped-call]
                pixels = pixels.clone()  # so that it does not occupy shared memory while it waits
            stacks.append((rows, pixels))
            while _images_in(stacks) >= batch_size:
                rows, pixels = _join(stacks)
                yield rows[:batch_size], pixels[:batch_size]
                stacks[:] = [(rows[batch_size:], pixels[batch_size:])] if len(rows) > batch_size else []
        while sum(pixels.numel() for stacks in waiting.values() for _, pixels in stacks) > MAX_WAITING_BYTES:
            yield _join(waiting.pop(max(waiting, key=lambda shape: _images_in(waiting[shape]))))
    yield from (_join(stacks) for stacks in waiting.values() if stacks)


def _images_in(stacks: list[Stack]) -> int:
    return sum(len(rows) for rows, _ in stacks)


def _join(stacks: list[Stack]) -> Stack:
    if len(stacks) == 1:  # nothing to copy
        return stacks[0]
    return torch.cat([rows for rows, _ in stacks]), torch.cat([pixels for _, pixels in stacks])


def _batches(
    batches: Sequence[range], images: ImageDataset, num_workers: int, pin_memory: bool
) -> Iterator[Batch | UserError]:
    workers = min(num_workers, len(batches))
    with warnings.catch_warnings():
        # More workers than cores are the user's choice: they help with slow disks.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: DataLoader[Batch | UserError] = DataLoader(
            _Samples(images),  # type: ignore[arg-type]  # typed by what `collate_fn` returns
            batch_sampler=batches,  # type: ignore[arg-type]  # a range serves as a list
            num_workers=workers,
            collate_fn=_group_by_shape,
            pin_memory=pin_memory,
            multiprocessing_context=forkserver("torch") if workers else None,
            worker_init_fn=end_with_parent,
            generator=torch.Generator(),  # otherwise starting an epoch draws from the global random state
        )
        return iter(loader)


class _Samples(Dataset[Sample | UserError]):
    """Images with their rows; an error is returned, because one raised in a worker arrives with a traceback."""

    def __init__(self, images: ImageDataset) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Sample | UserError:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> list[Sample | UserError]:
        """Return images up to the first error."""
        found: list[Sample | UserError] = []
        try:
            found.extend(zip(rows, self.images.read(rows), strict=True))
        except UserError as error:
            found.append(error)
        return found


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
