import http.server
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from data_manifest import schemas
from data_manifest.images import file_states
from data_manifest.tables import group_file, write_table
from tests.helpers import run_forked
from training.data.settings import AugmentationSettings
from training.image_changes import VALIDATION
from training.network.settings import NetworkSettings
from training.network.weights import build_network
from training.settings import RuntimeSettings, TrainingSettings

IMAGES_PER_CLASS = 3
NOT_DETERMINISTIC = ("images_per_second", "data_wait_share", "resumes", "cache_hit_share", "gb_read")
WriteGroups = Callable[[dict[int, int]], Path]


def free_port() -> int:
    """Return a port of this machine that no process uses."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def run_ranks(
    world_size: int, target: Callable[..., object], *arguments: object, nodes: int = 1
) -> list[CompletedProcess[str]]:
    """Call a function in several processes with the environment variables that torchrun sets on one or more nodes."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world_size)}
    with ThreadPoolExecutor(world_size) as executor:
        ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank % (world_size // nodes))} for rank in range(world_size)]
        return list(executor.map(lambda rank: run_forked(target, *arguments, **rank, **common), ranks))


def leaves_of_checkpoint(run_folder: Path) -> dict[str, Any]:
    """Return the values of a run's last checkpoint as a flat dict, by path."""
    return dict(leaves(torch.load(run_folder / "last_checkpoint.pth", weights_only=True)))


def assert_equal_values(some: dict[str, Any], others: dict[str, Any], but: tuple[str, ...] = ()) -> None:
    """Compare values and tensors by name, bit for bit, except names that end with one of `but`."""
    assert list(some) == list(others)
    for name, value in some.items():
        if not name.endswith(but):
            equal = torch.equal(value, others[name]) if isinstance(value, torch.Tensor) else value == others[name]
            assert equal, name


def assert_same_future(run: Path, other: Path) -> None:
    """Compare the last checkpoints of two runs, except for times and the number of resumes."""
    assert_equal_values(leaves_of_checkpoint(run), leaves_of_checkpoint(other), NOT_DETERMINISTIC)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values in nested dicts and lists, each with its path."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, f"{name}.{key}")
    else:
        yield name, value


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _trust_young_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the modification times of files that a test has just written."""
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)


def write_groups_in(folder: Path, sizes: dict[int, int]) -> Path:
    """Write the tables and images of groups given as {group_index: classes}; return the folder of both."""
    generator = np.random.default_rng(7)
    classes, members = [], []
    for group_index, num_classes in sizes.items():
        for class_index in range(num_classes):
            classes.append(_class_row(group_index, class_index))
            tint = generator.integers(0, 200, 3)
            for number in range(IMAGES_PER_CLASS):
                path = f"g{group_index}/é{class_index}_{number}.png"
                pixels = (tint + generator.integers(0, 56, (40, 48, 3))).astype(np.uint8)
                (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / "images" / path)
                members.append({"group_index": group_index, "class_index": class_index, "path": path, "year": 2013})
    _write(folder / "groups", pl.DataFrame(classes), pl.DataFrame(members), list(sizes))
    return folder


@pytest.fixture
def write_groups(tmp_path: Path) -> WriteGroups:
    """Write groups in the test's folder."""
    return partial(write_groups_in, tmp_path)


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with published groups of 12 and 9 images, and a validation set."""
    folder = write_groups_in(tmp_path_factory.mktemp("city"), {0: 4, 3: 3})
    recipe = {"stage": "groups", "name": "city", "digest": "abc", "settings": {"M": 10.0}}
    (folder / "groups" / "recipe.json").write_text(json.dumps(recipe))
    for role in VALIDATION:
        (folder / role).mkdir()
        for number in range(2):
            Image.new("RGB", (48, 40)).save(folder / role / f"{number}.png")
    return folder


@pytest.fixture
def folder(city: Path, tmp_path: Path) -> Path:
    """Return a copy of `city` that a test may change."""
    return Path(shutil.copytree(city, tmp_path, dirs_exist_ok=True))


def _class_row(group_index: int, class_index: int) -> dict[str, object]:
    place = {"utm_zone": 10, "hemisphere": "N", "cell_east": class_index, "cell_north": group_index, "heading_bin": 0}
    return {"group_index": group_index, "class_index": class_index, **place, "num_images": IMAGES_PER_CLASS}


def _write(folder: Path, classes: pl.DataFrame, members: pl.DataFrame, groups: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for group in groups:
        rows = pl.col("group_index") == group
        write_table(classes.filter(rows), folder / "classes" / group_file(group), schemas.CLASSES)
        write_table(members.filter(rows), folder / "members" / group_file(group), schemas.MEMBERS)


@pytest.fixture(scope="session")
def tiny() -> dict[str, object]:
    """Return arguments of `train` for a training of a few seconds; `validate` returns constant recalls."""
    return {
        "network": NetworkSettings(backbone="SqueezeNet1_0", fc_output_dim=8, backbone_weights="none"),
        "augmentation": AugmentationSettings(image_size=32),
        "training": TrainingSettings(
            groups_num=2, batch_size=3, epochs_num=2, iterations_per_epoch=3, lr=1e-3, classifiers_lr=1e-2
        ),
        "runtime": RuntimeSettings(device="cpu", num_workers=0),
        "validate": lambda network: {1: 50.0, 5: 60.0},
    }


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file named like official weights."""
    folder = tmp_path_factory.mktemp("official")
    network = build_network(NetworkSettings("ResNet18", 32, backbone_weights="none"), seed=4)
    torch.save(dict(network.state_dict()), folder / "ResNet18_32_cosplace.pth")  # official files have no statement
    return folder


@pytest.fixture
def release(official: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a copy of `official` that a test may change, and the URL of a server of it."""
    folder = Path(shutil.copytree(official, tmp_path / "release"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
