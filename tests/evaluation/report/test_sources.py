import shutil
from pathlib import Path

from evaluation.report.sources import Sources
from tests.evaluation.report.conftest import Town


def test_images_to_train_on_may_be_those_that_were_verified(town: Town, tmp_path: Path) -> None:
    """A manifest without its bad images is an artefact of another stage."""
    artifacts = shutil.copytree(town.artifacts, tmp_path / "artifacts", symlinks=True)
    evaluation = artifacts / town.evaluation.relative_to(town.artifacts)
    plain = Sources.of(evaluation, artifacts).train_images
    assert plain is not None
    (artifacts / "verified").mkdir()
    (artifacts / "manifest" / "town-train").rename(artifacts / "verified" / "town-train")
    verified = Sources.of(evaluation, artifacts).train_images
    assert verified is not None
    assert verified.folder == artifacts / "verified" / "town-train" / plain.folder.name
