import dataclasses

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from data_manifest.images.image_size import ImageSize
from training.data.augmentation import Augmentation
from training.data.settings import AugmentationSettings


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Return a smooth colour image with a little noise, uint8 [3, height, width]."""
    generator = torch.Generator().manual_seed(seed)
    areas = torch.rand(1, 3, 6, 6, generator=generator)
    areas = torch.nn.functional.interpolate(areas, (height, width), mode="bicubic")[0].clamp(0, 1)
    return (230 * areas + 25 * torch.rand(3, height, width, generator=generator)).to(torch.uint8)


IMAGE = photo(50, 70)


def test_returns_bytes_of_the_image_size() -> None:
    changed = Augmentation(AugmentationSettings(image_size=32))(IMAGE, 1)
    assert changed.shape == (3, 32, 32)
    assert changed.dtype == torch.uint8


def test_depends_only_on_the_seed() -> None:
    augmentation = Augmentation(AugmentationSettings(image_size=32))
    torch.manual_seed(5)
    first = augmentation(IMAGE, 1)
    torch.manual_seed(6)
    assert torch.equal(augmentation(IMAGE, 1), first)
    assert not torch.equal(augmentation(IMAGE, 2), first)


def test_changes_neither_the_random_state_nor_the_input() -> None:
    before, image = torch.random.get_rng_state(), IMAGE.clone()
    Augmentation(AugmentationSettings(image_size=32))(IMAGE, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(IMAGE, image)


@pytest.mark.parametrize("side", [32, 90])  # shrinks, for which it must be antialiased, and grows
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision_up_to_rounding(side: int, channels: int) -> None:
    settings = AugmentationSettings(image_size=side)
    steps = [v2.ColorJitter(0.7, 0.7, 0.7, 0.5), v2.RandomResizedCrop((side, side), scale=(0.5, 1.0), antialias=True)]
    torchvisions = v2.Compose([*steps, *([v2.Grayscale()] if channels == 1 else [])])
    ours = Augmentation(settings, channels)
    for seed in range(40):
        image = photo(50 + seed, 70, seed)
        torch.manual_seed(seed)
        expected = 255 * torchvisions(image.float() / 255)
        difference = (ours(image, seed) - expected).abs()
        assert difference.mean() < 0.5
        assert difference.max() < 2.0


def test_hue_of_pure_colours_and_greys_equals_torchvisions() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([0, 100, 255], dtype=torch.uint8)] * 3).T.reshape(3, 3, 9)
    still = AugmentationSettings(9, brightness=0, contrast=0, saturation=0, hue=0.5, random_resized_crop=0)
    for seed in range(10):
        augmentation = Augmentation(still)
        params = augmentation.draw(corners, seed)
        expected = v2.functional.adjust_hue(corners.float() / 255, params.hue)
        expected = v2.functional.resized_crop(255 * expected, *params[5:], [9, 9], antialias=True)
        assert (augmentation(corners, seed) - expected).abs().max() < 1.5


def test_strength_0_changes_nothing() -> None:
    still = AugmentationSettings(32, brightness=0, contrast=0, hue=0, saturation=0, random_resized_crop=0)
    grey = torch.full((3, 40, 40), 77, dtype=torch.uint8)
    assert torch.equal(Augmentation(still)(grey, 3), torch.full((3, 32, 32), 77, dtype=torch.uint8))


def test_colours_vary_with_the_seed() -> None:
    augmentation = Augmentation(AugmentationSettings(image_size=8))
    red = torch.tensor([200, 60, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 16, 16).contiguous()
    colours = {tuple(augmentation(red, seed)[:, 4, 4].tolist()) for seed in range(20)}
    assert len(colours) > 15


def test_crops_keep_the_minimum_area() -> None:
    # Each column has its own value, so the range of values is the width of the crop.
    ramp = torch.arange(200, dtype=torch.uint8).expand(3, 200, 200).contiguous()
    settings = AugmentationSettings(200, brightness=0, contrast=0, hue=0, saturation=0, random_resized_crop=0.5)
    widths = []
    for seed in range(30):
        crop = Augmentation(settings)(ramp, seed)[0].int()
        widths.append((crop.max() - crop.min() + 1).item() / 200)
    assert min(widths) >= (0.5 * 3 / 4) ** 0.5 - 0.02  # area 0.5 at the narrowest shape, 3 to 4
    assert max(widths) - min(widths) > 0.2


@pytest.mark.parametrize("channels", [1, 3])
def test_output_is_channels_by_rows_by_columns(channels: int) -> None:
    augmentation = Augmentation(AugmentationSettings(ImageSize(24, 40)), channels)
    assert augmentation(IMAGE, 1).shape == (channels, 24, 40)


def test_crops_have_the_aspect_ratio_of_the_output_on_average() -> None:
    ramps = torch.stack([torch.arange(200).expand(200, 200).T, torch.arange(200).expand(200, 200)] * 2)[:3].byte()
    still = AugmentationSettings(ImageSize(200, 400), brightness=0, contrast=0, hue=0, saturation=0)
    crops = [Augmentation(dataclasses.replace(still, random_resized_crop=0.8))(ramps, seed).int() for seed in range(60)]
    rows, columns = ([crop[ramp].max() - crop[ramp].min() + 1 for crop in crops] for ramp in (0, 1))
    stretches = torch.tensor([(width / height) / 2 for height, width in zip(rows, columns, strict=True)])
    assert stretches.median().item() == pytest.approx(1, abs=0.12)
    assert 3 / 4 - 0.05 < stretches.min() < stretches.max() < 4 / 3 + 0.05


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 0.5, 0.9, 1.0])
def test_crop_area_is_drawn_from_1_minus_the_value_to_1(value: float) -> None:
    settings = AugmentationSettings(200, random_resized_crop=value)
    drawn = [Augmentation(settings).draw(torch.empty(3, 200, 200), seed) for seed in range(300)]
    areas = [params.height * params.width / 200**2 for params in drawn]
    assert min(areas) == pytest.approx(1 - value, abs=0.02)
    assert max(areas) == pytest.approx(1, abs=0.05)
