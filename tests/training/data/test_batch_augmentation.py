from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils._python_dispatch import TorchDispatchMode

from training.data.augmentation import Augmentation, AugmentationParams
from training.data.batch_augmentation import augment_batch, crop_and_resize, pack, resampling_matrices
from training.data.settings import AugmentationSettings

SETTINGS = AugmentationSettings(image_size=32)


class CountOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that torch dispatches."""

    count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return operation(*args, **(kwargs or {}))


def _photos(count: int, height: int = 48, width: int = 64) -> list[Tensor]:
    """Return smooth colour images of different sizes with a little noise."""
    generator = torch.Generator().manual_seed(count)
    photos = []
    for number in range(count):
        size = (height + 7 * (number % 4), width - 5 * (number % 3))
        areas = interpolate(torch.rand(1, 3, 6, 6, generator=generator), size, mode="bicubic")[0].clamp(0, 1)
        photos.append((230 * areas + 25 * torch.rand(3, *size, generator=generator)).to(torch.uint8))
    return photos


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 90])
def test_batch_equals_single_images_up_to_rounding(side: int, channels: int, interpolation: str) -> None:
    augmentation = Augmentation(AugmentationSettings(image_size=side), channels, interpolation)
    images = _photos(40)
    batch, params = pack(images, [augmentation.draw(image, seed) for seed, image in enumerate(images)])
    whole = augment_batch(batch, params, augmentation.size, channels, interpolation)
    one_by_one = torch.stack([augmentation(image, seed) for seed, image in enumerate(images)])
    assert whole.dtype == torch.float32
    difference = (whole - one_by_one).abs().amax(dim=(1, 2, 3))
    assert difference.max() < 2.0, "more than rounding"


def test_operations_do_not_grow_with_the_batch() -> None:
    augmentation, counts = Augmentation(SETTINGS), []
    for batch_size in (2, 16, 64):
        images = _photos(batch_size)
        batch, params = pack(images, [augmentation.draw(image, seed) for seed, image in enumerate(images)])
        with CountOperations() as operations:  # type: ignore[no-untyped-call]
            augment_batch(batch, params, augmentation.size)
        counts.append(operations.count)
    assert max(counts) - min(counts) <= 2, counts  # a step without hue has one or two fewer
    with CountOperations() as one_by_one:  # type: ignore[no-untyped-call]
        for seed, image in enumerate(images):
            augmentation(image, seed)
    assert one_by_one.count > 4 * counts[-1]


def test_padding_does_not_affect_the_result() -> None:
    augmentation, images = Augmentation(SETTINGS), _photos(6)
    params = [augmentation.draw(image, seed) for seed, image in enumerate(images)]
    together = augment_batch(*pack(images, params), augmentation.size)
    alone = torch.cat([augment_batch(*pack([i], [c]), augmentation.size) for i, c in zip(images, params, strict=True)])
    assert torch.allclose(together, alone, atol=1e-3)


def test_identity_parameters_keep_the_image() -> None:
    images = [image[:, :32, :32] for image in _photos(3)]
    batch, params = pack(images, [AugmentationParams.identity(32, 32)] * 3)
    assert torch.allclose(augment_batch(batch, params, (32, 32)), batch.float(), atol=1e-3)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_crop_and_resize_equals_interpolate(interpolation: str) -> None:
    images = torch.rand(3, 2, 61, 40, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[0, 0, 61, 40], [7, 3, 50, 11], [60, 39, 1, 1]])
    for size in ((16, 24), (100, 9), (61, 40)):
        crops = crop_and_resize(images * 9 + 5, boxes, size, interpolation)
        for image, crop, (top, left, height, width) in zip(images, crops, boxes.tolist(), strict=True):
            cut = image[None, :, top : top + height, left : left + width]
            expected = interpolate(cut, size, mode=interpolation, antialias=True)[0]
            assert torch.allclose(crop, expected * 9 + 5, atol=1e-4)


def test_resampling_matrix_by_hand() -> None:
    matrix = resampling_matrices(torch.tensor([0]), torch.tensor([4]), num_from=6, num_to=2)
    # New pixels are 2 wide, so the triangles are 4 wide, around 1 and 3; old pixels are at 0.5, 1.5, 2.5 and 3.5.
    assert torch.allclose(matrix, torch.tensor([[[3, 3, 1, 0, 0, 0], [0, 1, 3, 3, 0, 0]]]) / 7)
