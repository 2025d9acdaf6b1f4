"""What makes another evaluation."""

from pathlib import Path

from evaluation.recipe import Model, decisive_settings, evaluation_recipe, model_digest
from evaluation.settings import EvaluationSettings

MODEL = Model("0123456789abcdef", "ResNet18", 512)


def digest_with(model: Model = MODEL, settings: EvaluationSettings | None = None, image_size: int = 512) -> str:
    decisive = decisive_settings(settings or EvaluationSettings(), image_size)
    return evaluation_recipe("city-test-queries_v1", model, "database", "queries", decisive).digest


def test_the_path_literally() -> None:
    recipe = evaluation_recipe("city", MODEL, "database", "queries", decisive_settings(EvaluationSettings(), 512))
    assert recipe.folder(Path("artifacts")) == Path("artifacts/evaluation/city/1da59c1f1e9ec17f")


def test_what_matters() -> None:
    resized = EvaluationSettings(resize_test_imgs=True)
    others = [
        digest_with(Model("another", "ResNet18", 512)),
        digest_with(Model("0123456789abcdef", "ResNet50", 512)),
        digest_with(settings=EvaluationSettings(positive_dist_threshold=10)),
        digest_with(settings=resized),
        digest_with(settings=resized, image_size=224),
    ]
    assert len({digest_with(), *others}) == 1 + len(others)


def test_what_does_not_matter() -> None:
    assert digest_with() == digest_with(settings=EvaluationSettings(infer_batch_size=1)) == digest_with(image_size=224)


def test_weights_of_ones_own_count_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    (tmp_path / "b.pth").write_bytes(b"weights")
    assert model_digest(tmp_path / "a.pth") == model_digest(tmp_path / "b.pth")
