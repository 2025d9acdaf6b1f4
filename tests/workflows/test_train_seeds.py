from pathlib import Path

import polars as pl

from tests.helpers import TINY, Luigi, current_artifacts


def test_seeds_give_one_model_each_and_a_table(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("TrainSeeds", "--dataset-folder", str(city), *TINY, "--epochs-num", "1", "--seeds", "7,3")
    done = luigi(*command)
    assert done.returncode == 0, done.stderr
    assert "TrainSeeds: done (" in done.stdout
    seeds = pl.read_parquet(current_artifacts(tmp_path)["seeds/train"] / "seeds" / "*.parquet")
    assert seeds["seed"].to_list() == [3, 7]
    assert len(list((tmp_path / "artifacts" / "training").glob("*/*/model.pth"))) == 2 + 1  # with `current`
    assert luigi(*command).stdout.startswith("TrainSeeds: up to date (")
    mistaken = luigi("TrainSeeds", "--dataset-folder", str(city), *TINY, "--seeds", "1;2")
    assert "seeds = '1;2': expected numbers separated by commas" in mistaken.stderr


def test_untrained_networks_are_an_error_before_any_work(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    done = luigi("TrainSeeds", "--dataset-folder", str(city), "--epochs-num", "0")
    assert done.returncode != 0
    assert "epochs_num = 0: untrained networks have no validation recalls. Give 1 or more." in done.stderr
    assert not (tmp_path / "artifacts" / "manifest").exists()
