import pytest
import torch

from data_manifest.errors import UserError
from training.network.images import IMAGENET_MEAN, IMAGENET_STD, normalise, resolve_device


def test_normalisation_agrees_with_the_formula() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    normalised = normalise(images)
    assert normalised.dtype == torch.float32
    for channel in range(3):
        expected = (images[1, channel, 2, 3].item() / 255 - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        assert normalised[1, channel, 2, 3].item() == pytest.approx(expected, abs=1e-6)


def test_auto_is_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus, expected in ((0, "cpu"), (2, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpus=gpus: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert resolve_device("auto") == torch.device(expected)
        assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="--device = cuda:2: torch sees 2 GPUs"):
        resolve_device("cuda:2")
