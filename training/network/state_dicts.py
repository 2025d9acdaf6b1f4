"""State dicts of other programs: in checkpoints, or of wrapped networks; and how two state dicts differ."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Keys of the weights in checkpoints: `model_state_dict` in published ones, `network` in those of this project.
CONTAINERS = ("model_state_dict", "state_dict", "model", "network")
WRAPPERS = ("module", "_orig_mod")  # of DataParallel and DistributedDataParallel, and of torch.compile
FEW = 3


def find_state_dict(content: Any) -> dict[str, Tensor] | None:
    """Return the state dict in the content of a file, without the names of wrappers, or None."""
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


def few(names: list[str]) -> str:
    """Return the first names, and the number of the others."""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def differences(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str:
    """Return in words which keys are missing, surplus or of another shape."""
    missing = [key for key in expected if key not in found]
    surplus = [key for key in found if key not in expected]
    shapes = [
        f"{key} is {_shape(found[key])}, expected {_shape(shape)}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    parts = [
        f"{len(missing):,} of {len(expected):,} keys missing ({few(missing)})" if missing else "",
        f"{len(surplus):,} surplus ({few(surplus)})" if surplus else "",
        f"{len(shapes):,} of another shape ({few(shapes)})" if shapes else "",
    ]
    return ", ".join(part for part in parts if part)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"
