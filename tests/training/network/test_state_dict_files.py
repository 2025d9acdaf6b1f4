"""Weights files of all kinds: checkpoints, wrapped networks, damaged files, and files of other programs."""

import argparse
import dataclasses
import gzip
import io
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from evaluation.descriptors.trained_model import find_model
from training.network.model import GeoLocalizationNet
from training.network.settings import NetworkSettings
from training.network.weights import build_network, identify_model, load_model, load_network, save_network

RANDOM = NetworkSettings("SqueezeNet1_0", 8, backbone_weights="none")


def test_files_without_weights_are_rejected(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}}, tmp_path / "nested.pth")
    torch.save({"epoch": 3, "loss": 0.5, "model": 4, "seed": 1, "date": "today"}, tmp_path / "other.pth")
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    torch.save({}, tmp_path / "nothing.pth")
    reasons = {
        "missing.pth": "no such file. Give a safetensors file, or a state dict",
        "nested.pth": r'SqueezeNet1_0: Missing key\(s\) in state_dict: "0.weight".*\.\.\.$',
        "other.pth": "contains no weights, but epoch, loss, model and 2 more. Give a safetensors file",
        "list.pth": "contains no weights, but list. ",
        "nothing.pth": "contains no weights, but nothing. ",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=f"{name}.*{reason}"):
            build_network(NetworkSettings("SqueezeNet1_0", 8, backbone_weights=str(tmp_path / name)))


def _kept(content: bytes, part: float) -> bytes:
    return content[: int(part * len(content))]


