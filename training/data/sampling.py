"""Sampling of classes and images, as a pure function of (seed, epoch, sample number).

So it does not depend on workers or interruptions: to resume at iteration i is to start at sample i * batch_size.
"""

import enum
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from training.settings import TrainingSettings

WORD = 2**64 - 1  # keeps the low 64 bits of Python's integers, which do not wrap around
Numbers = npt.NDArray[np.int64]
Words = TypeVar("Words", int, npt.NDArray[np.uint64])


class Stream(enum.IntEnum):
    """The independent uses of random numbers."""

    CLASS_ORDER = 0
    IMAGE = 1
    AUGMENTATION = 2
    STEP = 3
    CLASSIFIER = 4


def derive_seed(stream: Stream, *numbers: int) -> int:
    """Return a seed, from 0 to 2^63 - 1, that is statistically independent of those of other arguments."""
    words = np.random.SeedSequence([int(stream), *numbers]).generate_state(1, np.uint64)
    return int(words[0] >> 1)


def splitmix64(seed: int, position: Words) -> Words:
    """Return the outputs of SplitMix64 at positions from 0, as 64 random bits each.

    The generator is counter-based: an output needs none of those before it. Source: Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014, with the constants of Java's SplittableRandom.
    """
    word = ((position + 1) * 0x9E3779B97F4A7C15 + seed) & WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)  # type: ignore[return-value]  # NumPy's types take uint64 >> int for signed


@functools.lru_cache(maxsize=2)
def seed_of_images(seed: int, epoch: int) -> int:
    """Return the seed of the generator that chooses an epoch's images."""
    return derive_seed(Stream.IMAGE, seed, epoch)


@functools.lru_cache(maxsize=2)  # the batches that workers prefetch may be in two passes
def order_of_classes(num_classes: int, seed: int, epoch: int, number_of_pass: int) -> Numbers:
    """Return the permutation of 0 .. num_classes - 1 in which a pass shows the classes."""
    generator = np.random.Generator(np.random.PCG64(derive_seed(Stream.CLASS_ORDER, seed, epoch, number_of_pass)))
    return generator.permutation(num_classes)


@dataclass(frozen=True)
class EpochPlan:
    """The samples of an epoch, by number.

    Each pass over the classes has a new order. It drops the last incomplete batch, so that no batch contains a class
    twice. `num_classes` must be at least `batch_size`; epochs are numbered from 0.
    """

    num_classes: int
    batch_size: int
    iterations: int
    seed: int
    epoch: int

    @classmethod
    def of(cls, training: TrainingSettings, num_classes: int, epoch: int) -> Self:
        """Return the plan of an epoch on a group of `num_classes` classes."""
        return cls(num_classes, training.batch_size, training.iterations_per_epoch, training.seed, epoch)

    @property
    def num_samples(self) -> int:
        """Images per epoch."""
        return self.iterations * self.batch_size

    def shard(self, first_iteration: int = 0, rank: int = 0, world_size: int = 1) -> Iterator[int]:
        """Yield the samples of a rank, an equal part of each batch, from an iteration on."""
        size = self.batch_size // world_size
        for iteration in range(first_iteration, self.iterations):
            first = iteration * self.batch_size + rank * size
            yield from range(first, first + size)

    @property
    def samples_per_pass(self) -> int:
        """Samples of a pass over the classes: whole batches."""
        return self.num_classes // self.batch_size * self.batch_size

    def class_index(self, sample: int) -> int:
        """Return the class of a sample."""
        number_of_pass, position = divmod(sample, self.samples_per_pass)
        return int(order_of_classes(self.num_classes, self.seed, self.epoch, number_of_pass)[position])

    def class_indices(self, samples: Numbers) -> Numbers:
        """Return the classes of samples, as `class_index` does for one."""
        passes, positions = np.divmod(samples, self.samples_per_pass)
        distinct, rows = np.unique(passes, return_inverse=True)
        orders = [order_of_classes(self.num_classes, self.seed, self.epoch, int(each)) for each in distinct]
        return np.stack(orders)[rows, positions]

    def image_number(self, sample: int, num_images: int) -> int:
        """Return the image of its class, from 0 to num_images - 1, that a sample shows.

        The modulo favours small numbers by at most num_images / 2^64, which is negligible.
        """
        return splitmix64(seed_of_images(self.seed, self.epoch), sample) % num_images

    def image_numbers(self, samples: Numbers, num_images: Numbers) -> Numbers:
        """Return the images that samples show, as `image_number` does for one; `num_images` of each sample's class."""
        words = splitmix64(seed_of_images(self.seed, self.epoch), samples.astype(np.uint64))
        return (words % num_images.astype(np.uint64)).astype(np.int64)

    def images_to_try(self, sample: int, num_images: int) -> Iterator[int]:
        """Yield all images of the class in the order in which a sample tries them if some are unreadable."""
        first = self.image_number(sample, num_images)
        yield first
        seed = derive_seed(Stream.IMAGE, self.seed, self.epoch, sample, 1)
        others = np.random.Generator(np.random.PCG64(seed)).permutation(num_images)
        yield from (int(number) for number in others if number != first)

    def augmentation_seed(self, sample: int) -> int:
        """Return the seed of a sample's augmentation."""
        return derive_seed(Stream.AUGMENTATION, self.seed, self.epoch, sample)

    def step_seed(self, iteration: int, rank: int = 0) -> int:
        """Return the seed of the network's own randomness (stochastic depth, dropout) in an iteration."""
        return derive_seed(Stream.STEP, self.seed, self.epoch, iteration, *([rank] if rank else []))
