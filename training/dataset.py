"""The images of one group as a data set whose items are numbered samples of an epoch.

Worker processes import this module and get a copy of the data set, so it is kept light: no tables, and paths as bytes
in flat tensors, which processes share, instead of millions of Python strings, which each would copy.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import pil_to_tensor

from data_manifest.errors import UserError
from training.augmentation import Augmentation
from training.sampling import EpochPlan

Sample = tuple[Tensor, int]


@dataclass(frozen=True)
class Members:
    """The images of a group, sorted by class.

    Args:
        path_bytes: All paths one after the other, in UTF-8: uint8.
        path_offsets: Where each path begins, and the end of the last: [num_images + 1], int64.
        class_offsets: The number of each class's first image, and the number of images: [num_classes + 1], int64.
    """

    path_bytes: Tensor
    path_offsets: Tensor
    class_offsets: Tensor

    @property
    def num_classes(self) -> int:
        """Classes of the group."""
        return len(self.class_offsets) - 1

    def num_images(self, class_index: int) -> int:
        """Return how many images a class has."""
        return int(self.class_offsets[class_index + 1] - self.class_offsets[class_index])

    def path(self, class_index: int, image_number: int) -> str:
        """Return the path, relative to the images folder, of an image of a class."""
        image = int(self.class_offsets[class_index]) + image_number
        begin, end = int(self.path_offsets[image]), int(self.path_offsets[image + 1])
        return self.path_bytes[begin:end].numpy().tobytes().decode()


def read_image(path: Path, mode: str = "RGB") -> Tensor:
    """Return an image's pixels as they are stored, whatever orientation EXIF asks for: [channels, h, w], uint8.

    Args:
        path: Where it lies.
        mode: What it is brought to, by Pillow's name: RGB, or L for shades of grey.

    Raises:
        UserError: The file is missing, or is no whole image.
    """
    try:
        with Image.open(path) as image:
            pixels: Tensor = pil_to_tensor(image.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image: {error}; mend or restore it, then run again") from error
    return pixels


class GroupDataset(Dataset[Sample | UserError]):
    """Samples of an epoch: number n is an image [channels, height, width], uint8, and its class.

    An image that cannot be read is an item too, the error itself: raised in a worker process, it would reach the user
    wrapped in tracebacks.
    """

    def __init__(
        self, images_folder: Path, members: Members, plan: EpochPlan, augmentation: Augmentation, mode: str = "RGB"
    ) -> None:
        self.images_folder, self.members, self.mode = images_folder, members, mode
        self.plan, self.augmentation = plan, augmentation

    def __len__(self) -> int:
        return self.plan.num_samples

    def __getitem__(self, sample: int) -> Sample | UserError:
        class_index = self.plan.class_index(sample)
        image_number = self.plan.image_number(sample, self.members.num_images(class_index))
        try:
            image = read_image(self.images_folder / self.members.path(class_index, image_number), self.mode)
        except UserError as error:
            return error
        return self.augmentation(image, self.plan.augmentation_seed(sample)), class_index
