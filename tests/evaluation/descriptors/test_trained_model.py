from pathlib import Path

import pytest
import torch

from data_manifest.errors import UserError
from evaluation.descriptors.trained_model import TrainedModel, find_model
from tests.evaluation.conftest import BACKBONE, DIM


def test_a_training_or_a_file_is_found(training: Path, tmp_path: Path) -> None:
    model = TrainedModel(training / "model.pth", BACKBONE, DIM)
    for path in (training, training.parent, training / "model.pth"):
        assert find_model(path) == model
    (tmp_path / "copied.pth").write_bytes((training / "model.pth").read_bytes())
    assert find_model(tmp_path / "copied.pth") == TrainedModel(tmp_path / "copied.pth", BACKBONE, DIM)


def test_other_paths_are_errors(training: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        find_model(tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"is not a training: no model\.pth"):
        find_model(training.parents[1])
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth seems to hold .* Give a file of a CosPlace network"):
        find_model(tmp_path / "weights.pth")
    assert find_model(tmp_path / "weights.pth", "VGG16", 64) == TrainedModel(tmp_path / "weights.pth", "VGG16", 64)


def test_grayscale_rejects_weights_for_colour_images(training: Path) -> None:
    with pytest.raises(UserError, match="is a model for colour images"):
        _ = TrainedModel(training / "model.pth", BACKBONE, DIM, grayscale=True).network
