"""Flags of the published command line."""

import pytest

from cosplace.published_flags import translate
from data_manifest.errors import UserError


def test_renamed_flags_are_accepted() -> None:
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
