import os
import shutil
from pathlib import Path

import pytest

from data_manifest.store.publish import publishing
from data_manifest.store.recipe import read_recipe
from evaluation.recipe import ImageDigests, comparison_recipe
from evaluation.report.sources import Sources
from tests.evaluation.report.conftest import MODEL_DIGEST, Town, publish_evaluation


def test_images_to_train_on_may_be_those_that_were_verified(town: Town, tmp_path: Path) -> None:
    """A manifest without its bad images is an artifact of another stage."""
    artifacts = shutil.copytree(town.artifacts, tmp_path / "artifacts", symlinks=True)
    evaluation = artifacts / town.evaluation.relative_to(town.artifacts)
    plain = Sources.of(evaluation, artifacts).train_images
    assert plain is not None
    (artifacts / "verified").mkdir()
    (artifacts / "manifest" / "town-train").rename(artifacts / "verified" / "town-train")
    verified = Sources.of(evaluation, artifacts).train_images
    assert verified is not None
    assert verified.folder == artifacts / "verified" / "town-train" / plain.folder.name


@pytest.mark.parametrize(("is_copy", "is_moved"), [(True, False), (False, False), (False, True)])
def test_test_sets_with_the_same_names_of_images(town: Town, tmp_path: Path, is_copy: bool, is_moved: bool) -> None:
    artifacts = shutil.copytree(town.artifacts, tmp_path / "artifacts", symlinks=True)
    shutil.copytree(town.images / "test", tmp_path / "twin" / "test")
    if not is_copy:
        for path in (tmp_path / "twin").rglob("*.jpg"):
            os.utime(path, (1_600_000_000, 1_600_000_000))
    names = {"database": "town-test-database", "queries": "town-test-queries_v1"}
    manifests = {role: (artifacts / "manifest" / name / "current").resolve() for role, name in names.items()}
    evaluations = [
        publish_evaluation(images, artifacts, manifests, MODEL_DIGEST, name)
        for images, name in ((town.images, "town"), (tmp_path / "twin", "a-twin"))
    ]
    comparison = comparison_recipe([(folder.parent.name, folder.name) for folder in evaluations])
    with publishing(artifacts, comparison, {"made": "recalls"}):
        pass
    expected, given = [town.queries, tmp_path / "twin" / "test" / "queries_v1"], dict[ImageDigests, Path]()
    if is_moved:
        expected[1] = expected[1].rename(tmp_path / "elsewhere")
        inputs = read_recipe(evaluations[1])["inputs"]
        given[ImageDigests(inputs["queries"], inputs["queries_files"])] = expected[1]
    tested = Sources.of(comparison.folder(artifacts), artifacts, given).tested
    assert [each.name for each in tested] == ["town", "a-twin"]
    assert [each.queries.folder for each in tested] == expected
