"""The folders where torch.hub and Hugging Face keep what they download, found without importing them."""

import os
from pathlib import Path


def hub_folder() -> Path:
    """Return torch.hub's cache, which has repositories, and in `checkpoints` weights."""
    return Path(os.environ.get("TORCH_HOME") or _cache() / "torch").expanduser() / "hub"


def huggingface_folder() -> Path:
    """Return the cache of models of Hugging Face's hub."""
    home = Path(os.environ.get("HF_HOME") or _cache() / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
