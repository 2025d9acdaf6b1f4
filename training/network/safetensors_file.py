"""Networks as safetensors files, with their description in the header. Imports safetensors late: it is optional."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from data_manifest.errors import UserError
from training.network.model import STATEMENT

INSTALL = "pip install 'cosplace-pipeline[export]'"


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as safetensors files do: the length of the header, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a safetensors file; the description in its header becomes the state's metadata.

    Raises:
        UserError: safetensors is not installed, or the file is damaged.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UserError(f"{path}: the package safetensors is not installed: {INSTALL}") from error
    try:
        with safe_open(path, framework="pt") as file:
            state = OrderedDict((key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118 -- no mapping
            statement = json.loads((file.metadata() or {}).get(STATEMENT, "{}"))
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is a damaged safetensors file ({error}): download or copy it again.") from error
    state._metadata = {"": {STATEMENT: statement}}  # type: ignore[attr-defined]
    return state


def write_safetensors(network: nn.Module, path: Path) -> None:
    """Write a network's state dict with the description that its model file states.

    Raises:
        UserError: safetensors is not installed.
    """
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise UserError(f"format = safetensors: the package safetensors is not installed: {INSTALL}") from error
    state: Any = network.state_dict()
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    save_file(tensors, path, {STATEMENT: json.dumps(state._metadata[""][STATEMENT])})
