"""Training and evaluation as a user runs them."""

import json
from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from tests.helpers import GROUPING, TINY, Luigi, current_artifacts, write_images


def made_when(tmp_path: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").glob("[!.]*/*/*/*/*.parquet")}


@pytest.mark.slow
def test_train_and_evaluate_with_several_workers(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    arguments = ("EvaluateCosPlace", "--dataset-folder", str(city), *TINY)
    trained = luigi("TrainCosPlace", *arguments[1:], "--epochs-num", "1")  # test_stop_training trains in a worker
    assert trained.returncode == 0, trained.stderr
    for part in ("test/database", "test/queries"):  # here, because each worker starts a process
        luigi("BuildManifest", "--dataset-folder", str(city), "--part", part)
    done = luigi(*arguments, "--epochs-num", "1", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "BuildManifest: done" not in done.stdout
    assert "EvaluateCosPlace: done (R@1 " in done.stdout
    assert "8 queries, 0 without a positive, 8 database images" in done.stdout
    evaluation = current_artifacts(tmp_path)["evaluation/queries_v1"]
    predictions = pl.read_parquet(evaluation / "predictions" / "*.parquet")
    assert predictions.group_by("query_path").len()["len"].to_list() == [8] * 8
    assert predictions.filter("correct")["distance_m"].unique().round(6).to_list() == [2.0]
    recalls = pl.read_parquet(evaluation / "recalls" / "*.parquet")
    best = predictions.filter(pl.col("rank") == 1)["correct"].mean()
    assert isinstance(best, float)
    assert recalls.filter(pl.col("k") == 1)["recall"].item() == pytest.approx(100 * best)
    again = luigi(*arguments, "--epochs-num", "1")
    assert again.stdout.startswith("EvaluateCosPlace: up to date"), again.stdout

    model = current_artifacts(tmp_path)["training/train"] / "model.pth"
    (run,) = (tmp_path / "artifacts" / "runs").glob("*/*/run.json")
    assert json.loads(run.read_text())["inputs"] == read_recipe(model.parent)["inputs"]
    given = luigi(*arguments, "--resume-model", str(model))
    assert given.stdout.startswith("EvaluateCosPlace: up to date"), "the same model by its path is the same model"
    write_images(city / "train" / "36.15", (2019,))
    changed = luigi("TrainCosPlace", "--dataset-folder", str(city), *TINY, "--epochs-num", "1")
    assert "TrainCosPlace: up to date" in changed.stdout
    assert "pass --groups-path" in changed.stderr, "newer images are a note, not a reason to throw away a training"


def test_moved_data_set_reuses_the_training(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("TrainCosPlace", *TINY, "--epochs-num", "0", "--dataset-folder")
    assert "TrainCosPlace: done (" in luigi(*command, str(city)).stdout
    before = made_when(tmp_path)
    (tmp_path / "disk2").mkdir()
    moved = city.rename(tmp_path / "disk2" / "town")
    assert "TrainCosPlace: done (" in luigi(*command, str(moved)).stdout
    after = {path: when for path, when in made_when(tmp_path).items() if path not in before}
    assert sorted(after.values()) == sorted(before.values())
    assert len({path.stat().st_ino for path in (tmp_path / "artifacts").glob("training/*/*[!t]/model.pth")}) == 1
    assert "TrainCosPlace: up to date" in luigi(*command, str(moved)).stdout
    (moved / "train" / "36.14" / "odd.jpg").touch()
    assert "pass --groups-path" in luigi(*command, str(moved)).stderr, "it is this folder's model now"
    renamed = luigi(*command, str(moved.rename(tmp_path / "disk2" / "city")))
    assert "TrainCosPlace: up to date" in renamed.stdout
    assert "pass --groups-path" in renamed.stderr


def test_groups_path_selects_the_groups(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    data = ("--dataset-folder", str(city))
    luigi("BuildGroups", *data, *GROUPING[:-2])
    first = current_artifacts(tmp_path)["groups/train"]
    write_images(city / "train" / "36.15", (2019,))
    luigi("BuildGroups", *data, *GROUPING[:-2])
    done = luigi("TrainCosPlace", *data, *TINY, "--epochs-num", "0", "--groups-path", str(first))
    assert done.returncode == 0, done.stderr
    assert read_recipe(current_artifacts(tmp_path)["training/train"])["inputs"]["groups"] == first.name
    link = first.parent / "current"
    luigi("TrainCosPlace", *data, *TINY, "--epochs-num", "0", "--groups-path", str(link))
    assert (
        read_recipe(current_artifacts(tmp_path)["training/train"])["inputs"]["groups"]
        == link.resolve().name
        != first.name
    )


def test_groups_select_groups_by_number(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    grouping = (*GROUPING[:-4], "--L", "2")
    command = ("TrainCosPlace", "--dataset-folder", str(city), *grouping, *TINY[len(GROUPING) :], "--epochs-num", "1")
    done = luigi(*command, "--groups", "1")
    assert done.returncode == 0, done.stderr
    model = current_artifacts(tmp_path)["training/train"]
    assert pl.read_parquet(model / "metrics" / "*.parquet")["group_index"].to_list() == [1]
    assert "groups_num" not in read_recipe(model)["settings"]
    missing = luigi(*command, "--groups", "1,9")
    assert missing.returncode != 0
    assert "groups = 1,9: no classes in 9. Groups with classes: 0-1" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_evaluation_reads_grayscale_and_image_size_from_the_model(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    data, size = ("--dataset-folder", str(city)), TINY.index("--image-size")
    no_size = (*TINY[:size], *TINY[size + 2 :])
    command = ("TrainCosPlace", *data, *no_size, "--epochs-num", "1", "--grayscale")
    done = luigi(*command, "--image-size", "40x56")
    assert done.returncode == 0, done.stderr
    model = current_artifacts(tmp_path)["training/train"]
    settings = read_recipe(model)["settings"]
    assert (settings["image_size"], settings["grayscale"]) == ("40x56", True)
    assert "| image_size | 40x56 |" in (model / "model_card.md").read_text()
    evaluated = luigi("EvaluateCosPlace", *data, *no_size, "--resize-test-imgs", "--resume-model", str(model))
    assert evaluated.returncode == 0, evaluated.stderr
    recipe = read_recipe(current_artifacts(tmp_path)["evaluation/queries_v1"])
    assert recipe["settings"]["resized_to"] == 40, "the shorter side of what the file states"
    assert recipe["inputs"]["model"] == model.name
    wrong = luigi(*command, "--image-size", "40by56")
    assert "image_size = '40by56': expected a size in pixels, as in 512, or 480x640 for 480 rows" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_validation_threshold_changes_the_model(city: Path, luigi: Luigi) -> None:
    command = ("TrainCosPlace", "--dataset-folder", str(city), *TINY, "--epochs-num", "0")
    luigi(*command)
    assert "TrainCosPlace: done (" in luigi(*command, "--positive-dist-threshold", "1").stdout
