"""Training that starts from a model: official weights, your own model, or the folder of a run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.store.recipe import CURRENT
from training.data.settings import AugmentationSettings
from training.loop.trainer import train
from training.network.settings import NetworkSettings, model_file
from training.network.weights import build_network, load_model, save_network

WriteGroups = Callable[[dict[int, int]], Path]
MOBILENET = NetworkSettings("MobileNet_V3_Large", 32, backbone_weights="none")  # small, with batch norms


def _train(folder: Path, run: str, tiny: dict[str, Any], network: NetworkSettings, size: ImageSize, lr: float) -> Path:
    training = dataclasses.replace(tiny["training"], epochs_num=1, iterations_per_epoch=2, lr=lr)
    more = {"network": network, "augmentation": AugmentationSettings(size), "training": training}
    return train(folder / "groups", folder / "images", folder / run, **{**tiny, **more})


def test_starts_from_the_folder_of_a_grayscale_run(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder, size = write_groups({0: 4, 3: 5}), ImageSize(40, 56)
    network = NetworkSettings("MobileNet_V3_Large", 8, grayscale=True, backbone_weights="none", train_all_layers=True)
    shapes: set[tuple[int, ...]] = set()

    def watch(module: torch.nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training and isinstance(module, torch.nn.Conv2d) and module.in_channels == 1:
            shapes.add(tuple(inputs[0].shape))

    with torch.nn.modules.module.register_module_forward_pre_hook(watch):
        _train(folder, "first", tiny, network, size, lr=1e-2)
    assert shapes == {(3, 1, 40, 56)}
    first = load_model(folder / "first")
    assert first.preprocessing.image_size == size
    given = dataclasses.replace(network, resume_model=folder / "first")
    # With a tiny learning rate, only batch norm statistics change.
    _train(folder, "second", tiny, given, size, lr=1e-12)
    for (name, before), after in zip(first.named_parameters(), load_model(folder / "second").parameters(), strict=True):
        torch.testing.assert_close(before, after, atol=1e-8, rtol=0, msg=name)


@pytest.mark.parametrize("kind", ["official", "own", "before"])
def test_starts_from_each_kind_of_weights_file(
    tmp_path: Path, kind: str, write_groups: WriteGroups, tiny: dict[str, Any]
) -> None:
    saved, path = build_network(MOBILENET, seed=8), tmp_path / "weights.pth"
    state = dict(saved.state_dict())
    if kind == "own":
        save_network(saved, path)
    elif kind == "before":  # own models used to be plain dicts without a statement
        torch.save(state, path)
    else:  # the official files lack the batch counters
        counters = [key for key in state if key.endswith("num_batches_tracked")]
        torch.save({key: state[key] for key in state if key not in counters}, path)
    given = dataclasses.replace(MOBILENET, resume_model=path)
    best = _train(write_groups({0: 4, 3: 5}), "run", tiny, given, ImageSize(32, 32), lr=1e-12)
    for before, after in zip(saved.parameters(), load_model(best).parameters(), strict=True):
        torch.testing.assert_close(before, after, atol=1e-8, rtol=0)


def test_model_file_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(
        UserError, match=r"resume_model = .*run.*: no model in this folder: neither model.pth.* best_mod"
    ):
        NetworkSettings(resume_model=tmp_path / "run")
    for name in ("best_model.pth", "model.pth"):
        (tmp_path / "run" / name).touch()
        assert NetworkSettings(resume_model=tmp_path / "run").resume_model == tmp_path / "run" / name
    (tmp_path / "city-train").mkdir()
    (tmp_path / "city-train" / CURRENT).symlink_to(tmp_path / "run")
    assert model_file(tmp_path / "city-train") == tmp_path / "city-train" / "current" / "model.pth"
    assert model_file(tmp_path / "not_there_yet.pth") == tmp_path / "not_there_yet.pth"
