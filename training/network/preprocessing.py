"""How images become what a network takes. It is stated in a network's file, so that whoever uses it needs no recipe."""

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from training.network.images import IMAGENET_MEAN, IMAGENET_STD, Statistics, imagenet_statistics, normalise

MODES = {1: "L", 3: "RGB"}  # Pillow's names, by the number of channels


@dataclass(frozen=True)
class Preprocessing:
    """Channels, values and size of the images that a network was trained on.

    Args:
        mean: Mean value of each channel, of values from 0 to 1: it becomes 0.
        std: Standard deviation of each channel: it becomes 1.
        image_size: The size in training; None where it is not known, as for official weights.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    image_size: ImageSize | None = None

    @classmethod
    def of_channels(cls, channels: int) -> Self:
        """Return the preprocessing of images of three channels, or of one of grey."""
        return cls(*imagenet_statistics(channels))

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.mean)

    @property
    def mode(self) -> str:
        """What Pillow calls such images: RGB, or L for shades of grey."""
        return MODES[self.channels]

    @property
    def statistics(self) -> Statistics:
        """Means and standard deviations of the channels."""
        return self.mean, self.std

    def normalise(self, images: Tensor) -> Tensor:
        """Map images [..., channels, h, w] of uint8 to float32, as the network takes them."""
        return normalise(images, self.statistics)

    def __call__(self, image: Any) -> Tensor:
        """Return an image of Pillow's, in its own size, upright, as a network's input of one: [1, channels, h, w]."""
        from data_manifest.images.open_picture import as_shown  # who has one of Pillow's images has Pillow

        return self.normalise(pil_to_tensor(as_shown(image, self.mode)))[None]

    def stated(self) -> dict[str, Any]:
        """Return the preprocessing as plain values: size as [rows, columns]."""
        size = self.image_size
        return {"mean": self.mean, "std": self.std, "image_size": size and (size.height, size.width)}

    @classmethod
    def from_stated(cls, values: Any) -> Self:
        """Return what `stated` gave.

        Raises:
            UserError: The values are no preprocessing known here.
        """
        try:
            mean, std, size = (values[name] for name in ("mean", "std", "image_size"))
            found = cls(tuple(map(float, mean)), tuple(map(float, std)), ImageSize(*map(int, size)) if size else None)
            known = len(found.mean) == len(found.std) and len(found.mean) in MODES and min(found.std) > 0
        except (TypeError, ValueError, KeyError) as error:
            raise UserError(f"preprocessing that is not known here: {values}") from error
        if not known:
            raise UserError(f"preprocessing that is not known here: {values}")
        return found


def preprocessing_of(network: nn.Module) -> Preprocessing:
    """Return a network's preprocessing; any other module is taken to be one of ImageNet's colours."""
    found = getattr(network, "preprocessing", None)
    return found if isinstance(found, Preprocessing) else Preprocessing()
