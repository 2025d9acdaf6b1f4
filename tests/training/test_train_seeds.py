import statistics
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest import schemas
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import make_frame, read_table, write_table
from training.train_seeds import publish_seeds, summarise

RECALLS = {3: [40.0, 62.0, 61.0], 0: [70.0, 70.0, 50.0], 5: [1.0, 2.0, 66.0]}  # of the epochs, by seed
BEST = {0: (0, 70.0), 3: (1, 62.0), 5: (2, 66.0)}


def _model(artifacts: Path, seed: int, recalls: list[float]) -> Path:
    rest: dict[str, Any] = {"group_index": 0, "loss": 1.0, "recall_20": None, "images_per_second": 1.0}
    rest |= {"data_wait_share": 0.0, "lr": 0.1, "classifiers_lr": 0.1, "resumes": 0, "recall_10": 99.0}
    rows = [{"epoch": epoch, "recall_1": each, "recall_5": each + 10, **rest} for epoch, each in enumerate(recalls)]
    recipe = Recipe("training", "city", 1, {"seed": seed}, {})
    with publishing(artifacts, recipe) as staging:
        write_table(make_frame(rows, schemas.METRICS), staging / "metrics" / "metrics.parquet", schemas.METRICS)
    return recipe.folder(artifacts)


def test_mean_and_standard_deviation_of_the_best_epochs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = {seed: _model(tmp_path, seed, recalls) for seed, recalls in RECALLS.items()}
    caplog.set_level("INFO")
    made = publish_seeds(tmp_path, models)
    assert read_table(made, "seeds").select("seed", "epoch", "recall_1").rows() == [
        (seed, epoch, recall) for seed, (epoch, recall) in BEST.items()
    ]
    ones = [recall for _, recall in BEST.values()]
    expected = [
        (1, 3, statistics.mean(ones), statistics.stdev(ones)),
        (5, 3, statistics.mean(ones) + 10, statistics.stdev(ones)),
        (10, 3, 99.0, 0.0),
    ]
    for row, other in zip(read_table(made, "summary").rows(), expected, strict=True):
        assert row == pytest.approx(other)
    assert (
        "R@1 66.0 ± 4.0, R@5 76.0 ± 4.0, R@10 99.0 ± 0.0 over 3 seeds in validation"
        in read_recipe(made)["summary"]["made"]
    )
    assert "standard deviation  4.00  4.00  0.00" in caplog.text
    assert publish_seeds(tmp_path, dict(reversed(models.items()))) == made


def test_one_seed_has_no_deviation() -> None:
    one = pl.DataFrame({"seed": [1], "epoch": [0], "recall_1": [50.0], "recall_5": [None], "recall_10": [None]})
    one = one.with_columns(recall_20=pl.lit(None))
    assert summarise(one).rows() == [(1, 1, 50.0, None)]
