"""What makes another evaluation."""

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from evaluation.recipe import (
    ImageDigests,
    Model,
    comparison_recipe,
    decisive_settings,
    descriptors_recipe,
    evaluation_recipe,
    given_model,
    recipe_settings,
    size_for,
)
from evaluation.settings import EvaluationSettings, RetrievalSettings
from evaluation.test_sets.named_sets import NAMED_SETS, NamedSet
from training.network.settings import NetworkSettings
from training.network.weights import build_network, save_network

MODEL = Model("0123456789abcdef", "fedcba9876543210", "ResNet18", 512)
DATABASE, QUERIES = ImageDigests("database", "files"), ImageDigests("queries", "other files")


def digest_with(
    model: Model = MODEL,
    settings: EvaluationSettings | None = None,
    image_size: int = 512,
    retrieval: RetrievalSettings | None = None,
    named: NamedSet | None = None,
    database: ImageDigests = DATABASE,
    queries: ImageDigests = QUERIES,
) -> str:
    decisive = recipe_settings(settings or EvaluationSettings(), image_size, retrieval or RetrievalSettings(), named)
    return evaluation_recipe("city-test-queries_v1", model, database, queries, decisive).digest


def test_the_paths_literally() -> None:
    settings = recipe_settings(EvaluationSettings(), 512, RetrievalSettings(), None)
    evaluation = evaluation_recipe("city", MODEL, DATABASE, QUERIES, settings)
    descriptors = descriptors_recipe("city", MODEL, DATABASE, None, "fp32")
    comparison = comparison_recipe([("city", "0123"), ("town", "4567")])
    assert [str(recipe.folder(Path("artifacts"))) for recipe in (evaluation, descriptors, comparison)] == [
        "artifacts/evaluation/city/d049259205857282",
        "artifacts/descriptors/city/adeed88b737b5dc1",
        "artifacts/comparison/test-sets/68942eb5bd3cfb16",
    ]


def test_what_training_validates_with_keeps_its_digest() -> None:
    assert decisive_settings(EvaluationSettings(), 512) == {"positive_dist_threshold": 25.0, "resized_to": None}


def test_what_matters() -> None:
    resized = EvaluationSettings(resize_test_imgs=True)
    others = [
        digest_with(dataclasses.replace(MODEL, digest="another")),
        digest_with(dataclasses.replace(MODEL, weights="trained again")),
        digest_with(dataclasses.replace(MODEL, backbone="ResNet50")),
        digest_with(settings=EvaluationSettings(positive_dist_threshold=10)),
        digest_with(settings=resized),
        digest_with(settings=resized, image_size=224),
        digest_with(retrieval=RetrievalSettings(infer_precision="bf16")),
        digest_with(retrieval=RetrievalSettings(index="hnsw")),
        digest_with(retrieval=RetrievalSettings(recall_values="1,2")),
        digest_with(retrieval=RetrievalSettings(positive_dist_unit="frames")),
        digest_with(named=NAMED_SETS["sf-xl-v1"]),
        digest_with(named=NAMED_SETS["nordland"]),
        digest_with(database=ImageDigests("database", "changed files")),
        digest_with(database=ImageDigests("other database", "files")),
        digest_with(queries=ImageDigests("queries", "changed files")),
        digest_with(database=ImageDigests("database", "other files"), queries=ImageDigests("queries", "files")),
    ]
    assert len({digest_with(), *others}) == 1 + len(others)


def test_what_makes_other_descriptors() -> None:
    same = ("city", MODEL, DATABASE, None, "fp32")
    others = [
        ("city", dataclasses.replace(MODEL, digest="another"), DATABASE, None, "fp32"),
        ("city", dataclasses.replace(MODEL, weights="trained again"), DATABASE, None, "fp32"),
        ("city", MODEL, ImageDigests("other images", "files"), None, "fp32"),
        ("city", MODEL, ImageDigests("database", "changed files"), None, "fp32"),
        ("city", MODEL, DATABASE, 512, "fp32"),
        ("city", MODEL, DATABASE, None, "bf16"),
    ]
    assert len({descriptors_recipe(*each).digest for each in (same, *others)}) == 1 + len(others)
    assert descriptors_recipe("town", *same[1:]).digest == descriptors_recipe(*same).digest


def test_what_does_not_matter() -> None:
    assert digest_with() == digest_with(settings=EvaluationSettings(infer_batch_size=1)) == digest_with(image_size=224)
    at_ten_metres = EvaluationSettings(positive_dist_threshold=10)
    named = NAMED_SETS["sf-xl-v1"]
    assert digest_with(named=named) == digest_with(named=named, settings=at_ten_metres), "it has a threshold of its own"


def test_weights_of_ones_own_count_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    (tmp_path / "b.pth").write_bytes(b"weights")
    assert Model.of(tmp_path / "a.pth", "ResNet18", 512) == Model.of(tmp_path / "b.pth", "ResNet18", 512)


def test_the_size_that_images_are_resized_to(tmp_path: Path) -> None:
    model, resize = tmp_path / "model.pth", EvaluationSettings(resize_test_imgs=True)
    assert size_for(model, EvaluationSettings(), None) == ImageSize(512, 512), "the file is not even looked at"
    assert size_for(model, resize, 320) == ImageSize(320, 320)
    network = build_network(NetworkSettings("SqueezeNet1_1", 8, backbone_weights="none"), image_size=ImageSize(48, 64))
    save_network(network, model)
    assert size_for(model, resize, None) == ImageSize(48, 64)
    assert size_for(model, resize, 512) == ImageSize(512, 512), "what is asked for counts"
    torch.save(dict(network.state_dict()), model)
    assert size_for(model, resize, None) == ImageSize(512, 512)


def test_a_size_counts_by_the_shorter_side_that_images_are_resized_to() -> None:
    resize = EvaluationSettings(resize_test_imgs=True)
    assert decisive_settings(resize, ImageSize(48, 64)) == decisive_settings(resize, 48)
    assert decisive_settings(resize, ImageSize(64, 48))["resized_to"] == 48


@pytest.mark.parametrize("summary", [{}, {"weights": hashlib.sha256(b"weights").hexdigest()[:16]}])
def test_a_published_training_says_which_network_it_is_and_other_files_do_not(
    summary: dict[str, str], tmp_path: Path
) -> None:
    recipe = Recipe("training", "city", 1, {"backbone": "VGG16", "fc_output_dim": 64}, {})
    content = hashlib.sha256(b"weights").hexdigest()[:16]
    with publishing(tmp_path, recipe, summary) as staging:
        (staging / "model.pth").write_bytes(b"weights")
    published, file = recipe.folder(tmp_path) / "model.pth", tmp_path / "model.pth"
    file.write_bytes(b"weights")
    defaults = ("ResNet18", 512)
    for asked in (defaults, ("VGG16", 64)):
        assert given_model(published, *asked, defaults) == Model(recipe.digest, content, "VGG16", 64)
        assert given_model(file, *asked, defaults) == Model(content, content, *asked)
    with pytest.raises(UserError, match=r"^fc_output_dim = 32: .* has 64; leave it out, or give another model$"):
        given_model(published, "ResNet18", 32, defaults)
