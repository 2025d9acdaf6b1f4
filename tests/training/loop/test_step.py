from typing import Any

import pytest
import torch

from data_manifest.errors import UserError
from training.data.groups import Group
from training.loop.state import TrainingState
from training.loop.step import TrainStep, compile_once
from training.network.settings import NetworkSettings
from training.settings import TrainingSettings

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 4])


def _losses(precision: str, compiled: bool = False, steps: int = 3) -> list[float]:
    network, training = NetworkSettings("SqueezeNet1_0", 16, backbone_weights="none"), TrainingSettings(lr=1e-3)
    state = TrainingState.start({}, [Group(0, 5, 50)], network, training, CPU)
    step = TrainStep(state, state.classifiers[0], precision, compiled)
    torch.manual_seed(0)
    return [step(IMAGES, CLASSES).item() for _ in range(steps)]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sixteen_bits_give_similar_losses(precision: str) -> None:
    full, half = _losses("fp32"), _losses(precision)
    assert half != full
    assert half == pytest.approx(full, rel=0.05)


def test_network_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compilations = list[torch.nn.Module]()

    def without_a_compiler(network: torch.nn.Module) -> Any:
        compilations.append(network)
        return compiler(network, backend="eager")

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", without_a_compiler)
    assert _losses("fp32", compiled=True) == pytest.approx(_losses("fp32"), rel=1e-5)
    assert compile_once(compilations[0]) is compile_once(compilations[0])
    assert len(compilations) == 1


def test_failed_compilation_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_a_compiler(*arguments: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\nin all of these places")

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: compiler(network, backend=without_a_compiler))
    with pytest.raises(UserError) as caught:
        _losses("fp32", compiled=True)
    assert str(caught.value).startswith("compile = True: torch cannot compile the network on cpu: ")
    assert "No working C++ compiler found. Install what it needs" in str(caught.value)
