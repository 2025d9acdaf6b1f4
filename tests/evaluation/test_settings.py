import subprocess
import sys

import pytest

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from evaluation.settings import EvaluationSettings, RetrievalSettings


def test_defaults_are_those_of_the_published_code() -> None:
    assert EvaluationSettings().as_dict() == {
        "positive_dist_threshold": 25.0,
        "resize_test_imgs": False,
        "infer_batch_size": 16,
    }


@pytest.mark.parametrize(("name", "value"), [("positive_dist_threshold", -1), ("infer_batch_size", 0)])
def test_a_value_that_cannot_work_is_an_error(name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"{name} = {value}"):
        EvaluationSettings(**{name: value})  # type: ignore[arg-type]


def test_a_threshold_of_zero_metres_is_allowed() -> None:
    assert EvaluationSettings(positive_dist_threshold=0).positive_dist_threshold == 0.0


def test_settings_and_recipes_import_neither_torch_nor_faiss() -> None:
    code = "import sys, evaluation.recipe; sys.exit(any(name in sys.modules for name in ('torch', 'faiss')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_test_images_are_resized_by_the_shorter_side() -> None:
    resize = EvaluationSettings(resize_test_imgs=True)
    assert [resize.extraction(size).resized_to for size in (ImageSize(48, 64), ImageSize(64, 48))] == [48, 48]
    assert EvaluationSettings().extraction(ImageSize(48, 64)).resized_to is None


def test_recall_values_are_sorted_and_unique() -> None:
    assert RetrievalSettings(recall_values="10, 1,5 ,1") == RetrievalSettings(recall_values="1,5,10")
    assert RetrievalSettings(recall_values="100").ks == (100,)
    for wrong in ("", "0,1", "1;5", "one", "-1"):
        with pytest.raises(UserError, match=r"recall_values = .*expected whole numbers"):
            RetrievalSettings(recall_values=wrong)


@pytest.mark.parametrize("name", ["infer_precision", "index", "positive_dist_unit"])
def test_an_unknown_choice_is_an_error(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} = 'other': choose one of"):
        RetrievalSettings(**{name: "other"})
