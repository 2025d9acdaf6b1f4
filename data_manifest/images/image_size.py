"""The size of an image in settings, recipes and model files."""

import re
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ImageSize:
    """Height and width in pixels: `480x640` is 480 rows x 640 columns, `512` a square."""

    height: int
    width: int

    @classmethod
    def of(cls, value: Any) -> Self:
        """Convert 512, `"512"`, `"480x640"` or an ImageSize.

        Raises:
            ValueError: The value is not a size. The range of the numbers is not checked.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, bool):
            raise ValueError(value)
        numbers = [float(side) for side in re.split("[xX]", str(value))]
        if len(numbers) > 2 or not all(number.is_integer() for number in numbers):
            raise ValueError(value)
        return cls(int(numbers[0]), int(numbers[-1]))

    @property
    def shorter_side(self) -> int:
        """The smaller of height and width."""
        return min(self.height, self.width)

    @property
    def plain(self) -> int | str:
        """The size as a JSON type: a number for a square."""
        return self.height if self.height == self.width else str(self)

    def __str__(self) -> str:
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


PUBLISHED_IMAGE_SIZE = ImageSize(512, 512)  # of the published models
