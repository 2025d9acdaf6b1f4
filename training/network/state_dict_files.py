"""State dicts on disk: written atomically, and read without running code that a file may contain."""

import contextlib
import functools
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_manifest.errors import UserError, is_io_error
from data_manifest.store.files import fsync
from training.network.safetensors_file import is_safetensors, read_safetensors

NEEDED = "Give a safetensors file, or a state dict or a checkpoint written by torch.save."
BAD_CHECKSUM = "wrong checksum of its part"
UNREADABLE = (  # raised by torch.load for files that it cannot read: damaged ones raise many kinds
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError),
    *(EOFError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile),
)
# Keys of the weights in checkpoints: `model_state_dict` in published ones, `network` in those of this project.
CONTAINERS = ("model_state_dict", "state_dict", "model", "network")
WRAPPERS = ("module", "_orig_mod")  # of DataParallel and DistributedDataParallel, and of torch.compile
MAX_NAMES_SHOWN = 3
HEAD_BYTES = 1024
KINDS = {  # by the bytes that a file begins with, in lower case
    b"version https://git-lfs": "a Git LFS pointer: run git lfs pull",
    **dict.fromkeys((b"<!doctype html", b"<html", b"<head", b"<?xml"), "an HTML page: download the file itself"),
    b"pk\x03\x04": "a truncated zip archive: download it again",
    **dict.fromkeys((b"\x1f\x8b", b"\xfd7zxz", b"7z\xbc\xaf", b"rar!"), "a compressed archive: unpack it"),
    b"\x89hdf": "an HDF5 file (Keras)",
    b"\x80\x02\x8a\x0al\xfc\x9cf\xf9": "a truncated or damaged file of torch.save: download or copy it again",
    b"\x80": "a pickle that torch.save did not write",
}


def write_unfinished(content: Any, path: Path) -> Path:
    """Save to a temporary file next to `path`, flushed to disk; return its path, to be renamed to `path`.

    Raises:
        UserError: The disk is full, or the folder cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file, not a path: torch would store the path's name, and equal weights would give different bytes.
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise UserError(f"Cannot write {path}: {error}. Free some space, or choose another folder.") from error
    return unfinished


def save_atomically(content: Any, path: Path) -> None:
    """Save so that `path` is the old file or the new one, complete, whenever the process dies."""
    write_unfinished(content, path).replace(path)
    fsync(path.parent)


def load_verified(path: Path) -> Any:
    """Load plain values, NumPy numbers and tensors to the CPU, and verify the checksums of the file's parts.

    Files written before torch 1.6 have no checksums.

    Raises:
        OSError, RuntimeError and others, see UNREADABLE: The file is missing or damaged.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise RuntimeError(f"{BAD_CHECKSUM} {bad}")
    with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
        warnings.simplefilter("ignore", UserWarning)  # about files that it then refuses, such as TorchScript archives
        return torch.load(path, map_location="cpu", weights_only=True)


@functools.cache
def _numpy_globals() -> list[Any]:
    """Return the functions and classes of pickled NumPy numbers and arrays, which published checkpoints contain."""
    import numpy as np  # torchvision requires it

    makers = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # of NumPy 1 and 2
    named = [(maker, f"{module}.{name}") for module in modules for name, maker in makers.items()]
    dtypes = {type(np.dtype(code)) for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]}
    return [*named, (np.dtype, "numpy.dtype"), (np.ndarray, "numpy.ndarray"), *dtypes]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, with its metadata; checkpoints and wrapped networks are unpacked.

    Raises:
        UserError: The file is missing, unreadable, or contains no state dict.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. {NEEDED}")
    try:
        content = read_safetensors(path) if is_safetensors(path) else load_verified(path)
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(f"{path} {_problem(path, error)}. {NEEDED}") from error
    state = _find_state_dict(content)
    if state is None:
        keys = list_some([str(key) for key in content]) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} contains no weights, but {keys or 'nothing'}. {NEEDED}")
    return state


def list_some(names: list[str]) -> str:
    """Return the first names, and the number of the others."""
    more = f" and {len(names) - MAX_NAMES_SHOWN:,} more" if len(names) > MAX_NAMES_SHOWN else ""
    return ", ".join(names[:MAX_NAMES_SHOWN]) + more


def _find_state_dict(content: Any) -> dict[str, Tensor] | None:
    while isinstance(content, Mapping):
        inner = [content[name] for name in CONTAINERS if isinstance(content.get(name), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, dict) or not content:
        return None
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        return None
    return _without_wrappers(content)


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = OrderedDict((_unwrapped(key), value) for key, value in state.items())
    if len(renamed) < len(state):  # two keys would become one
        return state
    metadata: dict[str, dict[str, Any]] = {}
    for path, values in (getattr(state, "_metadata", None) or {}).items():
        metadata.setdefault(_unwrapped(path), {}).update(values)
    if metadata:
        renamed._metadata = metadata  # type: ignore[attr-defined]
    return renamed


def _unwrapped(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in WRAPPERS)


def _problem(path: Path, error: Exception) -> str:
    """Return why a file cannot be loaded: a system error, Python objects in it, or its kind."""
    text = str(error)
    if isinstance(error, OSError) and is_io_error(error):
        return f"cannot be read: {error.strerror}"
    if text.startswith(BAD_CHECKSUM):
        return f"is damaged ({text}): download or copy it again"
    if found := re.search(r"GLOBAL (\S+)", text):
        return (
            f"contains Python objects ({found[1]}), which are not loaded because they could run code: save only the "
            "weights, with torch.save(network.state_dict(), PATH)"
        )
    return f"is {_kind_of(path)}"


def _kind_of(path: Path) -> str:
    """Return the kind of a file that torch cannot load, and the remedy."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if zipfile.is_zipfile(path):
        return _kind_of_zip(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, kind in KINDS.items():
        if text.startswith(signature):
            return kind
    return f"not written by torch.save (its first bytes are {head[:24]!r})" if head else "an empty file"


def _kind_of_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return "a TorchScript archive: save the state_dict() of what torch.jit.load returns"
    if any(name.endswith("/data.pkl") for name in names):
        return "a damaged file of torch.save: download or copy it again"
    return f"a zip archive of {list_some(names) or 'nothing'}: unpack it"
