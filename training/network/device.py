"""The device that a network runs on."""

import torch

from data_manifest.errors import UserError


def resolve_device(device: str) -> torch.device:
    """Return the device named by "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:<number>".

    Raises:
        UserError: This machine has no such GPU.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if gpus else "cpu")
    resolved = torch.device(device)
    if resolved.type == "cuda" and (resolved.index or 0) >= gpus:
        raise UserError(f"device = {device}: torch sees {gpus} GPUs. Give --device auto or --device cpu.")
    return resolved
