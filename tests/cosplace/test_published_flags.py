"""Flags of the published command line."""

import pytest

from cosplace.published_flags import translate
from data_manifest.errors import UserError


def test_renamed_flags_are_accepted() -> None:
    assert translate([]) == []
    assert translate(["--train_set_folder", "a", "--val_set_folder=b_c", "--M", "10"]) == [
        *("--train-folder", "a", "--val-folder=b_c", "--M", "10")
    ]


@pytest.mark.parametrize(
    ("flag", "answer"),
    [
        ("--save_dir", "--artifacts-folder"),
        ("--resume_train", "Run the same command again"),
        ("--num_preds_to_save=3", "--report-queries"),
        ("--save-only-wrong-preds", "filter"),
    ],
)
def test_other_flags_are_answered(flag: str, answer: str) -> None:
    with pytest.raises(UserError, match=answer):
        translate([flag, "value"])


@pytest.mark.parametrize("words", [["--resume_model", "torchhub"], ["--resume_model=torchhub"]])
def test_torchhub_is_answered_with_the_official_name(words: list[str]) -> None:
    with pytest.raises(UserError, match="cosplace evaluate ResNet50-512"):
        translate([*words, "--backbone", "ResNet50"])
    assert translate(["--resume_model", "best_model.pth"]) == ["--resume_model", "best_model.pth"]
