"""torch.hub entry points, called without the project's other dependencies."""

import os
import subprocess
import sys
from pathlib import Path

import torch

import hubconf
from training.network.settings import NetworkSettings
from training.network.weights import build_network, save_network

ROOT = Path(__file__).parents[3]
BLOCKED = ("polars", "pyarrow", "luigi", "faiss", "dask", "scipy", "utm", "duckdb")


def test_entry_points_are_documented() -> None:
    assert hubconf.dependencies == ["torch", "torchvision"]
    entries = [name for name, value in vars(hubconf).items() if callable(value) and not name.startswith("_")]
    assert entries == ["get_trained_model", "load_model"], "every public callable is an entry point"
    for name in entries:
        assert "Args:" in getattr(hubconf, name).__doc__


def test_networks_and_loader_workers_need_only_torch_and_torchvision(release: tuple[Path, str], tmp_path: Path) -> None:
    own = build_network(NetworkSettings("SqueezeNet1_1", 8, backbone_weights="none")).eval()
    save_network(own, tmp_path / "run" / "best_model.pth")
    code = f"""if True:
        import sys
        sys.modules.update(dict.fromkeys({BLOCKED!r}))  # importing one of them fails
        import torch
        def load(*arguments, **more):
            return torch.hub.load({str(ROOT)!r}, *arguments, source="local", **more)
        official = load("get_trained_model", backbone="ResNet18", fc_output_dim="32", release_url={release[1]!r})
        own = load("load_model", {str(tmp_path / "run")!r})
        images = torch.linspace(-1, 1, 3 * 64 * 96).view(1, 3, 64, 96)
        with torch.no_grad():
            torch.save([official(images), own(images)], {str(tmp_path / "descriptors.pth")!r})
        try:
            load("get_trained_model", backbone="ResNet18", fc_output_dim=2048)
        except ValueError as error:
            print(type(error).__name__, error)
        del sys.modules["pyarrow"]  # loader workers have it
        import training.data.loading
    """
    environment = {**os.environ, "TORCH_HOME": str(tmp_path / "torch"), "PYTHONPATH": "", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("UserError There are no official weights of ResNet18 with fc_output")
    official = torch.load(tmp_path / "descriptors.pth", weights_only=True)
    images = torch.linspace(-1, 1, 3 * 64 * 96).view(1, 3, 64, 96)
    reference = build_network(NetworkSettings("ResNet18", 32, backbone_weights="none"), seed=4).eval()
    with torch.no_grad():
        torch.testing.assert_close(official, [reference(images), own(images)])
