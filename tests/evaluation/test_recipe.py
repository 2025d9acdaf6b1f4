import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from data_manifest.images.image_size import ImageSize
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from evaluation.recipe import (
    ImageDigests,
    ModelDigests,
    comparison_recipe,
    descriptors_recipe,
    evaluation_recipe,
    evaluation_settings,
    validation_settings,
)
from evaluation.settings import EvaluationSettings, Extraction, RetrievalSettings, Threshold
from evaluation.test_sets.named_sets import NAMED_SETS

MODEL = ModelDigests("0123456789abcdef", "fedcba9876543210", "ResNet18", 512)
PLAIN = Extraction()
DATABASE, QUERIES = ImageDigests("database", "files"), ImageDigests("queries", "other files")


def digest_with(
    model: ModelDigests = MODEL,
    database: ImageDigests = DATABASE,
    queries: ImageDigests = QUERIES,
    extraction: Extraction = PLAIN,
    **options: Any,
) -> str:
    settings = evaluation_settings(extraction, **options)
    return evaluation_recipe("city-test-queries_v1", model, database, queries, settings).digest


def test_paths_literally() -> None:
    evaluation = evaluation_recipe("city", MODEL, DATABASE, QUERIES, evaluation_settings(PLAIN))
    descriptors = descriptors_recipe("city", MODEL, DATABASE, PLAIN)
    comparison = comparison_recipe([("city", "0123"), ("town", "4567")])
    assert [str(recipe.folder(Path("artifacts"))) for recipe in (evaluation, descriptors, comparison)] == [
        "artifacts/evaluation/city/d36940a7c15ba216",
        "artifacts/descriptors/city/adeed88b737b5dc1",
        "artifacts/comparison/test-sets/a006c71a888abe06",
    ]


def test_the_settings_of_validation_literally() -> None:
    assert validation_settings(PLAIN, 25) == {"positive_dist_threshold": 25.0, "resized_to": None}


def test_the_defaults_are_those_of_the_settings() -> None:
    evaluation, retrieval = EvaluationSettings(), RetrievalSettings()
    threshold = Threshold(evaluation.positive_dist_threshold, retrieval.positive_dist_unit)
    extraction = evaluation.extraction(ImageSize(512, 512), precision=retrieval.infer_precision)
    assert extraction == PLAIN
    assert evaluation_settings(extraction, threshold, retrieval.index, retrieval.ks) == evaluation_settings(PLAIN)


def test_what_gives_another_evaluation() -> None:
    others = [
        digest_with(dataclasses.replace(MODEL, digest="another")),
        digest_with(dataclasses.replace(MODEL, weights="trained again")),
        digest_with(dataclasses.replace(MODEL, backbone="ResNet50")),
        digest_with(threshold=Threshold(10.0)),
        digest_with(extraction=Extraction(512)),
        digest_with(extraction=Extraction(224)),
        digest_with(extraction=Extraction(precision="bf16")),
        digest_with(index="hnsw"),
        digest_with(recall_values=(1, 2)),
        digest_with(threshold=Threshold(25.0, "frames")),
        digest_with(named=NAMED_SETS["sf-xl-v1"]),
        digest_with(named=NAMED_SETS["nordland"]),
        digest_with(database=ImageDigests("database", "changed files")),
        digest_with(database=ImageDigests("other database", "files")),
        digest_with(queries=ImageDigests("queries", "changed files")),
        digest_with(database=ImageDigests("database", "other files"), queries=ImageDigests("queries", "files")),
    ]
    assert len({digest_with(), *others}) == 1 + len(others)


def test_what_gives_other_descriptors() -> None:
    same = ("city", MODEL, DATABASE, PLAIN)
    others = [
        ("city", dataclasses.replace(MODEL, digest="another"), DATABASE, PLAIN),
        ("city", dataclasses.replace(MODEL, weights="trained again"), DATABASE, PLAIN),
        ("city", MODEL, ImageDigests("other images", "files"), PLAIN),
        ("city", MODEL, ImageDigests("database", "changed files"), PLAIN),
        ("city", MODEL, DATABASE, Extraction(512)),
        ("city", MODEL, DATABASE, Extraction(precision="bf16")),
    ]
    assert len({descriptors_recipe(*each).digest for each in (same, *others)}) == 1 + len(others)
    assert descriptors_recipe("town", *same[1:]).digest == descriptors_recipe(*same).digest


def test_what_changes_nothing() -> None:
    assert digest_with() == digest_with(extraction=Extraction(batch_size=1, device="cpu", num_workers=0))
    named = NAMED_SETS["sf-xl-v1"]
    assert digest_with(named=named) == digest_with(named=named, threshold=Threshold(10.0)), "it has its own threshold"


def test_other_files_of_weights_are_identified_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    (tmp_path / "b.pth").write_bytes(b"weights")
    assert ModelDigests.of(tmp_path / "a.pth", "ResNet18", 512) == ModelDigests.of(tmp_path / "b.pth", "ResNet18", 512)


@pytest.mark.parametrize("summary", [{}, {"weights": hashlib.sha256(b"weights").hexdigest()[:16]}])
def test_a_published_training_is_identified_by_its_digest(summary: dict[str, str], tmp_path: Path) -> None:
    recipe = Recipe("training", "city", 1, {"backbone": "VGG16", "fc_output_dim": 64}, {})
    content = hashlib.sha256(b"weights").hexdigest()[:16]
    with publishing(tmp_path, recipe, summary) as staging:
        (staging / "model.pth").write_bytes(b"weights")
    published = ModelDigests.of(recipe.folder(tmp_path) / "model.pth", "VGG16", 64)
    assert published == ModelDigests(recipe.digest, content, "VGG16", 64)
