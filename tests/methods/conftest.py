"""A repository with a hubconf.py, and torch.hub's cache of the test."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data_manifest.images import file_states
from methods.settings import MethodSettings

HUBCONF = """
dependencies = ["torch"]

import torch
from colours import Colours


def colours(scale=1.0, dim=3, sizes=1):
    return Colours(scale, dim, sizes)


def pair(**arguments):
    return torch.nn.Sequential(Colours(1.0, 3, 1), Pair())


class Pair(torch.nn.Module):
    def forward(self, x):
        return x, [x]


def no_network():
    return 3


def no_weights():
    return torch.nn.Flatten()


def broken():
    raise OSError("no route to host")


def needs_more():
    import surely_not_installed
"""
COLOURS = """
import torch


class Colours(torch.nn.Module):
    \"\"\"The mean colour of each image, plus one, times a scale.\"\"\"

    def __init__(self, scale, dim, sizes):
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))
        self.dim, self.sizes = dim, sizes

    def forward(self, images):
        height, width = images.shape[-2:]
        assert height % self.sizes == width % self.sizes == 0, f"{height} is not a multiple of {self.sizes}"
        return (images.mean((2, 3))[:, : self.dim] + 1) * self.scale
"""
TRUSTED = MethodSettings(trust_repo=True)
Repository = Callable[..., Path]


def write_repository(folder: Path) -> Path:
    """Write a repository whose networks compute mean colours, and return its folder."""
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(HUBCONF)
    (folder / "colours.py").write_text(COLOURS)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "repository")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return torch.hub's cache of the test, and never wait for young files."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)
    torch.set_num_threads(1)
    return tmp_path / "torch" / "hub"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection to GitHub fail, as on a machine that is offline."""

    def fail(*_: object, **__: object) -> None:
        from urllib.error import URLError

        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.urlopen", fail)
