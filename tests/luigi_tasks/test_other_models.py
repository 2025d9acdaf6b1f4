"""When a training is refused because its data set has other models. Nothing is trained here."""

from pathlib import Path
from typing import Any

import pytest

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.run_folders import write_run_file
from data_manifest.tables import make_frame, write_table
from tests.helpers import write_images
from training.recipe import run_folder


@pytest.fixture
def training(tmp_path: Path) -> Any:
    """Return the class of TrainCosPlace tasks on a small city."""
    import workflows

    for part, years in (("train", (2015, 2016)), ("val/database", (2017,)), ("val/queries", (2018,))):
        write_images(tmp_path / "city" / part, years)
    folders = {"dataset_folder": tmp_path / "city", "artifacts_folder": tmp_path / "artifacts"}
    return lambda **settings: workflows.TrainCosPlace(**{**folders, "min_images_per_class": 2, **settings})


def publish(task: Any, recall: float) -> Path:
    """Publish a model of a task that was not trained."""
    row = {**dict.fromkeys(schemas.METRICS.names, 1), "recall_1": recall}
    with publishing(task.artifacts_folder, task.recipe(), {"made": "a model"}) as staging:
        write_table(make_frame([row], schemas.METRICS), staging / "metrics" / "m.parquet", schemas.METRICS)
        (staging / "model.pth").write_bytes(b"weights")
    folder: Path = task.recipe().folder(task.artifacts_folder)
    return folder


def check(task: Any) -> None:
    from luigi_tasks.other_models import check_no_other_models

    check_no_other_models(task)


def test_other_models_are_listed_with_what_differs(training: Any) -> None:
    check(training())  # the first one
    other = publish(training(backbone="ResNet50", M=20, epochs_num=3), 71.23)
    check(training(backbone="ResNet50", M=20, epochs_num=3))  # it exists
    with pytest.raises(UserError) as error:
        check(training())
    _, titles, row, command, advice = str(error.value).splitlines()
    assert titles.split() == ["R@1", "date", "different", "settings"]
    assert row.split()[0] == "71.2"
    differences = "backbone ResNet50 (not ResNet18), epochs_num 3 (not 50), M 20.0 (not 10.0)"
    assert row.endswith(differences)
    assert command == f"    cosplace evaluate {other}"
    assert "--train-new" in advice


def test_only_models_trained_on_the_same_images_count(training: Any, tmp_path: Path) -> None:
    publish(training(epochs_num=0), 1.0)
    check(training())
    write_images(tmp_path / "town" / "train", (2015, 2016))
    publish(training(train_folder=tmp_path / "town" / "train"), 50.0)
    check(training())
    publish(training(seed=1), 50.0)
    check(training(epochs_num=0))  # trains nothing
    with pytest.raises(UserError, match="seed 1 "):
        check(training())


def test_an_unfinished_run_of_exactly_these_settings_resumes(training: Any) -> None:
    publish(training(seed=1), 50.0)
    task = training(epochs_num=4)
    run = run_folder(task.artifacts_folder, task.recipe())
    run.mkdir(parents=True)
    write_run_file(run, task.recipe())
    check(task)
    with pytest.raises(UserError, match=r"seed 1 \(not 0\)"):
        check(training())  # 50 epochs would go on for longer
