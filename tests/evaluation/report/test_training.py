from typing import Any

import polars as pl
import pytest

from evaluation.report.style import conventions
from evaluation.report.training import plot_loss, plot_recalls, plot_throughput, resumed_at


def metrics(resumes: list[int], **columns: Any) -> pl.DataFrame:
    number = len(resumes)
    every = {
        **{"epoch": list(range(1, number + 1)), "group_index": [0] * number, "loss": [9.0] * number},
        **{f"recall_{k}": [50.0 + k] * number for k in (1, 5, 10, 20)},
        **{"images_per_second": [80.0] * number, "data_wait_share": [0.1] * number, "resumes": resumes},
    }
    return pl.DataFrame({**every, **columns})


@pytest.mark.parametrize(
    ("resumes", "epochs"), [([0, 0, 0], []), ([0, 1, 1, 2], [2, 4]), ([1, 1], [1]), ([0, 3, 3], [2])]
)
def test_where_a_run_was_resumed(resumes: list[int], epochs: list[int]) -> None:
    assert resumed_at(metrics(resumes)) == epochs
    with conventions():
        assert plot_loss(metrics(resumes)).svg().count(">resumed<") == len(epochs)


def test_recalls_that_are_not_known_are_not_drawn() -> None:
    with conventions():
        plot = plot_recalls(metrics([0, 0], recall_20=[None, None]))
        assert plot_recalls(metrics([0], **dict.fromkeys(("recall_1", "recall_5", "recall_10", "recall_20")))) is None
    assert plot is not None
    assert plot.data.columns == ["epoch", "recall_1", "recall_5", "recall_10"]


def test_the_mean_throughput_is_told() -> None:
    with conventions():
        plot = plot_throughput(metrics([0, 0], images_per_second=[100.0, 200.0], data_wait_share=[0.2, 0.4]))
    assert "150 images a second" in plot.alt
    assert plot.note == "30% of the time was spent waiting for images."
