import torch

from training.augmentation import Augmentation
from training.settings import AugmentationSettings

IMAGE = torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_gives_square_bytes_of_the_image_size() -> None:
    changed = Augmentation(AugmentationSettings(image_size=32))(IMAGE, 1)
    assert changed.shape == (3, 32, 32)
    assert changed.dtype == torch.uint8


def test_is_a_function_of_the_seed_alone() -> None:
    augmentation = Augmentation(AugmentationSettings(image_size=32))
    torch.manual_seed(5)
    first = augmentation(IMAGE, 1)
    torch.manual_seed(6)
    assert torch.equal(augmentation(IMAGE, 1), first)
    assert not torch.equal(augmentation(IMAGE, 2), first)


def test_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    Augmentation(AugmentationSettings(image_size=32))(IMAGE, 1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_strength_and_with_the_whole_image_colours_stay() -> None:
    still = AugmentationSettings(32, brightness=0, contrast=0, hue=0, saturation=0, random_resized_crop=1)
    grey = torch.full((3, 40, 40), 77, dtype=torch.uint8)
    assert torch.equal(Augmentation(still)(grey, 3), torch.full((3, 32, 32), 77, dtype=torch.uint8))


def test_colours_vary_from_seed_to_seed() -> None:
    augmentation = Augmentation(AugmentationSettings(image_size=8))
    red = torch.tensor([200, 60, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 16, 16).contiguous()
    colours = {tuple(augmentation(red, seed)[:, 4, 4].tolist()) for seed in range(20)}
    assert len(colours) > 15


def test_crops_keep_at_least_the_share_that_was_asked_for() -> None:
    # Each column of the ramp has its own value, so the range that is left tells how wide the crop was.
    ramp = torch.arange(200, dtype=torch.uint8).expand(3, 200, 200).contiguous()
    settings = AugmentationSettings(200, brightness=0, contrast=0, hue=0, saturation=0, random_resized_crop=0.5)
    widths = []
    for seed in range(30):
        crop = Augmentation(settings)(ramp, seed)[0].int()
        widths.append((crop.max() - crop.min() + 1).item() / 200)
    assert min(widths) >= (0.5 * 3 / 4) ** 0.5 - 0.02  # area 0.5 at the slimmest shape, 3 to 4
    assert max(widths) - min(widths) > 0.2
