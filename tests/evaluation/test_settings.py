import subprocess
import sys

import pytest

from data_manifest.errors import UserError
from evaluation.settings import EvaluationSettings


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
