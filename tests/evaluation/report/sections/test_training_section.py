from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest import schemas
from data_manifest.tables import write_table
from evaluation.report.find_inputs import Artifact, ReportInputs
from evaluation.report.page.blocks import Charts, Table
from evaluation.report.sections.training_section import (
    plot_loss,
    plot_recalls,
    plot_throughput,
    resumed_at,
    training_section,
)
from tests.evaluation.report.conftest import table


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
def test_resumed_epochs_are_marked(resumes: list[int], epochs: list[int]) -> None:
    assert resumed_at(metrics(resumes)) == epochs
    dashed = [line for line in plot_loss(metrics(resumes)).figure.axes[0].lines if line.is_dashed()]
    assert [line.get_xdata()[0] for line in dashed] == [epoch - 0.5 for epoch in epochs]  # type: ignore[index]


def test_unknown_recalls_are_not_drawn() -> None:
    plot = plot_recalls(metrics([0, 0], recall_20=[None, None]))
    assert plot_recalls(metrics([0], **dict.fromkeys(("recall_1", "recall_5", "recall_10", "recall_20")))) is None
    assert plot is not None
    assert plot.data.columns == ["epoch", "recall_1", "recall_5", "recall_10"]


def test_throughput_is_averaged() -> None:
    plot = plot_throughput(metrics([0, 0], images_per_second=[100.0, 200.0], data_wait_share=[0.2, 0.4]))
    assert "150 images per second" in plot.alt
    assert plot.note == "30 % of the time was spent waiting for images."


@pytest.mark.parametrize(
    ("recalls", "published", "alt"),
    [
        ([0.0, 0.0, 0.0], 3, "R@1 is always 0."),
        ([0.0, 20.0, 20.0], 2, "R@1 is best after epoch 2, 20.0 percent."),
    ],
)
def test_epoch_of_the_published_model_is_bold(recalls: list[float], published: int, alt: str, tmp_path: Path) -> None:
    rows = metrics([0, 0, 0], recall_1=recalls).with_columns(pl.col("epoch") - 1).to_dicts()
    write_table(table(rows, schemas.METRICS), tmp_path / "metrics" / "metrics.parquet", schemas.METRICS)
    training = Artifact(tmp_path, {"summary": {"made": "best"}})
    section = training_section(ReportInputs([], training, None, None))
    charts = next(block for block in section.blocks if isinstance(block, Charts))
    epochs = next(block for block in section.blocks if isinstance(block, Table))
    assert [epochs.rows[row][0] for row in epochs.strong] == [str(published)]
    assert [plot.alt for plot in charts.plots if plot.name == "validation"] == [f"Validation recalls by epoch; {alt}"]


@pytest.mark.parametrize("with_cache", [True, False])
def test_cache_is_shown_if_there_was_one(with_cache: bool, tmp_path: Path) -> None:
    cache: dict[str, list[float | None]] = {"cache_hit_share": [None, 0.625], "gb_read": [None, 12.34]}
    rows = metrics([0, 1], **cache if with_cache else {}).with_columns(pl.col("epoch") - 1).to_dicts()
    write_table(table(rows, schemas.METRICS), tmp_path / "metrics" / "metrics.parquet", schemas.METRICS)
    section = training_section(ReportInputs([], Artifact(tmp_path, {"summary": {"made": "best"}}), None, None))
    epochs = next(block for block in section.blocks if isinstance(block, Table))
    shown = [row[epochs.head.index("data wait") + 1 :] for row in epochs.rows]
    assert shown == ([["", ""], ["62 %", "12.3"]] if with_cache else [[], []])
