"""State dicts on disk: written whole or not at all, read without running anything that a file may hold."""

import contextlib
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_manifest.durable import fsync
from data_manifest.errors import UserError

UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile)


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
    """Load to the CPU, plain values and tensors only, after a check that no byte has changed.

    torch compares no checksums when it reads; the zip archive that it writes has them. Files from before torch 1.6 are
    no zip archives, and go without the check.

    Raises:
        OSError, RuntimeError and others, see UNREADABLE: There is no such file, or it is broken.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise RuntimeError(f"its part {broken} is broken")
    return torch.load(path, map_location="cpu", weights_only=True)


def read_state_dict(path: Path, flag: str) -> dict[str, Tensor]:
    """Return the state dict in a file, with its metadata; `flag` is how a user gives another.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; give another with {flag}")
    try:
        content = load_whole(path)
    except pickle.UnpicklingError as error:  # torch's own message tells to load it unsafely
        raise UserError(
            f"{path} holds no tensors saved by torch, or more than them; give another with {flag}"
        ) from error
    except UNREADABLE as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{path} cannot be read as a state dict: {reason}; give another with {flag}") from error
    if isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values()):
        return content
    keys = ", ".join(map(str, list(content)[:4])) if isinstance(content, dict) else type(content).__name__
    found = keys or "nothing"
    raise UserError(f"{path}: a state dict holds tensors alone, this file holds {found}; give another with {flag}")
