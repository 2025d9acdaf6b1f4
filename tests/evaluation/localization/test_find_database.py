from pathlib import Path

import pytest

from data_manifest.errors import UserError
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.find_database import find_database
from tests.evaluation.conftest import on_cpu


def test_an_evaluation_and_its_descriptors_have_the_same_database(
    evaluation: Path, model: TrainedModel, artifacts: Path
) -> None:
    database = find_database(evaluation.parent, model, device="cpu", num_workers=0)
    assert database.extraction == on_cpu(16)
    assert database.index is None
    assert find_database(database.descriptors, model, device="cpu", num_workers=0) == database
    assert find_database(evaluation, model, "hnsw", device="cpu").index is not None


def test_other_artifacts_and_indexes_are_errors(evaluation: Path, training: Path, model: TrainedModel) -> None:
    with pytest.raises(UserError, match="stage training"):
        find_database(training, model)
    with pytest.raises(UserError, match="index = 'flat'"):
        find_database(evaluation, model, "flat")
