import dataclasses
import os
import pickle
import signal
from collections.abc import Sequence
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from PIL import Image

from data_manifest.errors import StoreError, UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.images.images_folder import ImagesUrl
from tests.helpers import read_image
from tests.object_server import ObjectServer
from tests.training.conftest import WriteGroups
from training.data.augmentation import Augmentation
from training.data.dataset import GroupDataset, Sample
from training.data.groups import read_members
from training.data.loading import read_batches
from training.data.sampling import EpochPlan
from training.data.settings import AugmentationSettings
from training.data.skipped import SkippedLog
from training.settings import RuntimeSettings

CPU = torch.device("cpu")
HERE = RuntimeSettings(num_workers=0)


def _dataset(folder: Path, in_batches: bool = False, augmentation: Augmentation | None = None) -> GroupDataset:
    plan = EpochPlan(num_classes=5, batch_size=4, iterations=3, seed=1, epoch=0)
    members = read_members(folder / "groups", 4, folder)
    augmentation = augmentation or Augmentation(AugmentationSettings(image_size=32))
    return GroupDataset(folder / "images", members, plan, augmentation, in_batches)


def _batches(
    folder: Path, runtime: RuntimeSettings = HERE, in_batches: bool = False, first_iteration: int = 0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    skipped = SkippedLog(folder / "run", runtime.max_skipped_share)
    batches = read_batches(_dataset(folder, in_batches), runtime, CPU, skipped, first_iteration)
    return [(images, class_indices) for images, class_indices, _ in batches]


def test_sample_is_an_augmented_image_of_its_class(write_groups: WriteGroups) -> None:
    folder = write_groups({4: 5})
    dataset = _dataset(folder)
    assert len(dataset) == 12
    for sample in range(12):
        item = dataset[sample]
        assert isinstance(item, Sample)
        image, class_index = item.image, item.class_index
        number = dataset.plan.image_number(sample, 3)
        original = read_image(folder / f"images/g4/é{class_index}_{number}.png")
        assert class_index == dataset.plan.class_index(sample)
        assert torch.equal(image, dataset.augmentation(original, dataset.plan.augmentation_seed(sample)))


def test_workers_load_the_same_batches(write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})  # fewer cores than workers: torch would warn
    folder = write_groups({4: 5})
    plan = _dataset(folder).plan
    (folder / f"images/g4/é{plan.class_index(1)}_{plan.image_number(1, 3)}.png").write_bytes(b"")
    here = _batches(folder)
    workers = _batches(folder, RuntimeSettings(num_workers=2))
    assert [images.shape for images, _ in here] == [(4, 3, 32, 32)] * 3
    assert _equal(here, workers)


def test_first_iteration_skips_batches(write_groups: WriteGroups) -> None:
    folder = write_groups({4: 5})
    assert _equal(_batches(folder, first_iteration=1), _batches(folder)[1:])


@pytest.mark.parametrize("side", [48, 400])  # a large image is always augmented by the worker
def test_device_augments_batches_as_workers_do(write_groups: WriteGroups, side: int) -> None:
    folder = write_groups({4: 5})
    with Image.open(folder / "images/g4/é3_0.png") as image:
        larger = image.resize((side, side))
    for number in range(3):
        larger.save(folder / f"images/g4/é3_{number}.png")
    for (alone, classes), (together, same_classes) in zip(_batches(folder), _batches(folder, HERE, True), strict=True):
        assert torch.equal(classes, same_classes)
        assert together.dtype == torch.float32
        assert (alone - together).abs().max() < 2.0


