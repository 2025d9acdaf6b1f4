"""Descriptors as an artifact: made once, and after a kill gone on with at the chunk that it was at."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.store.recipe import digest_of
from data_manifest.store.references import read_users
from data_manifest.store.run_folders import only_writer
from evaluation.descriptors import chunked_array
from evaluation.descriptors.build_descriptors import build_descriptors, open_descriptors
from evaluation.descriptors.extract import Extraction, extract_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from tests.evaluation.conftest import Rows, TinyNetwork
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

HOW = Extraction(2, torch.device("cpu"))
SIZES = [(24, 16), (16, 24), (24, 16), (9, 9), (24, 16), (16, 24), (40, 8)]


class Killed(BaseException):
    """Stands for whatever ends a process."""


class Counting(nn.Module):
    """Counts the images that it describes, and dies after some of them."""

    def __init__(self, network: nn.Module, dies_after: int | None = None) -> None:
        super().__init__()
        self.network, self.dies_after, self.described = network, dies_after, 0

    def forward(self, images: Tensor) -> Tensor:
        if self.dies_after is not None and self.described >= self.dies_after:
            raise Killed
        self.described += len(images)
        found: Tensor = self.network(images)
        return found


class Given(TrainedModel):
    """A model whose network is at hand."""

    def __init__(self, path: Path, network: nn.Module) -> None:
        super().__init__(path, "ResNet18", 8)
        self.__dict__["network"] = network


@pytest.fixture
def images(tmp_path: Path, write_images: Callable[..., object], write_manifest: Callable[..., ImageList]) -> ImageList:
    write_images(SIZES)
    rows: Rows = [{"path": f"{number}.png", "utm_east": 0.0, "utm_north": 0.0} for number in range(len(SIZES))]
    artifact = write_manifest("database", rows).manifest_folder
    (artifact / "recipe.json").write_text(json.dumps({"name": "city", "digest": digest_of("city")}))
    return ImageList(artifact, tmp_path)


def model(tmp_path: Path, network: nn.Module) -> TrainedModel:
    (tmp_path / "model.pth").write_bytes(b"weights")
    return Given(tmp_path / "model.pth", network)


def test_a_killed_run_goes_on_at_its_chunk(tmp_path: Path, images: ImageList, network: TinyNetwork) -> None:
    artifacts = tmp_path / "A"
    with pytest.raises(Killed):
        build_descriptors(model(tmp_path, Counting(network, dies_after=5)), images, artifacts, HOW, chunk_images=4)
    (user,) = read_users(artifacts)
    assert digest_of("city") in (user.inputs or ()), "what the run reads is kept until it goes on"
    assert not list(artifacts.glob("descriptors/*"))

    second = Counting(network)
    folder = build_descriptors(model(tmp_path, second), images, artifacts, HOW, chunk_images=4)
    assert second.described == len(SIZES) - 4
    whole = extract_descriptors(network, images.images(images.read(), None), HOW)
    np.testing.assert_allclose(open_descriptors(folder), whole, atol=1e-6)
    assert read_users(artifacts) == []

    third = Counting(network)
    assert build_descriptors(model(tmp_path, third), images, artifacts, HOW) == folder
    assert third.described == 0


def test_a_chunk_that_was_not_finished_does_not_count(tmp_path: Path) -> None:
    array = chunked_array.ChunkedArray(tmp_path / "a.npy", 3)
    array.append(np.ones((2, 4), np.float32))
    with (tmp_path / "a.npy").open("r+b") as file:  # half of the next one
        file.seek(-16, 2)
        file.write(b"x" * 8)
    again = chunked_array.ChunkedArray(tmp_path / "a.npy", 3)
    assert again.done == 2
    again.append(np.full((1, 4), 2, np.float32))
    assert np.load(tmp_path / "a.npy").tolist() == [[1] * 4, [1] * 4, [2] * 4]
    assert chunked_array.ChunkedArray(tmp_path / "a.npy", 3).done == 3
    assert chunked_array.ChunkedArray(tmp_path / "a.npy", 5).done == 0, "an array of another length is begun anew"


def test_a_full_disk_is_told_before_anything_is_described(
    tmp_path: Path, images: ImageList, network: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaluation.descriptors.chunked_array.os.posix_fallocate", full)
    with pytest.raises(UserError, match="is full"):
        build_descriptors(model(tmp_path, network), images, tmp_path / "A", HOW)


def test_two_processes_never_describe_the_same(tmp_path: Path, images: ImageList, network: TinyNetwork) -> None:
    with pytest.raises(Killed):
        build_descriptors(model(tmp_path, Counting(network, dies_after=0)), images, tmp_path / "A", HOW)
    (run,) = (tmp_path / "A" / "runs").glob("*/*")
    with only_writer(run), pytest.raises(UserError, match="is being worked in"):
        build_descriptors(model(tmp_path, network), images, tmp_path / "A", HOW)


def test_other_precision_and_size_are_other_descriptors(
    tmp_path: Path, images: ImageList, network: TinyNetwork
) -> None:
    tested = model(tmp_path, network)
    half = Extraction(2, torch.device("cpu"), precision="bf16")
    folders = {
        build_descriptors(tested, images, tmp_path / "A", HOW),
        build_descriptors(tested, images, tmp_path / "A", half),
        build_descriptors(tested, images, tmp_path / "A", HOW, resized_to=8),
    }
    assert len(folders) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from evaluation.descriptors import chunked_array
from evaluation.descriptors.build_descriptors import build_descriptors
from evaluation.descriptors.extract import Extraction
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel

weights, manifest, images, artifacts = map(Path, sys.argv[1:])
write_text = chunked_array.write_text

def note(path, text):
    if text == "6\\n":  # the third chunk is in the file, and not yet counted
        os.kill(os.getpid(), signal.SIGKILL)
    write_text(path, text)

chunked_array.write_text = note
model, how = TrainedModel(weights, "SqueezeNet1_1", 8), Extraction(2, torch.device("cpu"))
build_descriptors(model, ImageList(manifest, images), artifacts, how, resized_to=48, chunk_images=2)
"""


