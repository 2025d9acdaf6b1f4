"""Trainings with a cache that are killed, stopped, or run at the same time."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from data_manifest.images.image_store import FolderStore
from data_manifest.tables import read_table
from tests.helpers import fork
from tests.training.conftest import WriteGroups, assert_same_future, run_ranks
from tests.training.data.reads.lookahead.conftest import SIZES, entries, train_with
from training.data.reads.lookahead.cache_folder import opened_cache
from training.distributed.processes import process_group, rank
from training.loop.stopping import StoppedError


def train_slowly(folder: Path, tiny: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    read = FolderStore.read

    def slow(self: FolderStore, paths: list[str]) -> Any:
        time.sleep(0.05)
        return read(self, paths)

    FolderStore.read = slow  # type: ignore[method-assign,assignment]
    train_with(folder, "run", {**tiny, "validate": validate}, 1.0, checkpoint_iterations=1)


def validate(network: torch.nn.Module) -> dict[int, float]:
    return {1: 50.0, 5: 60.0}


@pytest.mark.parametrize("num_entries", [1, 15])
def test_resumes_after_sigkill_while_reading_ahead(
    write_groups: WriteGroups, tiny: dict[str, Any], whole: Path, tmp_path: Path, num_entries: int
) -> None:
    folder = write_groups(SIZES)
    process = fork(tmp_path, train_slowly, folder, {**tiny, "validate": validate})
    while process.is_alive() and len(entries(folder)) < num_entries:
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    train_with(folder, "run", tiny, 1.0)
    assert_same_future(folder / "run", whole)
    assert not list((folder / "cache").glob("*/*.unfinished"))


def train_in_ranks(folder: Path, tiny: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    with process_group("cpu"):
        train_with(folder, "run", {**tiny, "validate": validate}, 1.0)
        train_with(folder, "whole", {**tiny, "validate": validate})
        print(rank())


def test_processes_share_a_cache(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    for done in run_ranks(3, train_in_ranks, folder, {**tiny, "validate": None}):
        assert done.returncode == 0, done.stderr
    assert_same_future(folder / "run", folder / "whole")
    assert read_table(folder / "run", "metrics")["cache_hit_share"].to_list()[-1] > 0


def test_second_training_at_the_same_time_only_reads(
    write_groups: WriteGroups, tiny: dict[str, Any], whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_groups(SIZES)
    train_with(folder, "first", tiny, 1.0, epochs=1)
    before = {file: file.read_bytes() for file in entries(folder)}
    with opened_cache(folder / "cache"):
        train_with(folder, "second", tiny, 1.0)
    assert "in use by another training" in caplog.text
    assert {file: file.read_bytes() for file in entries(folder)} == before
    assert_same_future(folder / "second", whole)


def test_stops_although_a_read_of_the_look_ahead_hangs(
    write_groups: WriteGroups, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read, hanging = write_groups(SIZES), FolderStore.read, threading.Event()

    def hang(self: FolderStore, paths: list[str]) -> Any:
        if threading.current_thread() is not threading.main_thread():
            signal.raise_signal(signal.SIGTERM)
            hanging.wait()
        return read(self, paths)

    monkeypatch.setattr(FolderStore, "read", hang)
    with pytest.raises(StoppedError, match="SIGTERM after iteration 1 of epoch 1"):
        train_with(folder, "run", tiny, 1.0)
    hanging.set()
