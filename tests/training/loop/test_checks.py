"""Checks before the first iteration."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images import loader_workers
from data_manifest.store.files import format_bytes
from tests.training.conftest import WriteGroups
from training.data.groups import choose_groups
from training.loop.checks import bytes_of_run, check_disk_space
from training.loop.state import TrainingState
from training.loop.trainer import train
from training.network.settings import NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings


def _train(folder: Path, tiny: dict[str, Any]) -> None:
    train(folder / "groups", folder / "images", folder / "run", **tiny)


def test_estimated_bytes_of_a_run(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups({0: 400, 3: 500})
    groups = choose_groups(folder / "groups", 2, 3)
    network = NetworkSettings("SqueezeNet1_0", 512, backbone_weights="none")
    state = TrainingState.start({}, groups, network, TrainingSettings(), torch.device("cpu"))
    _train(folder, {**tiny, "network": network})
    sizes = [path.stat().st_size for path in (folder / "run").glob("*.pth")]
    assert len(sizes) == 3, "two checkpoints and a model"
    # A third checkpoint while saving, and two more models while publishing.
    expected = sum(sizes) + max(sizes) + 2 * min(sizes)
    assert bytes_of_run(state) == pytest.approx(expected, rel=0.05)


def test_full_disk_is_an_error_before_the_first_iteration(
    write_groups: WriteGroups, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_groups({0: 4, 3: 5})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, used=10**9 - 10**6, free=10**6))
    with pytest.raises(UserError, match=r"run: about \d+\.\d MB needed, 1\.0 MB free\. Free some, or choose"):
        _train(folder, tiny)
    assert not (folder / "run").exists()


def test_existing_files_of_the_run_count(
    write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    groups = choose_groups(write_groups({0: 4}) / "groups", 1, 3)
    network = NetworkSettings("SqueezeNet1_0", 8, backbone_weights="none")
    state = TrainingState.start({}, groups, network, TrainingSettings(), torch.device("cpu"))
    free = bytes_of_run(state) - 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**12, used=0, free=free))
    with pytest.raises(UserError, match=r"free\. Free some"):
        check_disk_space(state, tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last_checkpoint.pth").write_bytes(bytes(1000))
    check_disk_space(state, tmp_path / "run")


def test_missing_images_are_an_error_before_the_first_iteration(
    write_groups: WriteGroups, tiny: dict[str, Any]
) -> None:
    folder = write_groups({0: 4, 3: 5})
    (folder / "images" / "g3").rename(folder / "images" / "elsewhere")  # the group of the second epoch
    with pytest.raises(UserError, match=r"Cannot read .*images/g3/é0_0.png"):
        _train(folder, tiny)
    assert not (folder / "run").exists()


@pytest.mark.parametrize(("in_batches", "image_bytes"), [(False, 3 * 32 * 32), (True, 3 * 40 * 48)])
def test_small_shared_memory_is_an_error_before_the_first_iteration(
    write_groups: WriteGroups,
    tiny: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    in_batches: bool,
    image_bytes: int,
) -> None:
    folder, usage = write_groups({0: 4, 3: 5}), shutil.disk_usage
    needed = 3 * 3 * image_bytes  # an epoch has three batches of three images
    small = SimpleNamespace(total=needed, used=1, free=needed - 1)
    monkeypatch.setattr(loader_workers, "SHARED_MEMORY", tmp_path / "images")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: small if path == tmp_path / "images" else usage(path))
    monkeypatch.setattr(
        "training.loop.trainer.augments_in_batches", lambda *_: in_batches
    )  # on the CPU, in place of a GPU
    runtime = RuntimeSettings(device="cpu", num_workers=2)
    text = (
        rf"2 workers need {re.escape(format_bytes(needed))} .*--shm-size \d+m.* --batch-size, or give --num-workers 0"
    )
    with pytest.raises(UserError, match=text):
        _train(folder, {**tiny, "runtime": runtime})
    assert not (folder / "run").exists()
