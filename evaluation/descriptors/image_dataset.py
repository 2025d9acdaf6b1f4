"""The images of a manifest as a torch data set."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from data_manifest.errors import UserError
from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder
from evaluation.descriptors.open_image import ANY_SIZE, SizeRule, decode_image, resize


class ImageDataset(Dataset[Tensor]):
    """Images by row number: uint8 [channels, height, width].

    Args:
        images_folder: Folder that the paths are relative to.
        paths: Relative paths, in one Arrow column: as Python strings, millions would fill each worker's memory.
        resized_to: Pixels of the shorter side; None keeps each image's own size.
        mode: Mode of Pillow: RGB, or L for grayscale.
        interpolation: bilinear or bicubic, if images are resized.
        size_rule: Sizes that the network takes.
    """

    def __init__(
        self,
        images_folder: ImagesFolder,
        paths: pa.Array,
        resized_to: int | None = None,
        mode: str = "RGB",
        interpolation: str = "bilinear",
        size_rule: SizeRule = ANY_SIZE,
    ) -> None:
        if resized_to is not None and resized_to < 1:
            raise UserError(f"image_size = {resized_to}: must be at least 1 pixel")
        self.images_folder = images_folder
        self.paths = paths
        self.resized_to = resized_to
        self.mode = mode
        self.interpolation = interpolation
        self.size_rule = size_rule

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> ImagesFolder:
        """Return the path of an image."""
        return self.images_folder / str(self.paths[row])

    def __getitem__(self, row: int) -> Tensor:
        return next(self.read([row]))

    def read(self, rows: Sequence[int]) -> Iterator[Tensor]:
        """Yield images in order; if their store can, it reads all at the same time.

        Raises:
            UserError: An image cannot be opened, or the store does not answer.
        """
        contents = store_of(self.images_folder).read([str(self.paths[row]) for row in rows])
        for row, content in zip(rows, contents, strict=True):
            image = decode_image(content, self.path(row), self.mode)
            yield to_tensor(resize(image, self.resized_to, self.interpolation, self.size_rule))


def to_tensor(image: Image.Image) -> Tensor:
    """Return an RGB or grayscale image as uint8 [channels, height, width]."""
    return torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1).contiguous()
