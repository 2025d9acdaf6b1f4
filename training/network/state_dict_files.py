"""State dicts on disk: written whole or not at all, read without running anything that a file may hold."""

import contextlib
import functools
import os
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_manifest.errors import UserError, is_of_the_machine
from data_manifest.store.fsync import fsync
from training.network.file_kinds import kind_of
from training.network.state_dicts import few, find_state_dict

NEEDED = "Give a state dict or a checkpoint written by torch.save."
BROKEN = "wrong checksum of its part"
UNREADABLE = (  # what torch.load raises for files that it cannot read: many kinds for damaged ones
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError),
    *(EOFError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile),
)


def write_unfinished(content: Any, path: Path) -> Path:
    """Save beside `path` under a temporary name, through to the disk; return that name, to be renamed to `path`.

    Raises:
        UserError: The disk is full, or the folder cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file, not a path: torch would store the path's name, and equal weights would give other bytes.
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # RuntimeError: how torch reports a write that failed
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise UserError(f"{path} cannot be written: {error}; free some space, or choose another folder") from error
    return unfinished


def save_whole(content: Any, path: Path) -> None:
    """Save so that `path` is the old file or the new one, whole, whenever the process dies."""
    write_unfinished(content, path).replace(path)
    fsync(path.parent)


def load_whole(path: Path) -> Any:
    """Load to the CPU, only plain values, NumPy numbers and tensors, after a check that no byte has changed.

    torch compares no checksums when it reads; the zip archive that it writes has them. Files from before torch 1.6 are
    not zip archives and are not checked.

    Raises:
        OSError, RuntimeError and others, see UNREADABLE: There is no such file, or it is broken.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise RuntimeError(f"{BROKEN} {broken}")
    with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
        warnings.simplefilter("ignore", UserWarning)  # about files that it then refuses, such as TorchScript archives
        return torch.load(path, map_location="cpu", weights_only=True)


@functools.cache
def _numpy_globals() -> list[Any]:
    """Return the functions and classes of pickled NumPy numbers and arrays, which published checkpoints hold."""
    import numpy as np  # torchvision requires it

    makers = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # of NumPy 1 and 2
    named = [(maker, f"{module}.{name}") for module in modules for name, maker in makers.items()]
    kinds = {type(np.dtype(code)) for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]}
    return [*named, (np.dtype, "numpy.dtype"), (np.ndarray, "numpy.ndarray"), *kinds]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, with its metadata.

    Checkpoints and the names of wrappers are unpacked, see `find_state_dict`.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. {NEEDED}")
    try:
        content = load_whole(path)
    except UNREADABLE as error:
        raise UserError(f"{path} {_problem(path, error)}. {NEEDED}") from error
    state = find_state_dict(content)
    if state is None:
        keys = few([str(key) for key in content]) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} holds no weights, but {keys or 'nothing'}. {NEEDED}")
    return state


def _problem(path: Path, error: Exception) -> str:
    """Return why a file cannot be loaded: a system error, Python objects in it, or its kind."""
    text = str(error)
    if isinstance(error, OSError) and is_of_the_machine(error):
        return f"cannot be read: {error.strerror}"
    if text.startswith(BROKEN):
        return f"is damaged ({text}): download or copy it again"
    if found := re.search(r"GLOBAL (\S+)", text):
        return (
            f"holds Python objects ({found[1]}), which are not loaded because they could run code: save only the "
            "weights, with torch.save(network.state_dict(), PATH)"
        )
    return f"is {kind_of(path)}"