def test_sigkill_and_the_same_again_are_the_same_bytes(tmp_path: Path, images: ImageList) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "model.pth"
    save_network(GeoLocalizationNet("SqueezeNet1_1", 8), weights)
    described = TrainedModel(weights, "SqueezeNet1_1", 8)
    words = [weights, images.manifest_folder, images.images_folder, tmp_path / "A"]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", KILLED, *map(str, words)]
    killed = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (rows,) = (tmp_path / "A" / "runs").glob("*/*/descriptors.rows")
    assert rows.read_text() == "4\n"

    percentages: list[int] = []
    chunks: Any = {"resized_to": 48, "chunk_images": 2}
    whole = build_descriptors(described, images, tmp_path / "B", HOW, **chunks)
    resumed = build_descriptors(described, images, tmp_path / "A", HOW, on_percentage=percentages.append, **chunks)
    assert percentages[0] > 100 * 4 // len(SIZES), "the first four are not described again"
    assert (resumed / "descriptors.npy").read_bytes() == (whole / "descriptors.npy").read_bytes()


def _not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")  # as on macOS


def _not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))  # as on some file systems

    monkeypatch.setattr(os, "posix_fallocate", refuse)


@pytest.mark.parametrize("cannot", [_not_there, _not_supported])
def test_bytes_are_written_where_the_system_cannot_reserve_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cannot: Callable[[pytest.MonkeyPatch], None]
) -> None:
    cannot(monkeypatch)
    monkeypatch.setattr(chunked_array, "BLOCK", 1000)
    rows = np.random.default_rng(0).random((700, 3), dtype=np.float32)
    array = chunked_array.ChunkedArray(tmp_path / "a.npy", 900)
    array.append(rows)
    used = (tmp_path / "a.npy").stat()
    assert used.st_blocks * 512 >= 900 * 3 * 4, "no byte is left to be found when the disk is full"
    assert used.st_size == 900 * 3 * 4 + 128
    assert chunked_array.ChunkedArray(tmp_path / "a.npy", 900).done == 700
    assert np.array_equal(np.load(tmp_path / "a.npy")[:700], rows)
