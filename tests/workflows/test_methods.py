"""Methods of others through the same tasks as trained models."""

import html
import re
from pathlib import Path

import pytest

from data_manifest.store.recipe import read_recipe
from tests.helpers import Luigi, current_artifacts
from tests.methods.conftest import write_repository

MACHINE = ("--num-workers", "0", "--device", "cpu", "--trust-repo")


def test_a_named_method_is_evaluated_and_reported(
    city: Path, luigi: Luigi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    downloaded = write_repository(tmp_path / "torch" / "hub" / "gmberton_MegaLoc_main")
    with (downloaded / "hubconf.py").open("a") as file:
        file.write("\n\ndef get_trained_model():\n    return Colours(1.0, 3, 14)\n")
    data = ("--test-folder", str(city / "test"), "--test-queries", "queries_v1", *MACHINE)
    refused = luigi("EvaluateCosPlace", "--method", "MegaLoc", *data[:-1])
    assert refused.returncode != 0
    assert "runs code of others: get_trained_model() of gmberton/MegaLoc. Pass --trust-repo" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "artifacts").exists()

    reported = luigi("WriteReport", "--method", "megaloc", *data)
    assert reported.returncode == 0, reported.stderr
    artifacts = current_artifacts(tmp_path)
    recipe = read_recipe(artifacts["evaluation/queries_v1"])
    assert recipe["settings"]["backbone"] == "MegaLoc"
    assert recipe["settings"]["method"]["source"] == "gmberton/MegaLoc"
    assert recipe["settings"]["method"]["preprocessing"]["image_size"] == 322
    assert recipe["summary"]["made"].startswith("R@1 100.0"), "each place and heading has its colour"
    page = (artifacts["report/queries_v1"] / "report.html").read_text()
    (code,) = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)
    assert "--model MegaLoc" in html.unescape(code)

    again = luigi("EvaluateCosPlace", "--model", "MegaLoc", *data)
    assert again.stdout.startswith("EvaluateCosPlace: up to date ("), again.stdout + again.stderr
    code_file = downloaded / "colours.py"
    code_file.write_text(code_file.read_text().replace("+ 1", "+ 2"))
    updated = luigi("EvaluateCosPlace", "--model", "MegaLoc", *data)
    assert "EvaluateCosPlace: done (" in updated.stdout, "another commit of the repository is another method"


def test_an_own_network_embeds_photos(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Linear):\n    def forward(self, images):\n"
        "        return super().forward(images.mean((2, 3)))\n\n\ndef build(dim=4):\n    return Net(3, dim)\n"
    )
    module = f"{tmp_path / 'net.py'}:build(dim=5)"
    done = luigi("ExtractDescriptors", "--method-module", module, "--part", "test/database", *MACHINE[:-1],
                 "--dataset-folder", str(city))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "8 images embedded in 5 dimensions" in done.stdout
