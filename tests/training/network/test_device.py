import pytest
import torch

from data_manifest.errors import UserError
from training.network.device import resolve_device


def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus, expected in ((0, "cpu"), (2, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpus=gpus: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert resolve_device("auto") == torch.device(expected)
        assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="device = cuda:2: torch sees 2 GPUs"):
        resolve_device("cuda:2")
