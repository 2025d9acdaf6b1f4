"""Exports in fp16 and int8: similarity to torch, file size, and the recall lost on an evaluation."""

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.linalg import norm

from data_manifest.errors import UserError
from data_manifest.images import file_states
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel, find_model
from evaluation.evaluate_cosplace import evaluate_cosplace
from export import reduced_precision
from export.evaluations import evaluation_to_repeat, evaluations_of
from export.export_model import export_model, export_recipe
from export.recall_lost import find_unchanged
from export.reduced_precision import reduce_precision
from export.settings import UINT8, ExportSettings
from tests.evaluation.conftest import COLOURS, list_images, name, on_cpu, pattern
from tests.export.conftest import save_model
from tests.helpers import needs_exporter
from training.network.weights import load_model

onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
PRECISIONS = [("fp16", 0.6, 0.9995), ("int8", 0.35, 0.98)]  # size against the full file, lowest cosine of any CPU


@pytest.fixture(autouse=True)
def _trust_young_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)


@pytest.fixture
def model(tmp_path: Path) -> TrainedModel:
    save_model(tmp_path / "model.pth")
    return find_model(tmp_path / "model.pth")


def list_city(tmp_path: Path, part: str) -> ImageList:
    """Return the manifest of images of a few colours, 100 metres apart."""
    folder = tmp_path / "city" / part
    folder.mkdir(parents=True)
    for number, colour in enumerate(COLOURS.values()):
        pattern(colour, (96, 72)).save(folder / name(number))
    return list_images(folder, tmp_path / "artifacts")


def evaluate(model: TrainedModel, tmp_path: Path) -> Path:
    database, queries = (list_city(tmp_path, part) for part in ("database", "queries"))
    return evaluate_cosplace(model, database, queries, tmp_path / "artifacts", on_cpu(4))


def export(model: TrainedModel, tmp_path: Path, **settings: Any) -> Path:
    photos = tmp_path / "city/database"
    if not photos.exists():
        photos.mkdir(parents=True)
        pattern(COLOURS["red"], (96, 72)).save(photos / "photo.png")
    return export_model(model, tmp_path / "artifacts", ExportSettings(str(model.path), check_photos=photos, **settings))


@needs_exporter
@pytest.mark.parametrize(("precision", "size", "cosine"), PRECISIONS)
def test_file_is_smaller_and_its_descriptors_are_close(
    full: Path, tmp_path: Path, precision: str, size: float, cosine: float
) -> None:
    file = Path(shutil.copy(full / "model.onnx", tmp_path))
    for number, colour in enumerate(COLOURS.values()):
        pattern(colour, (96, 72)).save(tmp_path / f"{number}.png")
    found = reduce_precision(load_model(full), file, tmp_path, UINT8, precision)
    assert file.stat().st_size < size * (full / "model.onnx").stat().st_size
    images = np.stack([np.asarray(pattern(each, (80, 64)), np.uint8).transpose(2, 0, 1) for each in COLOURS.values()])
    some, other = (
        onnxruntime.InferenceSession(path).run(None, {"images": images})[0] for path in (full / "model.onnx", file)
    )
    cosines = (some * other).sum(axis=1) / norm(some, axis=1) / norm(other, axis=1)
    assert min(cosines.min(), found.lowest) > cosine
    assert other.dtype == np.float32
    np.testing.assert_allclose(norm(other, axis=1), 1, atol=1e-3)


@needs_exporter
@pytest.mark.usefixtures("exported_before")
def test_recalls_are_those_of_an_evaluation_of_the_exported_file(tmp_path: Path, model: TrainedModel) -> None:
    evaluation = evaluate(model, tmp_path)
    exported = export(model, tmp_path, onnx_precision="int8")
    summary = read_recipe(exported)["summary"]["made"]
    stated = {entry.key: entry.value for entry in onnx.load(exported / "model.onnx").metadata_props}
    assert (stated["precision"], stated["name"]) == ("int8", "SqueezeNet1_1")
    inputs, artifacts = read_recipe(evaluation)["inputs"], tmp_path / "artifacts"
    database, queries = (
        ImageList(next(artifacts.glob(f"manifest/*/{inputs[role]}")), tmp_path / "city" / role)
        for role in ("database", "queries")
    )
    again = read_recipe(evaluate_cosplace(find_model(exported), database, queries, artifacts, on_cpu(4)))
    measured = re.findall(r"R@\d+ [0-9.]+ -> ([0-9.]+)", summary)
    assert measured == re.findall(r"R@\d+ ([0-9.]+)", again["summary"]["made"])
    assert len(measured) == 4
    assert read_recipe(exported)["inputs"]["evaluations"] == [evaluation.name]


