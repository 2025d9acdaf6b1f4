"""Commands from the command line to the exit status."""

import re
from pathlib import Path

import pytest

from cosplace.write_config import config_text
from data_manifest.store.find import list_current
from tests.helpers import run_module

NAME = "@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg"
MISTAKES = {
    "command": (["trian"], "cosplace has no command trian. Closest: train"),
    "name of a task": (["BuildGroups"], "cosplace has no command BuildGroups. Closest: groups"),
    "flag": (["train", "--bakbone", "x"], "cosplace train has no flag --bakbone. Closest: --backbone"),
    "abbreviated flag": (["train", "--backb", "x"], "cosplace train has no flag --backb. Closest: --backbone"),
    "no value": (["groups", "--alpha"], "argument --alpha: expected one argument. Run cosplace groups --help."),
    "no configuration": (
        ["groups", "--config"],
        "argument --config: expected one argument. Run cosplace",
    ),
    "published flag": (["train", "--save_dir", "x"], "--save_dir does not exist here."),
    "backbone": (["train", "--backbone", "resnet19", "--dataset-folder", "x"], "'resnet19': closest: ResNet18"),
    "missing configuration": (["groups", "--config", "none.cfg"], "none.cfg: no such file"),
    "missing folder": (["groups"], "No training images given. Pass --dataset-folder or --train-folder."),
    "no model": (["evaluate"], "No model given. Pass one, such as artifacts/training/<data set>;"),
    "no model to report on": (["report", "--test-folder", "x"], "No model given."),
    "workers": (["groups", "--workers", "two"], "--workers: two: expected a whole number of at least 1."),
    "word too many": (["list", "more"], "unrecognized arguments: more. Run cosplace list --help."),
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("M = 5", "line 1: M = 5: no section above this line. Begin the file with [cosplace]."),
        ("[cosplace]\nM 5", "line 2: expected NAME = VALUE or [SECTION]."),
        ("[cosplace]\nM = 5\nM = 6", "line 3: [cosplace] M is there twice. Keep one."),
        ("[cosplace]\n[dask]\n[cosplace]", "line 3: [cosplace] is there twice. Keep one."),
    ],
)
def test_a_broken_configuration_file_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.cfg").write_text(content + "\n")
    done = run_module("cosplace", "groups", "--config", str(tmp_path / "own.cfg"))
    assert (done.returncode, done.stderr) == (1, f"ERROR: {tmp_path}/own.cfg, {message}\n")


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(words: list[str], message: str) -> None:
    done = run_module("cosplace", *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "city" / "train").mkdir(parents=True)
    (tmp_path / "city" / "train" / NAME).touch()
    return tmp_path / "city"


def test_stages_are_numbered_and_the_next_command_is_named(dataset: Path, tmp_path: Path) -> None:
    flags = ["--dataset_folder", str(dataset), "--artifacts-folder", str(tmp_path / "A"), "--min_images_per_class=1"]
    done = run_module("cosplace", "groups", *flags)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[1/2] manifest (train)", "[2/2] groups"]
    assert re.fullmatch(r"Stages: manifest \(train\) \d\.\d s, groups \d\.\d s", lines[-2])
    following = f"Next: cosplace train --dataset-folder {dataset} --artifacts-folder {tmp_path / 'A'}"
    assert lines[-1] == f"{following} --min-images-per-class 1"

    again = run_module("cosplace", "groups", *flags)
    assert again.returncode == 0
    assert again.stdout.splitlines()[0].startswith("BuildGroups: up to date (")
    assert again.stdout.splitlines()[1:] == lines[-1:]


def test_a_written_configuration_gives_the_same_artifacts(dataset: Path, tmp_path: Path) -> None:
    folders = ["--dataset-folder", str(dataset), "--artifacts-folder", str(tmp_path / "A")]
    assert run_module("cosplace", "manifest", *folders).returncode == 0
    config = tmp_path / "all.cfg"
    config.write_text(config_text().replace("\ndataset_folder =\n", f"\ndataset_folder = {dataset}\n"))
    (before,) = list_current(tmp_path / "A")
    done = run_module("cosplace", "manifest", "--config", str(config), *folders[2:])
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    assert list_current(tmp_path / "A") == [before]


def test_help_and_version() -> None:
    overview = run_module("cosplace")
    assert overview.returncode == 0
    assert overview.stdout == run_module("cosplace", "--help").stdout == run_module("cosplace", "help").stdout
    assert run_module("cosplace", "help", "gc").stdout == run_module("cosplace", "gc", "--help").stdout != ""
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run_module("cosplace", "--version").stdout)


def test_help_all_with_an_underscore_shows_the_help() -> None:
    done = run_module("cosplace", "groups", "--help_all")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run_module("cosplace", "groups", "--help-all").stdout != ""


def test_config_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("mine")
    done = run_module("cosplace", "config", str(tmp_path / "luigi.cfg"))
    assert done.returncode == 1
    assert "luigi.cfg exists. Choose another name" in done.stderr
    assert (tmp_path / "luigi.cfg").read_text() == "mine"


def test_completion_code_names_the_commands() -> None:
    done = run_module("cosplace", "completion", "bash")
    assert done.returncode == 0
    assert "localize" in done.stdout
    assert "--fc-output-dim" in done.stdout
    assert "_shtab_cosplace_train___dataset_folder_COMPGEN=_shtab_compgen_files" in done.stdout
    assert "_shtab_cosplace_train___split_choices=(none area time)" in done.stdout
    assert "_shtab_cosplace_train___backbone_choices=(VGG16 ResNet18 " in done.stdout


def test_commands_without_tasks_run_the_same_functions(dataset: Path, tmp_path: Path) -> None:
    folders = ["--dataset-folder", str(dataset), "--artifacts-folder", str(tmp_path / "A")]
    run_module("cosplace", "manifest", *folders)
    (manifest,) = list_current(tmp_path / "A")
    for ours, theirs in ((["show"], ["data_manifest", "summary"]), (["rejects"], ["data_manifest", "rejects"])):
        shown = [run_module("cosplace", *ours, str(manifest)), run_module(*theirs, str(manifest))]
        assert shown[0].stdout == shown[1].stdout != ""
    planned = [run_module(*words, str(manifest)) for words in (("cosplace", "plan"), ("pipeline", "plan"))]
    assert planned[0].stdout == planned[1].stdout != ""
