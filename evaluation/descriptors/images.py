"""The images of a manifest as tensors: opened, in RGB or shades of grey, resized if asked to.

They stay bytes until they are on the network's device, where they are normalised: a quarter of what the workers would
have to hand over otherwise. The paths stay one Arrow column, because millions of Python strings would fill the memory
of every worker.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from data_manifest.errors import UserError
from evaluation.descriptors.open_image import open_image, resize_shorter_side


class ImageFiles(Dataset[Tensor]):
    """Images by row number: uint8 [channels, height, width].

    Args:
        images_folder: Where the relative paths lie.
        paths: Strings, one an image.
        shorter_side: Pixels that the shorter side is resized to; None keeps each image's own size.
        mode: Pillow's name of what images are brought to: RGB, or L for shades of grey.
    """

    def __init__(
        self, images_folder: Path, paths: pa.Array, shorter_side: int | None = None, mode: str = "RGB"
    ) -> None:
        if shorter_side is not None and shorter_side < 1:
            raise UserError(f"image_size = {shorter_side}: an image needs a side of at least 1 pixel")
        self.images_folder = images_folder
        self.paths = paths
        self.shorter_side = shorter_side
        self.mode = mode

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> Path:
        """Return where an image lies."""
        return self.images_folder / str(self.paths[row])

    def __getitem__(self, row: int) -> Tensor:
        image = open_image(self.path(row), self.mode)
        if self.shorter_side is not None:
            image = resize_shorter_side(image, self.shorter_side)
        return to_tensor(image)


def to_tensor(image: Image.Image) -> Tensor:
    """Return an image in RGB or shades of grey as uint8 [channels, height, width]."""
    return torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1).contiguous()
