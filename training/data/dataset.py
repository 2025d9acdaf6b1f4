"""The images of one group as a data set whose items are numbered samples of an epoch.

Worker processes import this module and get a copy of the data set, so it is kept light.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from data_manifest.errors import UserError
from training.data.augmentation import Augmentation, Change
from training.data.image_files import UnreadableImageError, read_image
from training.data.members import Members
from training.data.sampling import EpochPlan

LARGE = 2  # times the side of the network's images: from there on, an image is changed before it goes into a batch


class Skipped(NamedTuple):
    """An image that could not be read, in whose place another was taken."""

    path: str
    reason: str


class Sample(NamedTuple):
    """An image, uint8, its class, what is still to be done to it, and images that could not be read in its place."""

    image: Tensor
    class_index: int
    change: Change | None
    skipped: Sequence[Skipped]


class GroupDataset(Dataset[Sample | UserError]):
    """Samples of an epoch: number n is an image [channels, height, width], uint8, and its class.

    An image that cannot be read is replaced by another of its class: which one is a function of the sample's number, as
    all else is. A class without any that can be read is an item too, the error itself: raised in a worker process, it
    would reach the user wrapped in tracebacks.

    Args:
        images_folder: Where the members' paths begin.
        members: The group's images.
        plan: What the epoch shows.
        augmentation: How images are changed.
        in_batches: Leave the change to the network's device, for a whole batch; large images are changed here anyhow.
    """

    def __init__(
        self,
        images_folder: Path,
        members: Members,
        plan: EpochPlan,
        augmentation: Augmentation,
        in_batches: bool = False,
    ) -> None:
        self.images_folder, self.members = images_folder, members
        self.plan, self.augmentation, self.in_batches = plan, augmentation, in_batches

    def __len__(self) -> int:
        return self.plan.num_samples

    def __getitem__(self, sample: int) -> Sample | UserError:
        class_index, skipped = self.plan.class_index(sample), list[Skipped]()
        for image_number in self.plan.image_numbers(sample, self.members.num_images(class_index)):
            path = self.members.path(class_index, image_number)
            try:
                image = read_image(self.images_folder / path)
            except UnreadableImageError as error:
                skipped.append(Skipped(path, str(error)))
                continue
            except UserError as error:
                return error
            seed = self.plan.augmentation_seed(sample)
            image, change = prepare(image, self.augmentation, seed, self.in_batches)
            return Sample(image, class_index, change, skipped)
        last = skipped[-1]
        return UserError(
            f"{self.images_folder / last.path} cannot be read as an image: {last.reason}; nor can any of the "
            f"{len(skipped)} images of its class. Mend or restore them, then run again"
        )


def prepare(image: Tensor, augmentation: Augmentation, seed: int, in_batches: bool) -> tuple[Tensor, Change | None]:
    """Return an image as a worker sends it, and the augmentation that is left to the network's device."""
    size = augmentation.size
    if not in_batches:
        return augmentation(image, seed), None
    if any(side > LARGE * of_output for side, of_output in zip(image.shape[1:], size, strict=True)):
        return augmentation(image, seed).expand(3, -1, -1), Change.none(*size)
    return image, augmentation.draw(image, seed)