@needs_exporter
@pytest.mark.usefixtures("exported_before")
def test_recall_without_an_evaluation_is_not_measured(
    tmp_path: Path, model: TrainedModel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO):
        exported = export(model, tmp_path, onnx_precision="fp16")
    assert "The recall lost by fp16 was not measured" in caplog.text
    assert "R@" not in read_recipe(exported)["summary"]["made"]
    monkeypatch.setattr(reduced_precision, "MIN_COSINE", 1.1)
    with pytest.raises(UserError, match=r"In int8, a descriptor of .*database has a cosine of .* no file was written"):
        export(model, tmp_path, onnx_precision="int8")
    assert {path.name for path in exported.parent.iterdir()} == {"current", exported.name}


def test_evaluation_of_another_model_is_an_error(tmp_path: Path, model: TrainedModel) -> None:
    evaluation = evaluate(model, tmp_path)
    save_model(tmp_path / "other/model.pth", seed=4)
    with pytest.raises(UserError, match=r"evaluation = .*: it is not of .*other/model.pth. Give an evaluation of this"):
        export(find_model(tmp_path / "other/model.pth"), tmp_path, onnx_precision="int8", evaluation=evaluation)


def test_other_or_changed_photos_make_another_export(tmp_path: Path, model: TrainedModel) -> None:
    def digest(folder: str, **settings: Any) -> str:
        return export_recipe(
            model, tmp_path, ExportSettings("model", check_photos=tmp_path / folder, **settings)
        ).digest

    for folder, colour in (("some", "red"), ("other", "blue")):
        (tmp_path / folder).mkdir()
        pattern(COLOURS[colour], (96, 72)).save(tmp_path / folder / f"{folder}.png")
    before = digest("some")
    assert len({before, digest("other"), digest("some", onnx_precision="int8")}) == 3
    assert digest("some") == before
    pattern(COLOURS["green"], (50, 40)).save(tmp_path / "some/some.png")
    assert digest("some") != before
    with pytest.raises(UserError, match=r"nowhere: no such file or folder"):
        digest("nowhere")


def test_only_recalls_in_fp32_by_exact_search_are_repeated(tmp_path: Path, model: TrainedModel) -> None:
    artifacts, published = tmp_path / "artifacts", []
    for settings in ({}, {"index": "hnsw"}, {"infer_precision": "bf16"}, {"test_set": "msls-challenge"}):
        recipe = Recipe("evaluation", "town", 1, settings, {"model": model.digests.digest})
        with publishing(artifacts, recipe, {"made": "recalls"}):
            published.append(recipe.folder(artifacts))
    for number, folder in enumerate(published):  # the newest is last
        os.utime(folder, (1_500_000_000 + number,) * 2)
    assert evaluation_to_repeat(model, artifacts, None) == evaluations_of(model, artifacts) == published[:1]
    for folder, reason in zip(
        published[1:], ("index = hnsw", "infer_precision = bf16", "no ground truth"), strict=True
    ):
        with pytest.raises(UserError, match=f"evaluation = .*{reason}. Give an evaluation in fp32 by exact search"):
            evaluation_to_repeat(model, artifacts, folder)


def test_recalls_of_changed_images_are_not_compared(tmp_path: Path, model: TrainedModel) -> None:
    evaluation = evaluate(model, tmp_path)
    pattern(COLOURS["green"], (50, 40)).save(tmp_path / "city/queries" / name(0))
    with pytest.raises(UserError, match=r"city/queries: images have changed since .* Evaluate the model again"):
        find_unchanged(evaluation, tmp_path / "artifacts")


def test_settings_without_effect_are_errors() -> None:
    with pytest.raises(UserError, match=r"onnx_precision = int8: no effect with format = torch; leave it out"):
        ExportSettings("model.pth", "torch", onnx_precision="int8")
    with pytest.raises(UserError, match=r"check_photos = photos: no effect with format = hf; leave it out"):
        ExportSettings("model.pth", "hf", check_photos=Path("photos"))
    with pytest.raises(UserError, match=r"onnx_input = float32: no effect with format = torch; leave it out"):
        ExportSettings("model.pth", "torch", onnx_input="float32")
    with pytest.raises(UserError, match=r"evaluation = some: only --onnx-precision fp16 or int8 uses it"):
        ExportSettings("model.pth", evaluation=Path("some"))
