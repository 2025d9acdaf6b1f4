"""Load the batches of an epoch, with worker processes or without."""

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from data_manifest.errors import UserError
from data_manifest.images.loader_workers import end_with_parent, forkserver, receive_batches
from training.data.batch_augmentation import augment_batch, pack
from training.data.dataset import GroupDataset, Sample, SkippedImage
from training.data.reads.lookahead.gate import Gate
from training.data.sampling import EpochPlan
from training.distributed.processes import rank, world_size
from training.settings import RuntimeSettings

if TYPE_CHECKING:  # worker processes import this module, and need no tables
    from training.data.skipped import SkippedLog

BATCH_FLAG = "--batch-size"
Batch = tuple[Tensor, Tensor, float]
Item = TypeVar("Item")


class Collated(NamedTuple):
    """Samples as one batch; `params` are their augmentations if the network's device applies them."""

    images: Tensor
    class_indices: Tensor
    params: Tensor | None
    skipped: Sequence[SkippedImage]


def read_batches(
    dataset: GroupDataset,
    runtime: RuntimeSettings,
    device: torch.device,
    skipped: "SkippedLog",
    first_iteration: int = 0,
    gate: Gate | None = None,
) -> Iterator[Batch]:
    """Yield this rank's share of the batches from an iteration on: images, classes [b], seconds waited for the loader.

    Both are on the device. Images are uint8 [b, c, h, w], or float32 from 0 to 255 if the device augments them. Copying
    and augmenting them does not count as waiting: on a busy GPU, both wait for the network.

    Raises:
        UserError: A class has no readable image, too many images are unreadable, or a worker died.
    """
    if gate is not None:
        gate.waited = 0.0
    # The iterator has no name: a traceback that holds this frame would keep its workers alive.
    for batch, waited in _timed(
        receive_batches(_load(dataset, runtime, device, first_iteration, gate), BATCH_FLAG), gate
    ):
        if isinstance(batch, UserError):
            raise batch
        if batch.skipped:
            skipped.add(batch.skipped, dataset.plan)
        images, class_indices = (part.to(device, non_blocking=True) for part in batch[:2])
        if batch.params is not None:
            augmentation = dataset.augmentation
            options = augmentation.size, augmentation.channels, augmentation.interpolation
            images = augment_batch(images, batch.params, *options)
        yield images, class_indices, waited


def _timed(items: Iterator[Item], gate: Gate | None) -> Iterator[tuple[Item, float]]:
    """Yield items with the seconds that each took to arrive; the first includes the wait at the gate."""
    began = time.perf_counter() - (0.0 if gate is None else gate.waited)
    for item in items:
        yield item, time.perf_counter() - began
        began = time.perf_counter()


def _load(
    dataset: GroupDataset, runtime: RuntimeSettings, device: torch.device, first_iteration: int, gate: Gate | None
) -> Iterator[Collated | UserError]:
    """Start the workers, and return the iterator over their batches."""
    with warnings.catch_warnings():
        # More workers than cores help if the images are on a slow disk.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: DataLoader[Collated | UserError] = DataLoader(
            dataset,  # type: ignore[arg-type]  # the loader is typed by what `collate` returns
            batch_size=dataset.plan.batch_size // world_size(),
            sampler=_samples(dataset.plan, first_iteration, gate),
            num_workers=runtime.num_workers,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
            multiprocessing_context=forkserver("torch", "training.data.loading") if runtime.num_workers else None,
            worker_init_fn=end_with_parent,
            generator=torch.Generator(),  # otherwise starting an epoch draws from the global random state
        )
        return iter(loader)


def _samples(plan: EpochPlan, first_iteration: int, gate: Gate | None) -> Iterator[int]:
    """Yield this rank's samples from an iteration on, those of each batch when the gate lets it through."""
    size = plan.batch_size // world_size()
    for number, sample in enumerate(plan.shard(first_iteration, rank(), world_size())):
        if gate is not None and number % size == 0:
            gate.wait(plan.epoch * plan.iterations + first_iteration + number // size)
        yield sample


def augments_in_batches(runtime: RuntimeSettings, device: torch.device) -> bool:
    """Return whether the network's device augments the images.

    Raises:
        UserError: This is requested, and the device is not a GPU.
    """
    if runtime.augmentation_device == "cuda" and device.type != "cuda":
        raise UserError(f"augmentation_device = cuda: the network runs on {device}. Give --augmentation-device cpu.")
    return runtime.augmentation_device == "cuda"


def collate(samples: Sequence[Sample | UserError]) -> Collated | UserError:
    """Return samples as a batch, or the first error among them."""
    valid: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        valid.append(sample)
    class_indices = torch.tensor([sample.class_index for sample in valid])
    skipped = [each for sample in valid for each in sample.skipped]
    params = [sample.params for sample in valid if sample.params is not None]
    if params:
        images, table = pack([sample.image for sample in valid], params)
        return Collated(images, class_indices, table, skipped)
    return Collated(torch.stack([sample.image for sample in valid]), class_indices, None, skipped)
