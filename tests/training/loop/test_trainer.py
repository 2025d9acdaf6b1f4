import dataclasses
import logging
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from tests.training.conftest import WriteGroups, assert_equal_values, assert_same_future
from training.data.sampling import EpochPlan
from training.loop.trainer import train
from training.network.settings import NetworkSettings
from training.network.weights import build_network, load_network

SIZES = {0: 4, 3: 5}


def _train(folder: Path, run: str, tiny: dict[str, Any], **changes: Any) -> Path:
    """Train into a run folder with the tiny settings; `changes` replaces single settings."""
    arguments = dict(tiny)
    for name in ("network", "augmentation", "training", "runtime"):
        fields = {field.name for field in dataclasses.fields(arguments[name])}
        own = {key: changes.pop(key) for key in list(changes) if key in fields}
        arguments[name] = dataclasses.replace(arguments[name], **own)
    return train(folder / "groups", folder / "images", folder / run, **{**arguments, **changes})


def test_extended_run_equals_a_longer_run_bit_for_bit(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    _train(folder, "whole", tiny, epochs_num=3, use_amp16=True)
    # The third epoch uses a classifier that was trained before and moved to the CPU.
    _train(folder, "parts", tiny, epochs_num=2, use_amp16=True)
    best = _train(folder, "parts", tiny, epochs_num=3, use_amp16=True)
    assert_same_future(folder / "parts", folder / "whole")
    assert best.read_bytes() == (folder / "whole/best_model.pth").read_bytes()
    assert read_table(folder / "parts", "metrics")["resumes"].to_list() == [0, 0, 1]


def test_epochs_follow_the_order_of_the_named_groups(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups({**SIZES, 7: 4})
    _train(folder, "run", tiny, groups="7,0", epochs_num=3)
    assert read_table(folder / "run", "metrics")["group_index"].to_list() == [7, 0, 7]


def test_resumes_after_a_kill_within_an_epoch(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder, calls = write_groups(SIZES), []

    def die_at_second(network: nn.Module) -> dict[int, float]:
        calls.append(network)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {1: 50.0, 5: 60.0}

    with pytest.raises(KeyboardInterrupt):
        _train(folder, "killed", tiny, validate=die_at_second)
    _train(folder, "killed", tiny)
    _train(folder, "whole", tiny)
    assert_same_future(folder / "killed", folder / "whole")


@pytest.mark.slow
def test_workers_do_not_change_the_result(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    _train(folder, "here", tiny, epochs_num=1, num_workers=0)
    _train(folder, "workers", tiny, epochs_num=1, num_workers=2)
    assert_same_future(folder / "here", folder / "workers")


def test_metrics_logs_and_percentages(
    write_groups: WriteGroups, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder, percentages = write_groups(SIZES), list[int]()
    with caplog.at_level(logging.INFO):
        _train(folder, "run", tiny, on_percentage=percentages.append)
    assert "epoch 2/2  group 3  5 classes  15 images  1.8 samples per class" in caplog.text
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
    metrics = read_table(folder / "run", "metrics")
    assert metrics["epoch"].to_list() == [0, 1]
    assert metrics["group_index"].to_list() == [0, 3]
    assert metrics["recall_5"].to_list() == [60.0, 60.0]
    assert metrics["recall_10"].to_list() == [None, None]
    assert (metrics["loss"] > 0).all()
    assert metrics["data_wait_share"].is_between(0, 1).all()


def test_keeps_the_model_of_the_best_epoch(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder, recalls, weights = write_groups(SIZES), iter([10.0, 30.0, 20.0]), []

    def validate(network: nn.Module) -> dict[int, float]:
        assert not network.training
        weights.append(network.state_dict()["aggregation.3.weight"].clone())
        return {1: next(recalls)}

    best = _train(folder, "run", tiny, epochs_num=3, validate=validate)
    assert best == folder / "run/best_model.pth"
    assert torch.equal(load_network(best, "SqueezeNet1_0", 8).state_dict()["aggregation.3.weight"], weights[1])


def test_0_epochs_keep_the_initial_network(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    best = _train(write_groups(SIZES), "run", tiny, epochs_num=0)
    initial = build_network(NetworkSettings("SqueezeNet1_0", 8, backbone_weights="none"), seed=0)
    assert_equal_values(dict(load_network(best, "SqueezeNet1_0", 8).state_dict()), dict(initial.state_dict()))


def test_finished_run_is_up_to_date(
    write_groups: WriteGroups, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_groups(SIZES)
    best = _train(folder, "run", tiny)
    before = (folder / "run/last_checkpoint.pth").read_bytes()
    with caplog.at_level(logging.INFO):
        assert _train(folder, "run", tiny, validate=lambda network: pytest.fail("validated again")) == best
    assert "run: up to date (2 epochs)" in caplog.text
    assert (folder / "run/last_checkpoint.pth").read_bytes() == before


def test_run_folder_of_other_settings_is_an_error(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    _train(folder, "run", tiny, epochs_num=1)
    with pytest.raises(
        UserError,
        match=r"other settings: brightness = 0.7 there, 0.2 now; lr = 0.001 there, 0.1 now\.",
    ):
        _train(folder, "run", tiny, lr=0.1, brightness=0.2)
    (folder / "groups/recipe.json").write_text('{"digest": "abc"}')
    with pytest.raises(UserError, match=r"groups_digest = None there, abc now"):
        _train(folder, "run", tiny)


def test_only_trainable_layers_change(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    settings = NetworkSettings("ResNet18", 8, backbone_weights="none")
    best = _train(folder, "run", tiny, epochs_num=1, backbone="ResNet18")
    before = build_network(settings, seed=0)
    after = load_network(best, "ResNet18", 8).state_dict()
    frozen = {name for name, parameter in before.named_parameters() if not parameter.requires_grad}
    changed = {name for name, value in before.state_dict().items() if not torch.equal(value, after[name])}
    assert {name for name, _ in before.named_parameters()} & changed == dict(before.named_parameters()).keys() - frozen
    # Frozen batch norms stay in train mode: their statistics follow the images.
    assert "backbone.1.weight" in frozen
    assert {"backbone.1.running_mean", "backbone.4.0.bn1.running_var"} <= changed
    assert after["backbone.1.num_batches_tracked"] == 3


def test_too_few_classes_are_an_error_before_writing(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    with pytest.raises(UserError, match="Group 0 has 4 classes, fewer than --batch-size 5"):
        _train(folder, "run", tiny, batch_size=5)
    assert not (folder / "run").exists()


def test_nan_loss_stops_the_run(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    with pytest.raises(UserError, match=r"The loss is nan at iteration 2 of epoch 1\. Lower --lr"):
        _train(folder, "run", tiny, lr=1e30)
    assert not (folder / "run/last_checkpoint.pth").exists()


def test_training_lowers_the_loss(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups({0: 4})
    _train(folder, "run", tiny, epochs_num=3, iterations_per_epoch=8, groups_num=1, train_all_layers=True)
    loss = read_table(folder / "run", "metrics")["loss"].to_list()
    assert loss[-1] < loss[0]


def test_each_rank_draws_its_own_dropout(
    write_groups: WriteGroups, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    seed_all = torch.manual_seed

    def noted(seed: int) -> torch.Generator:
        seeds.append(seed)
        return seed_all(seed)

    monkeypatch.setattr("training.loop.epoch.rank", lambda: 1)
    monkeypatch.setattr(torch, "manual_seed", noted)
    _train(write_groups(SIZES), "run", tiny, epochs_num=1)
    plan = EpochPlan.of(tiny["training"], max(SIZES.values()), 0)
    assert {plan.step_seed(0, 1), plan.step_seed(1, 1)} <= set(seeds)
    assert plan.step_seed(0) not in seeds


def test_run_with_the_earlier_crop_meaning_is_not_resumed(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    _train(folder, "run", tiny, epochs_num=1, random_resized_crop=0.8)
    checkpoint = torch.load(folder / "run/last_checkpoint.pth", weights_only=True)
    del checkpoint["settings"]["crop_scale"]  # as before the value had its published meaning
    torch.save(checkpoint, folder / "run/last_checkpoint.pth")
    with pytest.raises(UserError, match=r"crop_scale = None there, \[0\.2, 1\.0\] now"):
        _train(folder, "run", tiny, epochs_num=2, random_resized_crop=0.8)


@pytest.mark.parametrize(("recalls", "kept"), [([0.0, 0.0, 0.0], 2), ([0.0, 5.0, 0.0], 1), ([0.0, 0.0, 5.0], 2)])
def test_without_a_recall_above_0_keeps_the_last_model(
    write_groups: WriteGroups, tiny: dict[str, Any], recalls: list[float], kept: int
) -> None:
    folder, weights = write_groups(SIZES), list[torch.Tensor]()

    def validate(network: nn.Module) -> dict[int, float]:
        weights.append(network.state_dict()["aggregation.3.weight"].clone())
        return {1: recalls[len(weights) - 1]}

    best = _train(folder, "run", tiny, epochs_num=3, validate=validate)
    assert torch.equal(load_network(best, "SqueezeNet1_0", 8).state_dict()["aggregation.3.weight"], weights[kept])


def test_seed_minus_1_is_random_and_resumable(
    write_groups: WriteGroups, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_groups(SIZES)
    with caplog.at_level(logging.INFO):
        some, other = (_train(folder, run, tiny, seed=-1, epochs_num=1) for run in ("some", "other"))
    assert "seed = -1: not deterministic" in caplog.text
    assert some.read_bytes() != other.read_bytes()
    checkpoint = torch.load(folder / "some/last_checkpoint.pth", weights_only=True)
    assert checkpoint["settings"]["seed"] == -1
    _train(folder, "some", tiny, seed=-1, epochs_num=2)
    assert read_table(folder / "some", "metrics")["resumes"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "benchmark", "deterministic"),
    [
        ({}, False, True),
        ({"seed": 7}, False, True),
        ({"cudnn_benchmark": True}, True, False),
        ({"seed": -1}, False, False),
        ({"seed": -1, "cudnn_benchmark": True}, True, False),
    ],
)
def test_cudnn_is_deterministic_unless_benchmarking_or_unseeded(
    write_groups: WriteGroups,
    tiny: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    benchmark: bool,
    deterministic: bool,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not benchmark)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", not deterministic)
    found = []

    def validate(network: nn.Module) -> dict[int, float]:
        found.append((torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic))
        return {1: 50.0}

    _train(write_groups(SIZES), "run", tiny, epochs_num=1, iterations_per_epoch=1, validate=validate, **changes)
    assert found == [(benchmark, deterministic)]


SLOW_NETWORK, SLOW_AUGMENTATION, SLOW_LOADER = (
    "training.loop.step.TrainStep.__call__",
    "training.data.loading.augment_batch",
    "training.data.dataset.decode_image",
)


@pytest.mark.parametrize(
    ("slow", "share"),
    [
        ({SLOW_NETWORK: 1}, 0),
        ({SLOW_AUGMENTATION: 1}, 0),
        ({SLOW_NETWORK: 1, SLOW_AUGMENTATION: 5}, 0),
        ({SLOW_LOADER: 1000, SLOW_NETWORK: 1}, 1),
        ({SLOW_LOADER: 1, SLOW_NETWORK: 1}, 0.75),  # a batch is three images
    ],
)
def test_data_wait_counts_only_the_loader(
    write_groups: WriteGroups,
    tiny: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    slow: dict[str, int],
    share: float,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr("training.loop.trainer.augments_in_batches", lambda *_: True)  # on the CPU, in place of a GPU

    def slowed(call: Callable[..., Any], seconds: int) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            now[0] += seconds
            return call(*arguments)

        return run

    for name, seconds in slow.items():
        monkeypatch.setattr(name, slowed(pkgutil.resolve_name(name), seconds))
    folder = write_groups(SIZES)
    _train(folder, "run", tiny, epochs_num=1)
    metrics = read_table(folder / "run", "metrics")
    assert metrics["data_wait_share"].to_list() == pytest.approx([share], abs=0.01)
