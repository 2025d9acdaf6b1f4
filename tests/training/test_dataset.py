import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from data_manifest.errors import UserError
from training.augmentation import Augmentation
from training.dataset import GroupDataset, read_image
from training.groups import read_members
from training.loading import read_batches
from training.sampling import EpochPlan
from training.settings import AugmentationSettings, RuntimeSettings

WriteGroups = Callable[[dict[int, int]], Path]
CPU = torch.device("cpu")
HERE = RuntimeSettings(num_workers=0)


def _dataset(folder: Path) -> GroupDataset:
    plan = EpochPlan(num_classes=5, batch_size=4, iterations=3, seed=1, epoch=0)
    members = read_members(folder / "groups", 4)
    return GroupDataset(folder / "images", members, plan, Augmentation(AugmentationSettings(image_size=16)))


def test_a_sample_is_the_augmented_image_of_its_class(write_groups: WriteGroups) -> None:
    folder = write_groups({4: 5})
    dataset = _dataset(folder)
    assert len(dataset) == 12
    for sample in range(12):
        item = dataset[sample]
        assert not isinstance(item, UserError)
        image, class_index = item
        number = dataset.plan.image_number(sample, 3)
        original = read_image(folder / f"images/g4/é{class_index}_{number}.png")
        assert class_index == dataset.plan.class_index(sample)
        assert torch.equal(image, dataset.augmentation(original, dataset.plan.augmentation_seed(sample)))


def test_batches_are_the_same_from_worker_processes(write_groups: WriteGroups) -> None:
    dataset = _dataset(write_groups({4: 5}))
    here = list(read_batches(dataset, HERE, CPU))
    workers = list(read_batches(dataset, RuntimeSettings(num_workers=2), CPU))
    assert [images.shape for images, _ in here] == [(4, 3, 16, 16)] * 3
    assert _equal(here, workers)


def test_batches_from_an_iteration_on_are_the_last_of_all(write_groups: WriteGroups) -> None:
    dataset = _dataset(write_groups({4: 5}))
    everything = list(read_batches(dataset, HERE, CPU))
    assert _equal(list(read_batches(dataset, HERE, CPU, first_iteration=1)), everything[1:])


def _equal(some: list[tuple[torch.Tensor, torch.Tensor]], others: list[tuple[torch.Tensor, torch.Tensor]]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(torch.equal(a, b) for batches in pairs for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_cannot_be_read_is_an_error_that_names_it(write_groups: WriteGroups, num_workers: int) -> None:
    folder = write_groups({4: 5})
    for number in range(3):
        (folder / f"images/g4/é2_{number}.png").unlink()
    with pytest.raises(UserError, match=r"images/g4/é2_\d.png cannot be read as an image: .*No such file") as caught:
        list(read_batches(_dataset(folder), RuntimeSettings(num_workers=num_workers), CPU))
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_truncated_image_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"image.{kind}"
    Image.effect_noise((64, 64), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=f"image.{kind} cannot be read as an image"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read as an image"):
        read_image(path)


def test_grey_images_become_rgb_and_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("L", (30, 20), 90).save(tmp_path / "image.jpg", exif=exif)
    pixels = read_image(tmp_path / "image.jpg")
    assert pixels.shape == (3, 20, 30)
    assert pixels.dtype == torch.uint8


def test_a_worker_gets_a_copy_that_finds_the_same_paths(write_groups: WriteGroups) -> None:
    copy = pickle.loads(pickle.dumps(_dataset(write_groups({4: 5}))))
    assert copy.members.path(2, 1) == "g4/é2_1.png"