def _saved(content: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def _torchscript() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.jpg", "x")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


STATE = {"a": torch.ones(1000)}
OF_MODULE = r"contains Python objects \(torch\.nn\.modules\.linear\.Linear\)"
OF_ARGUMENTS = r"contains Python objects \(argparse\.Namespace\)"
KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is an empty file"),
    "page": (lambda: b"\n<!DOCTYPE html>\n<html><title>Sign in</title>", "is an HTML page"),
    "xhtml": (lambda: b"\xef\xbb\xbf<HTML lang='en'>", "is an HTML page"),
    "pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer.*git lfs pull"),
    "text": (lambda: b"404: Not Found\n", "is not written by torch.save .its first bytes are b'404: Not Found"),
    "torchscript": (_torchscript, "is a TorchScript archive"),
    "safetensors": (lambda: struct.pack("<Q", 2) + b"{}", "contains no weights, but nothing"),
    "onnx": (lambda: b"\x08\x07\x12\x07pytorch\x1a\x052.0.1", "is not written by torch.save .*pytorch"),
    "module": (lambda: _saved(torch.nn.Linear(2, 2)), OF_MODULE),
    "arguments": (lambda: _saved({"args": argparse.Namespace(M=10), **STATE}), OF_ARGUMENTS),
    "pickle": (lambda: pickle.dumps({"a": [1.5]}), "is a pickle that torch.save did not write"),
    "zip": (_zip, "is a zip archive of photo.jpg"),
    "tar": (_tar, "is not written by torch.save .*model.pth"),
    "gzip": (lambda: gzip.compress(_saved(STATE)), "is a compressed archive: unpack it"),
    "half": (lambda: _kept(_saved(STATE), 0.5), "is a truncated zip archive"),
    "almost": (lambda: _kept(_saved(STATE), 0.99), "is a truncated zip archive"),
    "old": (lambda: _kept(_saved(STATE, _use_new_zipfile_serialization=False), 0.5), "is a truncated or damaged file"),
    "noise": (lambda: bytes(range(200, 256)), r"is not written by torch.save .its first bytes are b'\\xc8\\xc9"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_error_names_the_kind_of_an_unreadable_file(tmp_path: Path, kind: str) -> None:
    path, (make, text) = tmp_path / "model.pth", KINDS[kind]
    path.write_bytes(make())
    with pytest.raises(UserError, match=f"model.pth {text}") as resumed:
        build_network(dataclasses.replace(RANDOM, resume_model=path))
    assert str(resumed.value).endswith("or a state dict or a checkpoint written by torch.save.")
    assert "--backbone" not in str(resumed.value)
    assert "\n" not in str(resumed.value)
    with pytest.raises(UserError, match=f"model.pth {text}"):
        build_network(NetworkSettings("SqueezeNet1_0", 8, backbone_weights=str(path)))
    with pytest.raises(UserError, match=f"model.pth {text}"):
        find_model(path)


def _wrappings(network: GeoLocalizationNet) -> dict[str, Any]:
    """Return a network's weights as other programs save them, by name."""
    state = network.state_dict()
    backbone = {key.replace("backbone.", "backbone._orig_mod."): value for key, value in state.items()}
    compiled: Any = torch.compile(network)
    adam = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()  # type: ignore[union-attr]
    adam.step()
    published = {
        **{"epoch_num": 3, "model_state_dict": state, "optimizer_state_dict": adam.state_dict()},
        **{"classifiers_state_dict": [{"weight": torch.ones(3, 8)}], "best_val_recall1": np.float64(45.5)},
    }
    return {
        "parallel": torch.nn.DataParallel(network).state_dict(),
        "compiled": compiled.state_dict(),
        "compiled and parallel": torch.nn.DataParallel(compiled).state_dict(),
        "parallel and compiled": torch.compile(torch.nn.DataParallel(network)).state_dict(),  # type: ignore[attr-defined]
        "compiled within": backbone,
        "published": published,
        "published, parallel": {**published, "model_state_dict": {f"module.{key}": v for key, v in state.items()}},
        "other numbers": {"state_dict": state, "recalls": np.arange(4.0), "n": np.int64(3), "lr": np.float32(0.5)},
        "nested": {"model": {"state_dict": state}, "epoch": 3},
        "own checkpoint": {"settings": {"lr": 0.1}, "network": state, "epoch": 3},
    }


WRAPPINGS = list(_wrappings(build_network(RANDOM)))


@pytest.mark.parametrize("name", WRAPPINGS)
def test_loads_wrapped_networks_and_checkpoints(tmp_path: Path, name: str) -> None:
    network, path = (
        build_network(dataclasses.replace(RANDOM, train_all_layers=True), seed=5, image_size=ImageSize(48, 64)),
        tmp_path / "a.pth",
    )
    torch.save(_wrappings(network)[name], path)
    expected = network.state_dict()
    resumed = build_network(dataclasses.replace(RANDOM, resume_model=path))
    for loaded in (load_network(path, "SqueezeNet1_0", 8), load_model(path), find_model(path).network, resumed):
        assert list(loaded.state_dict()) == list(expected)
        assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())
    states_nothing = name in ("compiled within", "published, parallel")  # plain dicts
    assert identify_model(path)[1] == (None if states_nothing else ImageSize(48, 64))


def test_loads_numpy_1_numbers_but_no_other_objects(tmp_path: Path) -> None:
    state = build_network(RANDOM).state_dict()
    content = _saved({"model_state_dict": state, "best": np.float64(45.5)}, _use_new_zipfile_serialization=False)
    assert b"numpy._core" in content
    (tmp_path / "old.pth").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    assert load_model(tmp_path / "old.pth").fc_output_dim == 8
    torch.save({"model_state_dict": state, "run": Runs(tmp_path / "ran")}, tmp_path / "runs.pth")
    with pytest.raises(UserError, match="because they could run code"):
        load_model(tmp_path / "runs.pth")
    assert not (tmp_path / "ran").exists()


class Runs:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_keys_that_would_collide_are_not_unwrapped(tmp_path: Path) -> None:
    state = dict(build_network(RANDOM).state_dict())
    torch.save({**state, "module.aggregation.1.p": torch.ones(1)}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"Unexpected key.*module.aggregation.1.p"):
        load_network(tmp_path / "model.pth", "SqueezeNet1_0", 8)


def test_flipped_bit_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    save_network(build_network(RANDOM), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged .wrong checksum of its part"):
        load_network(path, "SqueezeNet1_0", 8)


def test_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"Cannot write .*file/model\.pth"):
        save_network(build_network(RANDOM), tmp_path / "file" / "model.pth")
