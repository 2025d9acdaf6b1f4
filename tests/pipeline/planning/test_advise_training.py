"""The training command for few images is accepted by the trainer, and grows with the images."""

import random
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.planning.advise import advise
from tests.pipeline.planning.conftest import dense_city, name, texts
from training.data.settings import AugmentationSettings
from training.network.settings import NetworkSettings
from training.settings import TrainingSettings
from workflows import TrainCosPlace

task_of: Callable[[dict[str, str]], TrainCosPlace] = TrainCosPlace.from_str_params


def flags_of(command: str) -> dict[str, str]:
    words = shlex.split(command)[4:]
    return {flag[2:].replace("-", "_"): value for flag, value in zip(words[::2], words[1::2], strict=True)}


def places(count: int, visits: int, headings: tuple[object, ...] = (15, 75, 135, 195, 255, 315)) -> list[str]:
    """Views of places 20 metres apart, off by up to 2 metres in each visit."""
    near = random.Random(0)
    return [
        name(500_010 + 20 * place + near.uniform(-2, 2), 4_000_010, heading, 2014 + visit, f"{place}_{visit}_{turn}")
        for place in range(count)
        for visit in range(visits)
        for turn, heading in enumerate(headings)
    ]


def test_few_images_are_fine_tuned_gently(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    """The flags pass the checks of the settings that they are for."""
    flags = flags_of(advise(manifest_of(places(16, 6)), tmp_path / "A").commands[1])
    task = task_of(flags)
    training, augmentation = task.settings(TrainingSettings), task.settings(AugmentationSettings)
    training.check()
    augmentation.check()
    assert task.settings(NetworkSettings).train_all_layers
    assert training.lr > TrainingSettings.lr
    assert training.patience is not None
    assert augmentation.hue < AugmentationSettings.hue
    assert augmentation.random_resized_crop < AugmentationSettings.random_resized_crop


def test_enough_images_get_the_published_settings(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    flags = flags_of(advise(manifest_of(dense_city()), tmp_path / "A").commands[1])
    assert {"lr", "batch_size", "epochs_num", "patience", "hue", "train_all_layers"}.isdisjoint(flags)


@pytest.mark.parametrize("headings", [(15, 75, 135, 195, 255, 315), ("", "", "", "", "", "")])
def test_one_group_has_nearly_all_of_few_images(
    manifest_of: Callable[[list[str]], Path], tmp_path: Path, headings: tuple[object, ...]
) -> None:
    """20 places make no group of 32 classes of the published grouping."""
    manifest = manifest_of(places(20, 6, headings))
    task = task_of(flags_of(advise(manifest, tmp_path / "A").commands[1]))
    groups = build_groups(manifest, tmp_path / "A", task.settings(GroupSettings))
    classes = read_table(groups, "classes")
    assert classes["group_index"].n_unique() == 1
    assert len(classes) >= task.settings(TrainingSettings).batch_size
    assert classes["num_images"].sum() >= 0.65 * 20 * 6 * 6


def test_an_epoch_grows_with_the_images(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    iterations = []
    for visits in (4, 16):
        flags = flags_of(advise(manifest_of(places(16, visits)), tmp_path / "A").commands[1])
        samples = int(flags["iterations_per_epoch"]) * int(flags["batch_size"])
        assert 1 <= samples / (16 * visits * 6) <= 1.5
        iterations.append(int(flags["iterations_per_epoch"]))
    assert iterations[1] / iterations[0] == pytest.approx(4, rel=0.1)


def test_every_group_is_trained_on_before_patience_ends(
    manifest_of: Callable[[list[str]], Path], tmp_path: Path
) -> None:
    flags = flags_of(advise(manifest_of(dense_city(per_place=4)), tmp_path / "A").commands[1])
    assert int(flags["epochs_num"]) % int(flags["groups_num"]) == 0
    assert int(flags["patience"]) >= int(flags["groups_num"]) > 1


def test_too_few_images_are_for_published_weights(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    """288 images make a group, which the advice warns of; 8 do not."""
    said = texts(advise(manifest_of(places(16, 3)), tmp_path / "A"))
    assert "warning: 288 trainable images in 96 classes are very few" in said
    assert "--model ResNet50-512" in said
    none = advise(manifest_of(places(2, 1, (15, 75, 135, 195))), tmp_path / "A")
    assert none.commands == []
    assert "8 images do not make a group of 16 classes" in texts(none)
    more = texts(advise(manifest_of(places(16, 6)), tmp_path / "A"))
    assert "576 trainable images in 96 classes are few" in more
    assert "very few" not in more
