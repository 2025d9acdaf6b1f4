import subprocess
import sys

import pytest

from data_manifest.errors import UserError
from evaluation.settings import EvaluationSettings, RetrievalSettings


def test_defaults_are_those_of_the_published_code() -> None:
    assert EvaluationSettings().as_dict() == {
        "positive_dist_threshold": 25.0,
        "resize_test_imgs": False,
        "infer_batch_size": 16,
    }


@pytest.mark.parametrize(("name", "value"), [("positive_dist_threshold", -1), ("infer_batch_size", 0)])
def test_what_cannot_work_is_refused_with_its_value(name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"{name} = {value}"):
        EvaluationSettings(**{name: value})  # type: ignore[arg-type]


def test_a_threshold_of_zero_metres_is_allowed() -> None:
    assert EvaluationSettings(positive_dist_threshold=0).positive_dist_threshold == 0.0


def test_settings_import_neither_torch_nor_faiss() -> None:
    code = "import sys, evaluation.settings; sys.exit(any(name in sys.modules for name in ('torch', 'faiss')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_recall_values_that_mean_the_same_are_the_same() -> None:
    assert RetrievalSettings(recall_values="10, 1,5 ,1") == RetrievalSettings(recall_values="1,5,10")
    assert RetrievalSettings(recall_values="100").ks == (100,)
    for wrong in ("", "0,1", "1;5", "one", "-1"):
        with pytest.raises(UserError, match=r"recall_values = .*expected whole numbers"):
            RetrievalSettings(recall_values=wrong)


@pytest.mark.parametrize("name", ["infer_precision", "index", "positive_dist_unit"])
def test_what_cannot_be_chosen_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} = 'other': choose one of"):
        RetrievalSettings(**{name: "other"})
