import os
import shutil
from pathlib import Path

import pytest

from data_manifest.store.publish import publishing
from data_manifest.store.recipe import read_recipe
from evaluation.recipe import ImageDigests, comparison_recipe
from evaluation.report.find_inputs import find_inputs
from tests.evaluation.report.conftest import MODEL_DIGEST, Town, publish_evaluation


def test_train_images_may_be_a_verified_manifest(town: Town, tmp_path: Path) -> None:
    """A manifest without bad images is an artifact of another stage."""
    artifacts = shutil.copytree(town.artifacts, tmp_path / "artifacts", symlinks=True)
    evaluation = artifacts / town.evaluation.relative_to(town.artifacts)
    plain = find_inputs(evaluation, artifacts).train_images
    assert plain is not None
    (artifacts / "verified").mkdir()
    (artifacts / "manifest" / "town-train").rename(artifacts / "verified" / "town-train")
    verified = find_inputs(evaluation, artifacts).train_images
    assert verified is not None
    assert verified.folder == artifacts / "verified" / "town-train" / plain.folder.name


@pytest.mark.parametrize(("is_copy", "is_moved"), [(True, False), (False, False), (False, True)])
def test_sets_with_equal_image_names_keep_their_folders(
    town: Town, tmp_path: Path, is_copy: bool, is_moved: bool
) -> None:
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
    tested = find_inputs(comparison.folder(artifacts), artifacts, given).test_sets
    assert [each.name for each in tested] == ["town", "a-twin"]
    assert [each.queries.folder for each in tested] == expected
