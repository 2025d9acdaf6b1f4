"""A backbone of timm through the whole pipeline, and its export."""

from pathlib import Path

import pytest

from data_manifest.store.recipe import read_recipe
from tests.helpers import TINY, Luigi, current_artifacts, needs_exporter, needs_timm


@needs_exporter
@needs_timm
@pytest.mark.slow
def test_a_vit_is_trained_evaluated_and_exported(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    for package in ("huggingface_hub", "onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(package)
    changed = {"SqueezeNet1_1": "timm/test_vit", "40": "48"}
    vit = [*(changed.get(word, word) for word in TINY), "--epochs-num", "1"]
    done = luigi("EvaluateCosPlace", "--dataset-folder", str(city), *vit)
    assert done.returncode == 0, done.stderr
    artifacts = current_artifacts(tmp_path)
    model, evaluation = artifacts["training/train"], artifacts["evaluation/queries_v1"]
    assert read_recipe(model)["settings"]["backbone"] == "timm/test_vit"

    exported = luigi("ExportModel", "--model", str(model.parent), "--format", "onnx")
    assert exported.returncode == 0, exported.stderr
    assert "ExportModel: done (onnx of timm/test_vit-16: largest difference from torch" in exported.stdout
    onnx = current_artifacts(tmp_path)["export/train"]
    hf = luigi("ExportModel", "--model", str(model), "--format", "hf")
    assert hf.returncode == 0, hf.stderr
    folder = current_artifacts(tmp_path)["export/train"]
    card = (folder / "README.md").read_text()
    made = read_recipe(evaluation)["summary"]["made"]
    assert "- type: recall\n      value: " in card
    assert "name: R@1\n" in card, made
    assert "# timm/test_vit with 16-dimensional descriptors, trained with CosPlace" in card
    for each in (folder, onnx):
        again = luigi("EvaluateCosPlace", "--model", str(each), "--dataset-folder", str(city), "--num-workers", "0")
        assert again.returncode == 0, again.stderr
        repeated = current_artifacts(tmp_path)["evaluation/queries_v1"]
        assert repeated != evaluation
        assert read_recipe(repeated)["summary"]["made"] == made, "equal recalls"