def _equal(some: list[tuple[torch.Tensor, torch.Tensor]], others: list[tuple[torch.Tensor, torch.Tensor]]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(torch.equal(a, b) for batches in pairs for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_class_without_readable_images_is_an_error(write_groups: WriteGroups, num_workers: int) -> None:
    folder = write_groups({4: 5})
    for number in range(3):
        (folder / f"images/g4/é2_{number}.png").unlink()
    expected = r"Cannot read .*images/g4/é2_\d.png .No such file.*nor any other of the 3 images of its class"
    with pytest.raises(UserError, match=expected) as caught:
        _batches(folder, RuntimeSettings(num_workers=num_workers))
    assert "Traceback" not in str(caught.value)
    assert not active_children(), "no worker is left, although the traceback is alive"


def test_unreadable_image_is_replaced_by_another_of_its_class(write_groups: WriteGroups) -> None:
    folder = write_groups({4: 5})
    whole = _dataset(folder)
    before = [whole[sample] for sample in range(12)]
    bad_class, bad_number = whole.plan.class_index(0), whole.plan.image_number(0, 3)
    bad = f"g4/é{bad_class}_{bad_number}.png"
    others = {number: read_image(folder / f"images/g4/é{bad_class}_{number}.png") for number in range(3)}
    del others[bad_number]
    (folder / "images" / bad).write_bytes(b"no image")
    after, hit = [_dataset(folder)[sample] for sample in range(12)], 0
    for sample, (old, new) in enumerate(zip(before, after, strict=True)):
        assert isinstance(old, Sample)
        assert isinstance(new, Sample)
        assert old.class_index == new.class_index
        if (whole.plan.class_index(sample), whole.plan.image_number(sample, 3)) == (bad_class, bad_number):
            hit += 1
            assert [each.path for each in new.skipped] == [bad]
            seed = whole.plan.augmentation_seed(sample)
            assert any(torch.equal(new.image, whole.augmentation(other, seed)) for other in others.values())
        else:
            assert torch.equal(old.image, new.image)
            assert not new.skipped
    assert hit


def test_pickled_dataset_finds_the_same_paths(write_groups: WriteGroups) -> None:
    copy = pickle.loads(pickle.dumps(_dataset(write_groups({4: 5}))))
    assert copy.members.path(2, 1) == "g4/é2_1.png"


@pytest.mark.parametrize("in_batches", [False, True])
def test_grayscale_images_for_a_grayscale_network(write_groups: WriteGroups, in_batches: bool) -> None:
    folder = write_groups({4: 5})
    still = AugmentationSettings(ImageSize(24, 40), 0, 0, 0, 0, random_resized_crop=0)
    dataset, grey = (_dataset(folder, in_batches, Augmentation(still, channels)) for channels in (3, 1))
    skipped = SkippedLog(folder / "run", HERE.max_skipped_share)
    coloured, greys = (next(read_batches(each, HERE, CPU, skipped))[0].double() for each in (dataset, grey))
    assert greys.shape == (4, 1, 24, 40)
    red, green, blue = coloured.unbind(dim=1)
    assert (greys[:, 0] - (0.299 * red + 0.587 * green + 0.114 * blue)).abs().max() < 2


class Killing(GroupDataset):
    """Kills the worker at one sample, as a full shared memory does."""

    def __getitems__(self, samples: Sequence[int]) -> list[Sample | UserError]:
        if 9 in samples:
            os.kill(os.getpid(), signal.SIGBUS)
        return super().__getitems__(samples)


@pytest.mark.usefixtures("loader_notices_dead_workers")
def test_killed_worker_is_a_user_error(write_groups: WriteGroups) -> None:
    folder = write_groups({4: 5})
    dataset, runtime = _dataset(folder), RuntimeSettings(num_workers=2)
    killing = Killing(dataset.images_folder, dataset.members, dataset.plan, dataset.augmentation)
    with pytest.raises(UserError, match=r"A batch is lost: .* --batch-size, or give --num-workers 0"):
        list(read_batches(killing, runtime, CPU, SkippedLog(folder / "run", 0.05)))
    assert not active_children(), "the other worker ends too"


class Unsendable(GroupDataset):
    """Has one sample that a worker cannot send."""

    def __getitems__(self, samples: Sequence[int]) -> list[Sample | UserError]:
        read = super().__getitems__(samples)
        if 9 in samples and isinstance(read[0], Sample):
            read[0] = read[0]._replace(skipped=[lambda: "no pickle"])  # type: ignore[list-item]
        return read


def test_unsendable_batch_is_a_user_error(write_groups: WriteGroups) -> None:
    folder = write_groups({4: 5})
    dataset, runtime = _dataset(folder), RuntimeSettings(num_workers=2)
    unsendable = Unsendable(dataset.images_folder, dataset.members, dataset.plan, dataset.augmentation)
    with pytest.raises(UserError, match="A batch is lost"):
        list(read_batches(unsendable, runtime, CPU, SkippedLog(folder / "run", 0.05)))


def in_a_bucket(folder: Path, objects: ObjectServer) -> GroupDataset:
    """Return the data set with its images in a bucket."""
    objects.put_files(folder / "images", "images")
    return dataclasses.replace(_dataset(folder), images_folder=ImagesUrl.parse("s3://bucket/images"))


def test_samples_from_a_bucket_equal_those_from_a_folder(write_groups: WriteGroups, objects: ObjectServer) -> None:
    folder = write_groups({4: 5})
    (folder / "images/g4/é2_1.png").write_bytes(b"no image")
    (folder / "images/g4/é3_0.png").unlink()
    of_bucket, of_folder = in_a_bucket(folder, objects), _dataset(folder)
    for sample, found in enumerate(of_bucket.__getitems__(range(12))):
        expected = of_folder[sample]
        assert isinstance(found, Sample)
        assert isinstance(expected, Sample)
        assert torch.equal(found.image, expected.image)
        assert [each.path for each in found.skipped] == [each.path for each in expected.skipped]
    samples = [each for each in of_bucket.__getitems__(range(12)) if isinstance(each, Sample)]
    reasons = {each.reason for sample in samples for each in sample.skipped}
    assert "no such object: s3://bucket/images/g4/é3_0.png" in reasons


def test_a_store_that_does_not_answer_is_no_unreadable_image(write_groups: WriteGroups, objects: ObjectServer) -> None:
    dataset = in_a_bucket(write_groups({4: 5}), objects)
    for key in objects.objects:
        objects.failures[key] = [503] * 100
    found = dataset.__getitems__(range(4))
    assert [type(each) for each in found] == [StoreError]
    assert "cannot be read" in str(found[0])
