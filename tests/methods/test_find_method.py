"""Loading and identifying methods, from a repository folder and from a file that the test writes."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from methods import find_method
from methods.find_method import Method, find
from methods.settings import MethodSettings
from tests.methods.conftest import TRUSTED, write_repository

IMAGES = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])[:, :, None, None].expand(2, 3, 8, 12)
FILE = """
import torch
from helper import bias


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 5)
        self.preprocessing = {"mean": [0, 0, 0], "std": [1, 1, 1], "image_size": [20, 30], "interpolation": "bicubic"}

    def forward(self, images):
        return self.linear(images.mean((2, 3))) + bias


def build(wanted=None):
    return wanted or Net()
"""


def found(text: str, settings: MethodSettings = TRUSTED) -> Method:
    method = find(text, settings)
    assert isinstance(method, Method)
    return method


def test_an_entry_of_a_folder_gives_descriptors_of_unit_length(repository: Path) -> None:
    method = found(f"{repository}:colours(scale=10.0)")
    assert (method.backbone, method.fc_output_dim) == ("repository:colours", 3)
    colours = IMAGES[:, :, 0, 0] + 1
    assert torch.allclose(method.network(IMAGES), torch.nn.functional.normalize(colours))
    pair = found(f"{repository}:pair").network
    assert torch.allclose(pair(IMAGES), method.network(IMAGES)), "the first of a tuple"


def test_code_of_others_runs_only_if_trusted(repository: Path) -> None:
    (repository / "hubconf.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(UserError, match=rf"runs code of others: colours\(dim=2\) of {repository}\. Pass --trust-repo"):
        find(f"{repository}:colours(dim=2)", MethodSettings())
    with pytest.raises(UserError, match=r"get_trained_model\(\) of gmberton/MegaLoc\. Pass --trust-repo"):
        find("MegaLoc", MethodSettings())


def test_the_digests_follow_code_arguments_and_weights(repository: Path, tmp_path: Path) -> None:
    def digests(text: str = "colours(scale=2.0)") -> Any:
        return found(f"{repository}:{text}").digests.recipe("descriptors", "x", 1, {}, {})

    first = digests()
    assert digests().digest == first.digest
    scaled, fewer = digests("colours(scale=3.0)"), digests("colours(scale=2.0, dim=2)")
    assert scaled.inputs["weights"] != first.inputs["weights"] == fewer.inputs["weights"]
    assert len({first.digest, scaled.digest, fewer.digest}) == 3
    moved = repository.rename(tmp_path / "elsewhere").rename(repository)
    assert digests().digest == first.digest
    (moved / "colours.py").write_text((moved / "colours.py").read_text().replace("+ 1", "+ 2"))
    changed = digests()
    network = found(f"{repository}:colours").network
    assert torch.allclose(network(IMAGES)[0], torch.nn.functional.normalize(IMAGES[0, :, 0, 0] + 2, dim=0))
    assert changed.inputs["weights"] == first.inputs["weights"]
    assert changed.inputs["model"] != first.inputs["model"]
    sized = found(f"{repository}:colours", MethodSettings(trust_repo=True, input_multiple=4))
    settings = sized.digests.recipe("descriptors", "x", 1, {}, {}).settings
    assert (settings["method"]["function"], settings["method"]["preprocessing"]["multiple_of"]) == ("colours", 4)


def test_repositories_with_modules_of_equal_names_do_not_mix(repository: Path, tmp_path: Path) -> None:
    other = write_repository(tmp_path / "other")
    (other / "colours.py").write_text((other / "colours.py").read_text().replace("+ 1", "+ 100"))
    one, two = (found(f"{folder}:colours").network(IMAGES) for folder in (repository, other))
    assert not torch.allclose(one, two, atol=0.1)
    assert "colours" not in sys.modules


def test_an_own_file_states_its_preprocessing_and_needs_no_trust(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("bias = 1.0\n")
    (tmp_path / "net.py").write_text(FILE)
    method = found(f"{tmp_path}/net.py:build", MethodSettings())
    assert (method.backbone, method.fc_output_dim) == ("net.py:build", 5)
    network = method.network
    assert (network.preprocessing.mean, network.preprocessing.interpolation) == ((0.0, 0.0, 0.0), "bicubic")
    assert network.size_rule.size_of(640, 480) == (30, 20)
    again = found(f"{tmp_path}/net.py:build", MethodSettings())
    assert again.digests == method.digests, "random weights are those of one seed"
    (tmp_path / "helper.py").write_text("bias = 2.0\n")
    changed = found(f"{tmp_path}/net.py:build", MethodSettings())
    assert changed.digests.digest != method.digests.digest
    assert changed.digests.weights == method.digests.weights
    larger = found(f"{tmp_path}/net.py:build", MethodSettings(input_size=ImageSize(40, 50), input_multiple=20))
    assert larger.network.size_rule.size_of(640, 480) == (60, 40)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colors", r"hubconf\.py has no function colors\. Closest: colours"),
        ("something", r"has no function something\. It has: Colours, colours, pair, no_"),
        ("colours(depth=3)", r"colours\(depth=3\) of .* fails: TypeError: .*unexpected keyword argument 'depth'"),
        ("no_network", "returns a int, not a torch.nn.Module"),
        ("no_weights", "without parameters and buffers, so that its weights cannot be identified"),
        (
            "broken",
            r"fails: OSError: no route to host\. If this machine is offline, put its weights into .*checkpoints",
        ),
        ("needs_more", "needs the package surely_not_installed, which is not installed"),
        ("colours(scale=float)", "fails: "),
        ("colours(scale=0.0)", "returns a descriptor that is zero or not finite"),
        (
            "colours(sizes=9)",
            r"fails on images of 224 x 224 pixels: 224 is not a multiple of 9\. Give another --input-",
        ),
    ],
)
def test_wrong_entries_are_one_message(repository: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        find(f"{repository}:{text}", TRUSTED)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def build(:", "cannot be read as Python|SyntaxError"),
        ("built = 3", r"net\.py has no function build\. It has: none"),
        ("def build():\n    return lambda images: images", "returns a function, not a torch.nn.Module"),
        ("import torch\nbuild = lambda: torch.nn.Conv2d(3, 4, 1)", r"returns \[1, 4, 224, 224\] for 1 images, not"),
    ],
)
def test_wrong_files_are_one_message(tmp_path: Path, code: str, problem: str) -> None:
    (tmp_path / "net.py").write_text(code)
    with pytest.raises(UserError, match=problem):
        find(f"{tmp_path}/net.py:build", MethodSettings())


def test_other_texts_are_models(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder, and no official model"):
        find(str(tmp_path / "none.pth"), MethodSettings())


@pytest.mark.usefixtures("no_network")
def test_without_network_the_message_names_the_folders(hub: Path) -> None:
    with pytest.raises(UserError) as raised:
        find("SALAD", TRUSTED)
    assert str(raised.value).startswith("Cannot download the repository serizba/salad from GitHub: ")
    assert f"put the repository into {hub}/serizba_salad_main, and" in str(raised.value)
    assert str(raised.value).endswith(f"into {hub}/checkpoints.")


@pytest.mark.usefixtures("no_network")
def test_a_downloaded_repository_is_loaded_once_until_a_file_changes(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_repository(hub / "owner_name_main")
    (hub / "checkpoints").mkdir()
    (hub / "checkpoints" / "weights.pth").write_bytes(b"first")
    loaded: list[str] = []
    original = find_method.load_method

    def counted(*arguments: Any) -> Any:
        loaded.append("loaded")
        return original(*arguments)

    monkeypatch.setattr(find_method, "load_method", counted)
    text = "owner/name:colours(dim=2)"
    methods = [found(text) for _ in range(3)]
    assert len(loaded) == 1
    assert len({method.digests.digest for method in methods}) == 1
    assert torch.equal(methods[2].network(IMAGES), methods[0].network(IMAGES))
    assert len(loaded) == 2, "only when the network is used"

    (record,) = (tmp_path / "torch" / "cosplace_methods").iterdir()
    stale = found(text)
    (folder / "colours.py").write_text((folder / "colours.py").read_text().replace("+ 1", "+ 2"))
    with pytest.raises(UserError, match="changed after this command started"):
        _ = stale.network
    assert found(text).digests.digest != stale.digests.digest
    for file, content in ((hub / "checkpoints" / "weights.pth", "second"), (record, "{")):
        count = len(loaded)
        file.write_text(content)
        found(text)
        found(text)
        assert len(loaded) == count + 1
    found(text, MethodSettings(trust_repo=True, input_multiple=2))
    assert json.loads(record.read_text())["identity"]["preprocessing"]["multiple_of"] == 1, (
        "each setting has its record"
    )


def test_methods_of_this_machine_are_always_loaded(repository: Path, hub: Path, tmp_path: Path) -> None:
    found(f"{repository}:colours")
    write_repository(hub / "owner_name_master")
    os.mkdir(tmp_path / "weights")  # noqa: PTH102
    found(f"owner/name:pair(weights='{tmp_path / 'weights'}')")
    assert not (tmp_path / "torch" / "cosplace_methods").exists()
