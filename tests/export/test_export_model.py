"""Exports in all formats: what is written, checked and refused."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import make_frame, write_table
from evaluation.descriptors.extract import embed
from evaluation.descriptors.trained_model import TrainedModel, find_model
from export import export_onnx
from export.export_model import export_model, export_recipe
from export.settings import UINT8, ExportSettings
from tests.export.conftest import save_model
from tests.helpers import files_in, needs_exporter, needs_timm
from tests.object_server import ObjectServer
from training.network.weights import load_model

onnx, onnx_ir, onnxruntime = map(pytest.importorskip, ("onnx", "onnx_ir", "onnxruntime"))
NETWORKS: list[Any] = [("ResNet18", True, "float32")]  # backbone, grayscale, input
NETWORKS += [pytest.param(f"timm/test_{name}", False, UINT8, marks=needs_timm) for name in ("vit", "convnext")]


def _model(folder: Path, backbone: str = "SqueezeNet1_1", grayscale: bool = False) -> TrainedModel:
    save_model(folder / "model.pth", backbone, grayscale)
    (folder / "photos").mkdir(exist_ok=True)
    for number in range(3):
        Image.effect_noise((90 + 30 * number, 80), 60).convert("RGB").save(folder / "photos" / f"{number}.png")
    return find_model(folder / "model.pth")


def _export(model: TrainedModel, format_: str, **more: Any) -> Path:
    folder = model.path.parent
    photos: dict[str, Any] = {"check_photos": folder / "photos"} if format_ == "onnx" else {}
    settings = ExportSettings(model=str(model.path), format=format_, **photos, **more)
    return export_model(model, folder / "artifacts", settings)


@needs_exporter
@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "grayscale", "input_type"), NETWORKS)
def test_onnx_maps_images_of_any_number_and_size(
    tmp_path: Path, backbone: str, grayscale: bool, input_type: str
) -> None:
    model = _model(tmp_path, backbone, grayscale)
    exported = _export(model, "onnx", onnx_input=input_type)
    file = onnx.load(exported / "model.onnx")
    stated = {entry.key: entry.value for entry in file.metadata_props}
    assert (stated["name"], stated["fc_output_dim"]) == (backbone, "8")
    assert json.loads(stated["preprocessing"])["image_size"] == [64, 64]
    assert stated["weights_sha256"] == hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert stated["input"].startswith(f"{input_type} [batch, channels, height, width], 0 to 255")
    (given,) = file.graph.input
    assert given.type.tensor_type.elem_type == onnx.helper.np_dtype_to_tensor_dtype(np.dtype(input_type))
    channels = 1 if grayscale else 3
    assert [axis.dim_value for axis in given.type.tensor_type.shape.dim] == [0, channels, 0, 0], "0: dynamic"
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    for number, height, width in ((1, 64, 96), (3, 51, 77)):
        images = np.random.default_rng(7).integers(0, 256, (number, channels, height, width)).astype(input_type)
        with torch.no_grad():
            expected = model.network(model.network.preprocessing.normalise(torch.from_numpy(images)))
        (found,) = session.run(["descriptors"], {"images": images})
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    again = find_model(exported)
    assert (again.backbone, again.fc_output_dim, again.image_size) == (backbone, 8, ImageSize(64, 64))
    embedded = embed(again.network, torch.from_numpy(images), torch.device("cpu"), "fp32")
    np.testing.assert_allclose(embedded, found, rtol=0, atol=0 if input_type == UINT8 else 1e-6)
    with pytest.raises(UserError, match=r"infer_precision = bf16: .*model.onnx has its own precision"):
        embed(again.network, torch.from_numpy(images), torch.device("cpu"), "bf16")
    with pytest.raises(UserError, match=r"model.onnx is an exported model. Give the model that it was exported from"):
        _export(again, "safetensors")
    assert "largest difference from torch" in read_recipe(exported)["summary"]["made"]
    assert "on 4 photos" in read_recipe(exported)["summary"]["made"], "the first one twice"


@needs_exporter
def test_onnx_that_differs_is_not_published(tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = onnx.load(full / "model.onnx")
    (last,) = (node for node in wrong.graph.node if "descriptors" in node.output)
    last.output[:] = ["correct"]
    wrong.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2e-4), "shift"))
    wrong.graph.node.append(onnx.helper.make_node("Add", ["correct", "shift"], ["descriptors"]))
    program = torch.onnx.ONNXProgram(onnx_ir.from_proto(wrong), None)
    monkeypatch.setattr("torch.onnx.export", lambda *_, **__: program)
    with pytest.raises(UserError, match=r"differs from torch by 2.0e-04 on .*photos, more than 1e-04: no file was"):
        _export(_model(tmp_path), "onnx")
    assert not list((tmp_path / "artifacts").glob("export/*/*"))


def test_failing_exporter_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NotImplementedError("no such operator\nand more")

    monkeypatch.setattr("torch.onnx.export", fail)
    with pytest.raises(UserError, match=r"cannot export SqueezeNet1_1 to ONNX: no such operator Upgrade torch"):
        _export(_model(tmp_path), "onnx")


def test_other_onnx_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"model.onnx is not an ONNX file that onnxruntime can run"):
        find_model(tmp_path)
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    graph = onnx.helper.make_graph([node], "graph", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"other.onnx was not written by `cosplace export`"):
        find_model(tmp_path / "other.onnx")


def test_unknown_training_images_are_an_error(tmp_path: Path) -> None:
    model = _model(tmp_path)
    with pytest.raises(
        UserError, match=r"model.pth: its training images are unknown or gone. Give --check-photos FOLDER"
    ):
        export_model(model, tmp_path / "artifacts", ExportSettings(model=str(model.path)))


def test_training_images_in_a_bucket_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, recipe = _model(tmp_path), {"summary": {"images_folder": "s3://bucket/train"}}
    monkeypatch.setattr(export_onnx, "is_published", lambda _: True)
    monkeypatch.setattr(export_onnx, "read_recipe", lambda _: recipe)
    assert export_onnx._training_images(model) == ImagesUrl.parse("s3://bucket/train")
    recipe["summary"]["images_folder"] = "https://host/train"
    with pytest.raises(UserError, match=r"^https://host/train: web servers do not list .*Give --check-photos"):
        export_onnx._training_images(model)


@needs_exporter
@pytest.mark.usefixtures("exported_before")
def test_onnx_is_compared_on_photos_in_a_bucket(tmp_path: Path, objects: ObjectServer) -> None:
    model = _model(tmp_path)
    objects.put_files(tmp_path / "photos", "photos")
    photos = ImagesUrl.parse("s3://bucket/photos")
    settings = ExportSettings(model=str(model.path), check_photos=photos)
    assert "on 4 photos" in read_recipe(export_model(model, tmp_path / "A", settings))["summary"]["made"]
    before = export_recipe(model, tmp_path / "A", settings).digest
    objects.put("photos/0.png", objects.objects["photos/1.png"])
    assert export_recipe(model, tmp_path / "A", settings).digest != before


def test_torch_and_safetensors_hold_the_same_network(tmp_path: Path) -> None:
    model = _model(tmp_path)
    copied, written = _export(model, "torch"), _export(model, "safetensors")
    assert (copied / "model.pth").read_bytes() == model.path.read_bytes()
    expected = model.network.state_dict()
    for folder in (copied, written):
        network = load_model(folder)
        assert network.preprocessing == model.network.preprocessing
        assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
        assert find_model(folder).image_size == ImageSize(64, 64)
    before = files_in(tmp_path / "artifacts")
    assert _export(model, "safetensors") == written
    assert files_in(tmp_path / "artifacts") == before, "nothing is written twice"


def test_hf_folder_has_weights_configuration_and_card(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    model = _model(tmp_path)
    folder = _export(model, "hf")
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "README.md", "recipe.json"}
    config = json.loads((folder / "config.json").read_text())
    assert (config["backbone"], config["fc_output_dim"]) == ("SqueezeNet1_1", 8)
    lines = (folder / "README.md").read_text().splitlines()
    assert lines[0] == lines[lines.index("---", 1)] == "---"
    assert {"library_name: cosplace", "pipeline_tag: image-feature-extraction", "license: other"} <= set(lines)
    assert "model-index:" not in lines, "it has no evaluation"


def test_hf_card_has_the_recalls_of_test_sets_with_ground_truth(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    model = _model(tmp_path)
    counts = {"queries": 4, "database_images": 4, "threshold": 25.0, "threshold_unit": "metres", "index": "exact"}
    for name, recall in (("tokyo247", 62.5), ("msls-challenge", None)):
        rows = make_frame([{"test_set": name, "k": 1, "recall": recall, **counts}], schemas.RECALLS)
        recipe = Recipe("evaluation", name, 1, {}, {"model": model.digests.digest})
        with publishing(tmp_path / "artifacts", recipe, {"made": "recalls"}) as staging:
            write_table(rows, staging / "recalls" / "recalls.parquet", schemas.RECALLS)
    card = (_export(model, "hf") / "README.md").read_text()
    assert "value: 62.5" in card
    assert ("tokyo247" in card, "msls-challenge" in card) == (True, False)


def test_missing_packages_and_models_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"No model given. Pass --model"):
        ExportSettings()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for format_, package in (("onnx", "onnxscript"), ("safetensors", "safetensors")):
        with pytest.raises(UserError, match=f"format = {format_}: the package {package} is not installed: pip install"):
            ExportSettings("model.pth", format_)
    assert dataclasses.asdict(ExportSettings("model.pth", "torch"))["format"] == "torch"
