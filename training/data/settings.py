"""Settings of the augmentation. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from data_manifest.images.image_size import PUBLISHED_IMAGE_SIZE, ImageSize
from data_manifest.settings import Settings, setting
from training.network.settings import require


@dataclass(frozen=True)
class AugmentationSettings(Settings):
    """The size of the training images, and how they are augmented."""

    title = "Augmentation"

    image_size: ImageSize | int | None = setting(
        None,
        f"image size in training, in pixels, by default {PUBLISHED_IMAGE_SIZE}: rows x columns, as in 480x640, or the "
        "side of a square; in evaluation by default the size that the model states",
    )
    brightness: float = setting(0.7, "brightness jitter: a factor from [1 - b, 1 + b]; 0: off")
    contrast: float = setting(0.7, "contrast jitter: a factor from [1 - c, 1 + c]; 0: off")
    hue: float = setting(0.5, "hue jitter: a shift from [-h, h] turns of the colour circle, at most 0.5; 0: off")
    saturation: float = setting(0.7, "saturation jitter: a factor from [1 - s, 1 + s]; 0: off")
    random_resized_crop: float = setting(0.5, "random crop: keeps a fraction of the area from [1 - r, 1]; 0: off")

    @property
    def size(self) -> ImageSize:
        """The size of the network's input."""
        return PUBLISHED_IMAGE_SIZE if self.image_size is None else ImageSize.of(self.image_size)

    @property
    def crop_scale(self) -> tuple[float, float]:
        """The range of the fraction of the area that a crop keeps."""
        return round(1 - self.random_resized_crop, 9), 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON types, with the default image size filled in.

        `crop_scale` is added except at 0.5, so that models trained with the default keep their digests: the first
        version drew from [r, 1].
        """
        crops = {} if self.random_resized_crop == 0.5 else {"crop_scale": list(self.crop_scale)}
        return {**super().as_dict(), "image_size": self.size.plain, **crops}

    def check(self) -> None:
        """Raise UserError for invalid values."""
        require(self.size.shorter_side > 0, self, "image_size", "give 1 pixel or more")
        for field in ("brightness", "contrast", "saturation"):
            require(getattr(self, field) >= 0, self, field, "give 0 or more")
        require(0 <= self.hue <= 0.5, self, "hue", "give 0 to 0.5")
        require(0 <= self.random_resized_crop <= 1, self, "random_resized_crop", "give 0 to 1")
