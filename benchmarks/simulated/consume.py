"""A stand-in for the network, which takes a fixed time per batch, and what it measured in an epoch."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

IMAGES_PER_SECOND = 400  # of a network that never waits


@dataclass(frozen=True)
class Epoch:
    """Figures of an epoch: images per second, share of waiting, bytes read from the store, classes per batch."""

    images_per_second: float
    waiting: float
    bytes_per_image: float
    classes: float


def take(images: Tensor) -> None:
    """Take a batch, as long as a network would: [b, c, h, w]."""
    time.sleep(len(images) / IMAGES_PER_SECOND)


def consume(batches: Iterable[tuple[Tensor, Tensor]], bytes_read: Callable[[], int]) -> Epoch:
    """Take an epoch's batches of images and classes; `bytes_read` returns the bytes that the store has read so far.

    The time includes the start of the loader's processes, as in a training.
    """
    count, waited, classes, read = 0, 0.0, list[int](), bytes_read()
    began = waiting_since = time.perf_counter()
    for images, class_indices in batches:
        waited += time.perf_counter() - waiting_since
        take(images)
        count += len(images)
        classes.append(len(torch.unique(class_indices)))
        waiting_since = time.perf_counter()
    seconds = waiting_since - began
    return Epoch(count / seconds, waited / seconds, (bytes_read() - read) / count, sum(classes) / len(classes))
