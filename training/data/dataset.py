"""The data set of one epoch on one group, indexed by sample number.

Worker processes import this module, so it imports no tables.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from data_manifest.errors import UserError
from data_manifest.images.image_store import ImageReader, store_of
from data_manifest.images.images_folder import ImagesFolder
from training.data.augmentation import Augmentation, AugmentationParams
from training.data.image_files import UnreadableImageError, decode_image
from training.data.members import Members
from training.data.reads.lookahead.cached_store import CachedStore, ImageCache
from training.data.sampling import EpochPlan

MAX_BATCHED_RATIO = 2  # images with sides over this multiple of the output size are augmented in the worker


class SkippedImage(NamedTuple):
    """An unreadable image that was replaced by another of its class."""

    path: str
    reason: str


class Sample(NamedTuple):
    """An image, uint8, its class, its augmentation if still to be applied, and the unreadable images it replaces."""

    image: Tensor
    class_index: int
    params: AugmentationParams | None
    skipped: Sequence[SkippedImage]


@dataclass(frozen=True, eq=False)
class GroupDataset(Dataset[Sample | UserError]):
    """The samples of an epoch: an image [channels, height, width], uint8, and its class.

    An unreadable image is replaced by another image of its class, chosen by the sample number. If the class has no
    readable image, the item is the error itself: raised in a worker, it would reach the user wrapped in tracebacks.

    With `in_batches`, the network's device augments all but large images. Images in the `cache` are read from there.
    """

    images_folder: ImagesFolder
    members: Members
    plan: EpochPlan
    augmentation: Augmentation
    in_batches: bool = False
    store: ImageReader | None = None  # where the images are read, if not in the folder
    cache: ImageCache | None = None

    def __len__(self) -> int:
        return self.plan.num_samples

    def __getitem__(self, sample: int) -> Sample | UserError:
        return self.__getitems__([sample])[0]

    def __getitems__(self, samples: Sequence[int]) -> list[Sample | UserError]:
        """Return samples up to the first error; if the store can, it reads their images at the same time."""
        store = self._store()
        paths = [self._paths(sample) for sample in samples]
        first = [next(each) for each in paths]
        found: list[Sample | UserError] = []
        try:
            for sample, path, content, others in zip(samples, first, store.read(first), paths, strict=True):
                contents = ((other, next(store.read([other]))) for other in others)
                found.append(self._sample(sample, itertools.chain([(path, content)], contents)))
        except UserError as error:
            found.append(error)
        return found

    def _store(self) -> ImageReader:
        store = self.store or store_of(self.images_folder)
        return store if self.cache is None else CachedStore(self.cache, store)

    def _paths(self, sample: int) -> Iterator[str]:
        """Yield the images of a sample's class in the order in which they are tried."""
        class_index = self.plan.class_index(sample)
        for image_number in self.plan.images_to_try(sample, self.members.num_images(class_index)):
            yield self.members.path(class_index, image_number)

    def _sample(self, sample: int, contents: Iterable[tuple[str, bytes | OSError]]) -> Sample:
        """Return a sample of the first readable image, given paths and contents."""
        skipped = list[SkippedImage]()
        for path, content in contents:
            try:
                image = decode_image(content, self.images_folder / path)
            except UnreadableImageError as error:
                skipped.append(SkippedImage(path, str(error)))
                continue
            seed = self.plan.augmentation_seed(sample)
            image, params = prepare(image, self.augmentation, seed, self.in_batches)
            return Sample(image, self.plan.class_index(sample), params, skipped)
        last = skipped[-1]
        raise UserError(
            f"Cannot read {self.images_folder / last.path} ({last.reason}), nor any other of the {len(skipped)} images "
            "of its class. Repair or restore them, then run again."
        )


def prepare(
    image: Tensor, augmentation: Augmentation, seed: int, in_batches: bool
) -> tuple[Tensor, AugmentationParams | None]:
    """Return an image as a worker sends it, and the augmentation that is left to the network's device."""
    size = augmentation.size
    if not in_batches:
        return augmentation(image, seed), None
    if any(side > MAX_BATCHED_RATIO * output for side, output in zip(image.shape[1:], size, strict=True)):
        return augmentation(image, seed).expand(3, -1, -1), AugmentationParams.identity(*size)
    return image, augmentation.draw(image, seed)
