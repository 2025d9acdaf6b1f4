"""The size of an image as settings, recipes and files of weights write it."""

import re
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ImageSize:
    """Height and width in pixels: `480x640` is 480 rows of 640 columns, `512` a square."""

    height: int
    width: int

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the size that 512, `"512"`, `"480x640"` or a size itself means.

        Raises:
            ValueError: The value means no size; whether its numbers make sense is not looked at.
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
        """The size as JSON knows it: a number for a square."""
        return self.height if self.height == self.width else str(self)

    def __str__(self) -> str:
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


PUBLISHED_IMAGE_SIZE = ImageSize(512, 512)  # of the published recipe, and so of the official weights
