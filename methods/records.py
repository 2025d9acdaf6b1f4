"""Records of loaded methods, by which an unchanged method is identified without loading it, which takes seconds."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifest.images import file_states as states_of_files
from data_manifest.store.files import write_text
from data_manifest.store.recipe import digest_of
from methods.entry import Entry
from methods.hub_folders import hub_folder, huggingface_folder
from methods.settings import MethodSettings

VERSION = 1  # raise when equal files give another identity


@dataclass(frozen=True)
class Identity:
    """Code, weights and preprocessing, which determine the descriptors of a method."""

    code: str  # digest of the Python files
    weights: str  # digest of the state dict
    dimensions: int  # of its descriptors
    preprocessing: Mapping[str, Any]  # as stated in recipes


def file_states(entry: Entry) -> str | None:
    """Return a digest of the paths, sizes and times of the files that may determine a method; None if unknown.

    They are torch.hub's cache, with repositories and weights, and Hugging Face's. Methods of this machine, and those
    with a path as an argument, may read other files. Files of the last 2 seconds may still change.
    """
    if entry.github is None or any(os.path.exists(str(value)) for value in entry.arguments.values()):  # noqa: PTH110
        return None
    now_ns = time.time_ns()
    found = sorted(each for folder in (hub_folder(), huggingface_folder()) for each in _states(folder))
    if not found or not states_of_files.is_settled([modified_ns for _, _, modified_ns in found], now_ns):
        return None
    return digest_of(found)


def read_record(entry: Entry, settings: MethodSettings) -> Identity | None:
    """Return the identity of a method when it was last loaded; None if a file has changed since, or it is unknown."""
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        record = json.loads(_file(entry, settings).read_text())
        if record["states"] == file_states(entry):
            return Identity(**record["identity"])
    return None


def write_record(entry: Entry, settings: MethodSettings, identity: Identity, before: str | None) -> None:
    """Record the identity of a loaded method, unless files changed during loading, as by a download, or are unknown.

    Args:
        entry: The method.
        settings: How it was loaded.
        identity: Its identity.
        before: `file_states` before it was loaded.
    """
    if before is None or before != file_states(entry):
        return
    with contextlib.suppress(OSError):  # a record only saves time
        file = _file(entry, settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps({"states": before, "identity": dataclasses.asdict(identity)}))


def _file(entry: Entry, settings: MethodSettings) -> Path:
    size = settings.input_size and settings.input_size.plain
    key = digest_of([VERSION, entry.name, entry.source, entry.stated, size, settings.input_multiple])
    return hub_folder().parent / "cosplace_methods" / f"{key}.json"


def _states(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and modification time of the files below a folder, except those that Python compiles."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            with contextlib.suppress(OSError):  # a broken link
                state = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 -- there may be 100,000
                yield os.path.join(parent, name), state.st_size, state.st_mtime_ns  # noqa: PTH118
