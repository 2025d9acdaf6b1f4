from pathlib import Path

import polars as pl
import pytest

from tests.workflows.conftest import Luigi
from tests.workflows.test_workflows import TINY, current


@pytest.mark.slow
def test_a_model_for_each_seed_and_their_table(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("TrainSeeds", "--dataset-folder", str(city), *TINY, "--epochs-num", "1", "--seeds", "7,3")
    done = luigi(*command)
    assert done.returncode == 0, done.stderr
    assert "TrainSeeds made seeds" in done.stdout
    seeds = pl.read_parquet(current(tmp_path)["seeds/train"] / "seeds" / "*.parquet")
    assert seeds["seed"].to_list() == [3, 7]
    assert len(list((tmp_path / "artifacts" / "training").glob("*/*/model.pth"))) == 2 + 1  # with `current`
    assert luigi(*command).stdout.startswith("TrainSeeds: nothing to do, there is seeds")
    mistaken = luigi("TrainSeeds", "--dataset-folder", str(city), *TINY, "--seeds", "1;2")
    assert "seeds = '1;2': expected numbers separated by commas" in mistaken.stderr
