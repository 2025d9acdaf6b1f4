"""Packs by Luigi and by `cosplace pack`, and training from them when the folder of images is gone."""

import re
from pathlib import Path

import pytest

from data_manifest.store.recipe import read_recipe
from tests.helpers import TINY, Luigi, current_artifacts, run_module

TRAINING = (*TINY, "--epochs-num", "1")


@pytest.mark.slow
def test_training_needs_only_packs_and_groups(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    grouping = ("--min-images-per-class", "2", "--N", "1", "--L", "1", "--dataset-folder", str(city))
    done = luigi("PackGroups", *grouping, "--groups-num", "1")
    assert done.returncode == 0, done.stderr
    assert "PackGroups: done (16 images of 1 groups in 1 shards" in done.stdout
    again = luigi("PackGroups", *grouping, "--groups-num", "1")
    assert again.stdout.startswith("PackGroups: up to date (16 images"), again.stdout
    expected = luigi("TrainCosPlace", *TRAINING, "--dataset-folder", str(city))
    assert expected.returncode == 0, expected.stderr
    model = current_artifacts(tmp_path)["training/train"]
    artifacts = current_artifacts(tmp_path)
    (tmp_path / "artifacts" / "training").rename(tmp_path / "of_folder")
    (city / "train").rename(tmp_path / "gone")
    packs = ("--packs", str(tmp_path / "artifacts" / "packs" / artifacts["packs/train"].parent.name))
    (tmp_path / "artifacts" / "runs").rename(tmp_path / "old_runs")
    words = (*TRAINING, *packs, "--dataset-folder", str(city))
    trained = luigi("TrainCosPlace", *words)
    assert trained.returncode == 0, trained.stderr
    found = current_artifacts(tmp_path)["training/train"]
    assert found.name == model.name
    of_folder = tmp_path / "of_folder" / model.parent.name / model.name
    assert (found / "model.pth").read_bytes() == (of_folder / "model.pth").read_bytes()
    assert luigi("TrainCosPlace", *words).stdout.startswith("TrainCosPlace: up to date")
    (tmp_path / "artifacts" / "groups").rename(tmp_path / "groups")
    refused = luigi("TrainCosPlace", *words)
    assert refused.returncode != 0
    assert re.search(
        "train: no such folder. To train on .* without it, pass the groups by --groups-path", refused.stderr
    )


@pytest.mark.slow
def test_command_names_the_training_that_follows(city: Path, tmp_path: Path) -> None:
    more = ("--min-images-per-class", "2", "--N", "1", "--jpeg-size", "32")
    flags = ("--dataset-folder", str(city), "--artifacts-folder", str(tmp_path / "artifacts"), "--groups-num", "2")
    done = run_module("cosplace", "pack", *flags, *more)
    assert done.returncode == 0, done.stderr
    (packs,) = (tmp_path / "artifacts" / "packs").glob("*/[!c]*")
    assert read_recipe(packs)["settings"]["form"] == {"jpeg_size": 32, "quality": 90}
    assert f"--packs {packs}" in done.stdout.splitlines()[-1]
    assert "--jpeg-size" not in done.stdout.splitlines()[-1]
