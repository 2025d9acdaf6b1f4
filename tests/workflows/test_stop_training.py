"""Training in Luigi that is stopped, orphaned or refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT, TINY, Luigi, as_main, fork

LONG = (*TINY, "--iterations-per-epoch", "40", "--epochs-num", "1", "--checkpoint-iterations", "1")


@contextmanager
def training(tmp_path: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run Luigi in a new process group and yield once training has saved a checkpoint."""
    command = [sys.executable, "-m", "luigi", "--module", "workflows", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LUIGI_CONFIG_PATH": str(tmp_path / "own.cfg")}
    (tmp_path / "own.cfg").touch()
    with subprocess.Popen(
        [*command, "--artifacts-folder", str(tmp_path / "artifacts")],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: bool(checkpoints(tmp_path)) or process.poll() is not None)
            yield process
        finally:
            process.kill()


def build_tables(city: Path, luigi: Luigi) -> None:
    """Build the tables of a training in one process; with several workers, each task starts a process, in seconds."""
    assert luigi("TrainCosPlace", "--dataset-folder", str(city), *TINY, "--epochs-num", "0").returncode == 0


def checkpoints(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "artifacts" / "runs").glob("*/*/last_checkpoint.pth"))


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("waited for a minute")


def iterations_saved(tmp_path: Path) -> int:
    (path,) = checkpoints(tmp_path)
    return int(torch.load(path, weights_only=True)["part"]["iterations"])


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_resumes(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("TrainCosPlace", "--dataset-folder", str(city), *LONG)
    artifacts = str(tmp_path / "artifacts")
    process = fork(tmp_path, as_main, "luigi", "--module", "workflows", *command, "--artifacts-folder", artifacts)
    wait_until(lambda: bool(checkpoints(tmp_path)) or not process.is_alive())
    process.terminate()
    process.join()
    said = (tmp_path / "stderr").read_text()
    assert process.exitcode != 0
    assert "Traceback" not in said
    done = iterations_saved(tmp_path)
    assert said.count(f"stopped: SIGTERM after iteration {done} of epoch 1; saved to ") == 1
    assert "Run the same command again to resume." in said
    again = luigi(*command)
    assert again.returncode == 0, again.stderr
    assert f"resuming at epoch 1  iteration {done}/40" in again.stderr
    assert "TrainCosPlace: done (" in again.stdout


@pytest.mark.slow
def test_ctrl_c_stops_luigi(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    build_tables(city, luigi)
    command = ("EvaluateCosPlace", "--dataset-folder", str(city), *LONG, "--workers", "2", "--num-workers", "1")
    with training(tmp_path, *command) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate()
    assert process.returncode != 0
    assert "Traceback" not in said
    assert f"after iteration {iterations_saved(tmp_path)} of epoch 1; saved to " in said


@pytest.mark.slow
def test_training_ends_when_luigi_is_killed(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    build_tables(city, luigi)
    command = ("TrainCosPlace", "--dataset-folder", str(city), *LONG, "--workers", "2", "--epochs-num", "9999")
    with training(tmp_path, *command) as process:
        process.kill()
        _, said = process.communicate()  # until the last process that can write there is gone
    assert "stopped: the parent process ended after iteration" in said


def test_missing_test_set_is_an_error_before_training(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    (city / "test" / "queries_v1").rename(city / "test" / "queries")
    done = luigi("EvaluateCosPlace", "--dataset-folder", str(city), *LONG)
    assert done.returncode != 0
    assert done.stderr.count("test/queries_v1: no such folder") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "artifacts" / "groups").exists()


@pytest.mark.parametrize("part", ["val/database", "test/queries_v1"])
def test_broken_image_is_an_error_before_training(city: Path, luigi: Luigi, tmp_path: Path, part: str) -> None:
    for path in (city / part).iterdir():
        path.write_bytes(b"")
    done = luigi("EvaluateCosPlace", "--dataset-folder", str(city), *LONG)
    assert done.returncode != 0
    assert done.stderr.count("cannot be opened as an image") == 1
    assert f"it is the first of {city / part}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "artifacts" / "groups").exists()
