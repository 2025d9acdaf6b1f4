"""Batches of an epoch, read by worker processes or by this one."""

import signal
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from data_manifest.errors import UserError
from data_manifest.loader_workers import end_with_parent, forkserver, receive_batches
from training.data.batch_augmentation import augment_batch, pack
from training.data.dataset import GroupDataset, Sample, Skipped
from training.distributed.processes import number_of_processes, own_number
from training.settings import RuntimeSettings

if TYPE_CHECKING:  # worker processes import this module, and need no tables
    from training.data.skipped import SkippedImages

BATCH_FLAG = "--batch-size"
Batch = tuple[Tensor, Tensor]
Item = TypeVar("Item")


class Collated(NamedTuple):
    """Samples as one batch: images and classes, and a table of changes where the device is to make them."""

    images: Tensor
    class_indices: Tensor
    changes: Tensor | None
    skipped: Sequence[Skipped]


class WaitTimer:
    """Iterates, and adds up the seconds spent waiting for the next item."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Give the items as they come."""
        iterator = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield item


def read_batches(
    dataset: GroupDataset,
    runtime: RuntimeSettings,
    device: torch.device,
    skipped: "SkippedImages",
    first_iteration: int = 0,
    timer: WaitTimer | None = None,
) -> Iterator[Batch]:
    """Give the batches of an epoch from an iteration on, on the device: images and their classes [b], int64.

    The images are bytes [b, c, h, w]; those that the device has changed are float32, from 0 to 255.

    Of processes that train together each gets its share of every batch.

    Args:
        dataset: The samples of the epoch.
        runtime: Number of workers.
        device: Where the batches go.
        skipped: Counts images that cannot be read.
        first_iteration: The first batch.
        timer: Times the loader only: on a busy GPU, copying and augmenting a batch wait for the network.

    Raises:
        UserError: A class has no image that can be read, too many images cannot, or a worker died.
    """
    timer = timer or WaitTimer()
    # No name for the iterator: a traceback that keeps this frame would keep its workers.
    for batch in timer.watch(receive_batches(_load(dataset, runtime, device, first_iteration), BATCH_FLAG)):
        if isinstance(batch, UserError):
            raise batch
        if batch.skipped:
            skipped.add(batch.skipped, dataset.plan)
        images, class_indices = (part.to(device, non_blocking=True) for part in batch[:2])
        if batch.changes is not None:
            augmentation = dataset.augmentation
            images = augment_batch(images, batch.changes, augmentation.size, augmentation.channels)
        yield images, class_indices


def _load(
    dataset: GroupDataset, runtime: RuntimeSettings, device: torch.device, first_iteration: int
) -> Iterator[Collated | UserError]:
    """Start the workers, and return the batches that they read."""
    process, processes = own_number(), number_of_processes()
    with warnings.catch_warnings():
        # More workers than cores are the user's choice: they help where the images lie on a slow disk.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: DataLoader[Collated | UserError] = DataLoader(
            dataset,  # type: ignore[arg-type]  # the loader is typed by what `collate` gives
            batch_size=dataset.plan.batch_size // processes,
            sampler=dataset.plan.share(first_iteration, process, processes),
            num_workers=runtime.num_workers,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
            multiprocessing_context=forkserver("torch", "training.data.loading") if runtime.num_workers else None,
            worker_init_fn=leave_signals_to_the_trainer,
            generator=torch.Generator(),  # otherwise starting an epoch draws from the global random state
        )
        return iter(loader)


def augments_in_batches(runtime: RuntimeSettings, device: torch.device) -> bool:
    """Return whether the network's device is to change the images.

    Raises:
        UserError: It is asked for, and the device is no GPU.
    """
    if runtime.augmentation_device == "cuda" and device.type != "cuda":
        raise UserError(
            f"augmentation_device = cuda: the network runs on {device} (device = {runtime.device}); there, give cpu"
        )
    return runtime.augmentation_device == "cuda"


def collate(samples: Sequence[Sample | UserError]) -> Collated | UserError:
    """Return samples as a batch, or the first error among them."""
    whole: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        whole.append(sample)
    class_indices = torch.tensor([sample.class_index for sample in whole])
    skipped = [each for sample in whole for each in sample.skipped]
    changes = [sample.change for sample in whole if sample.change is not None]
    if changes:
        images, table = pack([sample.image for sample in whole], changes)
        return Collated(images, class_indices, table, skipped)
    return Collated(torch.stack([sample.image for sample in whole]), class_indices, None, skipped)


def leave_signals_to_the_trainer(worker: int) -> None:
    """Have a worker go on when Ctrl-C, or a signal to all processes of a job, asks the run to stop.

    The trainer ends its iteration, for which it needs the images, and then its workers.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    end_with_parent()
