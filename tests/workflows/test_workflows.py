"""Luigi as a user meets it: what runs, what is left alone, what a mistake looks like and what the exit status is."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import TaskClassException

from tests.workflows.conftest import ROOT, Luigi, write_images
from training.data.settings import AugmentationSettings

GROUPING = ("--min-images-per-class", "2", "--N", "1", "--L", "1", "--groups-num", "1")
TINY = (
    *GROUPING,
    *("--backbone", "SqueezeNet1_1", "--backbone-weights", "none", "--fc-output-dim", "16", "--image-size", "40"),
    *("--batch-size", "4", "--iterations-per-epoch", "2", "--num-workers", "0", "--device", "cpu"),
)


def current(tmp_path: Path) -> dict[str, Path]:
    """Return the current artifact of each stage and name."""
    links = (tmp_path / "artifacts").glob("[!.]*/*/current")
    return {f"{link.parent.parent.name}/{link.parent.name.split('-')[-1]}": link.resolve() for link in links}


def made_when(tmp_path: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").glob("[!.]*/*/*/*/*.parquet")}


def recipe_of(folder: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads((folder / "recipe.json").read_text())
    return recipe


def test_groups_are_built_and_a_second_run_does_nothing_and_says_so(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    first = luigi("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    assert first.returncode == 0, first.stderr
    assert "BuildGroups made groups" in first.stdout
    assert "8 classes of 16 images in 1 groups" in first.stdout
    before = made_when(tmp_path)
    second = luigi("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    assert second.returncode == 0
    assert second.stdout.startswith("BuildGroups: nothing to do, there is groups")
    assert second.stdout.count("\n") == 1
    assert before == made_when(tmp_path)


def test_an_added_image_makes_new_groups_and_other_settings_leave_the_manifest(
    city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    arguments = ("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    luigi(*arguments)
    first = current(tmp_path)
    luigi(*arguments, "--M", "20")
    coarser = current(tmp_path)
    assert coarser["manifest/train"] == first["manifest/train"]
    assert coarser["groups/train"] != first["groups/train"]
    luigi(*arguments)
    assert current(tmp_path) == first, "what is asked for becomes current again, without being built again"
    write_images(city / "train" / "36.15", (2019,))
    luigi(*arguments)
    assert current(tmp_path)["groups/train"] not in (first["groups/train"], coarser["groups/train"])


def test_two_commands_at_once(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    arguments = ("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    with ThreadPoolExecutor(3) as executor:
        runs = list(executor.map(lambda M: luigi(*arguments, "--M", M), ("10", "10", "20")))
    assert [run.returncode for run in runs] == [0, 0, 0], [run.stderr for run in runs]
    assert len(list((tmp_path / "artifacts" / "manifest").glob("*/*"))) == 1 + 1  # with `current`
    assert len(list((tmp_path / "artifacts" / "groups").glob("*/*"))) == 2 + 1
    assert list((tmp_path / "artifacts" / ".staging").iterdir()) == []
    for groups in (tmp_path / "artifacts" / "groups").glob("*/*"):
        assert len(pl.read_parquet(groups / "members" / "*.parquet")) == 16


@pytest.mark.slow
def test_the_whole_path_with_several_workers(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    arguments = ("EvaluateCosPlace", "--dataset-folder", str(city), *TINY)
    untrained = luigi(*arguments, "--epochs-num", "0", "--workers", "4")
    assert untrained.returncode == 0, untrained.stderr
    trained = luigi(*arguments, "--epochs-num", "1")
    assert trained.returncode == 0, trained.stderr
    assert "-city-test-queries_v1: R@1:" in trained.stdout
    assert "8 queries, 0 without a positive, 8 database images" in trained.stdout
    evaluation = current(tmp_path)["evaluation/queries_v1"]
    predictions = pl.read_parquet(evaluation / "predictions" / "*.parquet")
    assert predictions.group_by("query_path").len()["len"].to_list() == [8] * 8
    assert predictions.filter("correct")["distance_m"].unique().round(6).to_list() == [2.0]
    recalls = pl.read_parquet(evaluation / "recalls" / "*.parquet")
    best = predictions.filter(pl.col("rank") == 1)["correct"].mean()
    assert isinstance(best, float)
    assert recalls.filter(pl.col("k") == 1)["recall"].item() == pytest.approx(100 * best)
    again = luigi(*arguments, "--epochs-num", "1")
    assert again.stdout.startswith("EvaluateCosPlace: nothing to do"), again.stdout

    model = current(tmp_path)["training/train"] / "model.pth"
    (run,) = (tmp_path / "artifacts" / "runs").glob("*/*/run.json")
    assert json.loads(run.read_text())["inputs"] == recipe_of(model.parent)["inputs"]
    given = luigi(*arguments, "--resume-model", str(model))
    assert given.stdout.startswith("EvaluateCosPlace: nothing to do"), "the same model by its path is the same model"
    write_images(city / "train" / "36.15", (2019,))
    changed = luigi("TrainCosPlace", "--dataset-folder", str(city), *TINY, "--epochs-num", "1")
    assert "TrainCosPlace: nothing to do" in changed.stdout
    assert "give --groups-path" in changed.stderr, "newer images are a note, not a reason to throw away a training"


def test_the_section_cosplace_sets_every_task_and_the_command_line_overrides_it(
    city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    config = f"[cosplace]\ndataset_folder = {city}\nM = 50\nmin_images_per_class = 2\n"
    assert luigi("BuildGroups", config=config).returncode == 0
    groups = recipe_of(current(tmp_path)["groups/train"])
    assert groups["settings"] == {"M": 50.0, "alpha": 30.0, "N": 5, "L": 2, "min_images_per_class": 2}
    luigi("BuildGroups", "--M", "25", config=config)
    assert recipe_of(current(tmp_path)["groups/train"])["settings"]["M"] == 25.0


MISTAKES = {
    "no folder": ((), "--dataset-folder"),
    "missing folder": (("--dataset-folder", "no/such"), "no/such/train: there is no such folder"),
    "unknown part": (("--part", "tset"), "part = 'tset': choose one of train, val/database"),
    "bad number": (("--M", "ten"), "M = 'ten': expected a number"),
    "no address": (("--dask-scheduler", "host:8786"), "dask_scheduler = 'host:8786': expected an address as in tcp://"),
    "impossible setting": (("--alpha", "0"), "alpha = 0"),
    "years that run backwards": (("--years", "2018-2013"), "years = '2018-2013': 2018-2013 runs backwards"),
    "too few images": (("--dataset-folder", "CITY", "--min-images-per-class", "99"), "min_images_per_class = 99"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_message_without_a_traceback(
    arguments: tuple[str, ...], message: str, city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    task = "BuildManifest" if "--part" in arguments else "BuildGroups"
    done = luigi(task, *(str(city) if each == "CITY" else each for each in arguments))
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count(message) == 1
    assert "Traceback" not in done.stderr
    assert "groups/train" not in current(tmp_path)


CONFIGURATIONS = {
    "unknown name": ("[cosplace]\nMM = 3", "own.cfg, line 2: [cosplace] MM: no such parameter. Closest: M."),
    "wrong value": ("[cosplace]\nmin_images_per_class = one", "min_images_per_class = 'one': expected a whole number"),
    "misspelt section": ("[CosPlace]\nM = 3", "own.cfg, line 1: [CosPlace] is not read. Parameters go in [cosplace]."),
    "percent sign": ("[cosplace]\n\nM = 10%", "own.cfg, line 3: [cosplace] M = 10%: write %% for a percent sign."),
}


@pytest.mark.parametrize(("config", "message"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_mistake_in_the_configuration_is_one_message(config: str, message: str, city: Path, luigi: Luigi) -> None:
    done = luigi("BuildGroups", "--dataset-folder", str(city), config=config)
    assert done.returncode != 0
    assert done.stderr.count(message) == 1
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


MISTYPED = {
    "begin of a task": (("Train",), "No task Train. Closest: TrainSeeds, TrainCosPlace."),
    "misspelt task": (("BuildManifets",), "No task BuildManifets. Closest: BuildManifest."),
    "no task": (("Xyz",), "No task Xyz. Tasks: BuildGroups, BuildManifest, CropPanoramas, EvaluateCosPlace, "),
    "misspelt parameter": (("BuildGroups", "--aplha", "3"), "BuildGroups has no parameter --aplha. Closest: --alpha"),
    "with underscores": (("TrainCosPlace", "--batch_size=3"), "has no parameter --batch_size. Closest: --batch-size"),
    "parameter of another task": (("VerifyImages", "--lr", "1"), "--lr. It belongs to EvaluateCosPlace, "),
    "no value": (("BuildGroups", "--alpha"), "argument --alpha: expected one argument. Run luigi --module workflows"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTYPED.values(), ids=MISTYPED.keys())
def test_a_mistyped_word_is_one_message(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import workflows  # noqa: F401 -- registers the tasks

    with pytest.raises((SystemExit, TaskClassException)) as stop:
        CmdlineParser(["--module", "workflows", *arguments])  # type: ignore[no-untyped-call]
    shown = capsys.readouterr()
    text = str(stop.value) if stop.type is TaskClassException or not shown.err else shown.err
    assert message in text
    assert text.count("\n") <= 1
    assert shown.out == ""


def test_a_misspelt_task_ends_the_command(luigi: Luigi) -> None:
    done = luigi("Train")
    assert done.returncode != 0
    assert done.stderr == "ERROR: No task Train. Closest: TrainSeeds, TrainCosPlace.\n"


def test_a_configuration_of_ones_own_wins_over_what_the_pipeline_needs_by_default(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[core]\nautoload_range = false\nlog_level = ERROR\n[cosplace]\nM = 50\n")
    code = (
        "import workflows, luigi; configuration = luigi.configuration.get_config();"
        "print(configuration.get('core', 'log_level'), configuration.get('retcode', 'task_failed'),"
        "workflows.BuildGroups().M, configuration.get('core', 'local_scheduler'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("LUIGI_CONFIG_PATH", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["ERROR", "30", "50.0", "true"]


@pytest.mark.slow
def test_a_data_set_that_is_moved_is_not_trained_on_again(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("TrainCosPlace", *TINY, "--epochs-num", "0", "--dataset-folder")
    assert "TrainCosPlace made" in luigi(*command, str(city)).stdout
    before = made_when(tmp_path)
    (tmp_path / "disk2").mkdir()
    moved = city.rename(tmp_path / "disk2" / "town")
    assert "TrainCosPlace made" in luigi(*command, str(moved)).stdout
    after = {path: when for path, when in made_when(tmp_path).items() if path not in before}
    assert sorted(after.values()) == sorted(before.values())
    assert len({path.stat().st_ino for path in (tmp_path / "artifacts").glob("training/*/*[!t]/model.pth")}) == 1
    assert "TrainCosPlace: nothing to do" in luigi(*command, str(moved)).stdout
    (moved / "train" / "36.14" / "odd.jpg").touch()
    assert "give --groups-path" in luigi(*command, str(moved)).stderr, "it is this folder's model now"
    renamed = luigi(*command, str(moved.rename(tmp_path / "disk2" / "city")))
    assert "TrainCosPlace: nothing to do" in renamed.stdout
    assert "give --groups-path" in renamed.stderr


@pytest.mark.slow
def test_training_on_chosen_groups(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    data = ("--dataset-folder", str(city))
    luigi("BuildGroups", *data, *GROUPING[:-2])
    first = current(tmp_path)["groups/train"]
    write_images(city / "train" / "36.15", (2019,))
    luigi("BuildGroups", *data, *GROUPING[:-2])
    done = luigi("TrainCosPlace", *data, *TINY, "--epochs-num", "0", "--groups-path", str(first))
    assert done.returncode == 0, done.stderr
    assert recipe_of(current(tmp_path)["training/train"])["inputs"]["groups"] == first.name
    link = first.parent / "current"
    luigi("TrainCosPlace", *data, *TINY, "--epochs-num", "0", "--groups-path", str(link))
    assert recipe_of(current(tmp_path)["training/train"])["inputs"]["groups"] == link.resolve().name != first.name


def test_groups_of_some_years(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("BuildGroups", "--dataset-folder", str(city), *GROUPING[2:-2], "--min-images-per-class", "1")
    everything = luigi(*command)
    assert "8 classes of 16 images" in everything.stdout
    until_2015 = luigi(*command, "--years", "-2015")
    assert "8 classes of 8 images" in until_2015.stdout
    assert "years -2015: left out 8 images of other years and 0 without a year" in until_2015.stderr
    both = luigi(*command, "--years", "2016, 2015")
    assert "8 classes of 16 images" in both.stdout
    assert recipe_of(current(tmp_path)["groups/train"])["settings"]["years"] == "2015-2016"
    assert luigi(*command, "--years", "2015-2016").stdout.startswith("BuildGroups: nothing to do")


@pytest.mark.slow
def test_training_on_groups_by_number(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    grouping = (*GROUPING[:-4], "--L", "2")
    command = ("TrainCosPlace", "--dataset-folder", str(city), *grouping, *TINY[len(GROUPING) :], "--epochs-num", "1")
    done = luigi(*command, "--groups", "1")
    assert done.returncode == 0, done.stderr
    model = current(tmp_path)["training/train"]
    assert pl.read_parquet(model / "metrics" / "*.parquet")["group_index"].to_list() == [1]
    assert "groups_num" not in recipe_of(model)["settings"]
    missing = luigi(*command, "--groups", "1,9")
    assert missing.returncode != 0
    assert "groups = 1,9: there is no class in 9; groups that have classes: 0-1" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.slow
def test_a_grayscale_model_of_images_that_are_no_squares_needs_only_its_folder_to_be_evaluated(
    city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    data, size = ("--dataset-folder", str(city)), TINY.index("--image-size")
    no_size = (*TINY[:size], *TINY[size + 2 :])
    command = ("TrainCosPlace", *data, *no_size, "--epochs-num", "1", "--grayscale")
    done = luigi(*command, "--image-size", "40x56")
    assert done.returncode == 0, done.stderr
    model = current(tmp_path)["training/train"]
    settings = recipe_of(model)["settings"]
    assert (settings["image_size"], settings["grayscale"]) == ("40x56", True)
    assert "| image_size | 40x56 |" in (model / "model_card.md").read_text()
    evaluated = luigi("EvaluateCosPlace", *data, *no_size, "--resize-test-imgs", "--resume-model", str(model))
    assert evaluated.returncode == 0, evaluated.stderr
    recipe = recipe_of(current(tmp_path)["evaluation/queries_v1"])
    assert recipe["settings"]["resized_to"] == 40, "the shorter side of what the file states"
    assert recipe["inputs"]["model"] == model.name
    wrong = luigi(*command, "--image-size", "40by56")
    assert "image_size = '40by56': expected a size in pixels, as in 512, or 480x640 for 480 rows" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.slow
def test_other_validation_makes_another_model(city: Path, luigi: Luigi) -> None:
    command = ("TrainCosPlace", "--dataset-folder", str(city), *TINY, "--epochs-num", "0")
    luigi(*command)
    assert "TrainCosPlace made" in luigi(*command, "--positive-dist-threshold", "1").stdout


def test_a_folder_that_cannot_be_written_is_one_message(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    done = luigi("BuildManifest", "--dataset-folder", str(city))
    assert done.returncode != 0
    assert "choose --artifacts-folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_explains_every_parameter_with_its_default(luigi: Luigi) -> None:
    text = " ".join(luigi("TrainCosPlace", "--help").stdout.split())
    for part in (
        "--M M side of a cell, in metres [10.0]",
        "--alpha ALPHA width of a heading bin, in degrees",
        "--fc-output-dim FC_OUTPUT_DIM descriptor dimension [512]",
        "--lr LR learning rate of the network (Adam) [1e-05]",
        "--positive-dist-threshold POSITIVE_DIST_THRESHOLD a database image at most this many metres",
        "--device DEVICE device of the network: auto",
    ):
        assert part in text


def test_parameters_have_the_published_names_and_defaults() -> None:
    import workflows

    published = {
        **{"M": 10, "alpha": 30, "N": 5, "L": 2, "groups_num": 8, "min_images_per_class": 10, "backbone": "ResNet18"},
        **{"fc_output_dim": 512, "train_all_layers": False, "batch_size": 32, "epochs_num": 50, "lr": 1e-5, "seed": 0},
        **{"iterations_per_epoch": 10_000, "classifiers_lr": 0.01, "brightness": 0.7, "hue": 0.5},
        **{"contrast": 0.7, "saturation": 0.7, "random_resized_crop": 0.5, "infer_batch_size": 16, "num_workers": 8},
        **{"positive_dist_threshold": 25, "resize_test_imgs": False, "use_amp16": False, "resume_model": None},
        **{"device": "auto"},
    }
    task = workflows.TrainCosPlace()
    assert {name: getattr(task, name) for name in published} == published
    assert str(task.settings(AugmentationSettings).size) == "512"


def test_values_that_mean_the_same_are_one_task() -> None:
    import workflows

    task: Any = workflows.BuildGroups
    assert task(M=10, N="5").task_id == task(M="10.0", N=5.0).task_id
    assert task(years="2015,2013-2014").task_id == task(years="2013-2015").task_id != task().task_id


def test_a_listing_is_taken_once_a_command_so_that_a_change_meanwhile_is_for_the_next(city: Path) -> None:
    code = (
        "import workflows, pathlib, sys; task = workflows.BuildManifest(dataset_folder=sys.argv[1]);"
        "before = task.artifact(); next(pathlib.Path(sys.argv[1]).rglob('*.jpg')).unlink();"
        "sys.exit(before != task.artifact())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(city)], env=environment, check=True)
