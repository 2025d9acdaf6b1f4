"""BuildGroups as a user runs it: output, exit status, reuse and mistakes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from tests.helpers import GROUPING, Luigi, current_artifacts, write_images


def made_when(tmp_path: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts").glob("[!.]*/*/*/*/*.parquet")}


def test_second_run_reports_up_to_date_groups(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    first = luigi("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    assert first.returncode == 0, first.stderr
    assert "BuildGroups: done (" in first.stdout
    assert "8 classes of 16 images in 1 groups" in first.stdout
    before = made_when(tmp_path)
    second = luigi("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    assert second.returncode == 0
    assert second.stdout.startswith("BuildGroups: up to date (")
    assert second.stdout.count("\n") == 1
    assert before == made_when(tmp_path)


def test_new_image_or_setting_rebuilds_only_what_depends_on_it(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    arguments = ("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    luigi(*arguments)
    first = current_artifacts(tmp_path)
    luigi(*arguments, "--M", "20")
    coarser = current_artifacts(tmp_path)
    assert coarser["manifest/train"] == first["manifest/train"]
    assert coarser["groups/train"] != first["groups/train"]
    luigi(*arguments)
    assert current_artifacts(tmp_path) == first, "what is asked for becomes current again, without being built again"
    write_images(city / "train" / "36.15", (2019,))
    luigi(*arguments)
    assert current_artifacts(tmp_path)["groups/train"] not in (first["groups/train"], coarser["groups/train"])


def test_concurrent_commands_publish_each_artifact_once(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    arguments = ("BuildGroups", "--dataset-folder", str(city), *GROUPING[:-2])
    with ThreadPoolExecutor(3) as executor:
        runs = list(executor.map(lambda M: luigi(*arguments, "--M", M), ("10", "10", "20")))
    assert [run.returncode for run in runs] == [0, 0, 0], [run.stderr for run in runs]
    assert len(list((tmp_path / "artifacts" / "manifest").glob("*/*"))) == 1 + 1  # with `current`
    assert len(list((tmp_path / "artifacts" / "groups").glob("*/*"))) == 2 + 1
    assert list((tmp_path / "artifacts" / ".staging").iterdir()) == []
    for groups in (tmp_path / "artifacts" / "groups").glob("*/*"):
        assert len(pl.read_parquet(groups / "members" / "*.parquet")) == 16


def test_command_line_overrides_the_cosplace_section(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    config = f"[cosplace]\ndataset_folder = {city}\nM = 50\nmin_images_per_class = 2\n"
    assert luigi("BuildGroups", config=config).returncode == 0
    groups = read_recipe(current_artifacts(tmp_path)["groups/train"])
    assert groups["settings"] == {"M": 50.0, "alpha": 30.0, "N": 5, "L": 2, "min_images_per_class": 2}
    luigi("BuildGroups", "--M", "25", config=config)
    assert read_recipe(current_artifacts(tmp_path)["groups/train"])["settings"]["M"] == 25.0


def test_years_select_images(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    command = ("BuildGroups", "--dataset-folder", str(city), *GROUPING[2:-2], "--min-images-per-class", "1")
    everything = luigi(*command)
    assert "8 classes of 16 images" in everything.stdout
    until_2015 = luigi(*command, "--years", "-2015")
    assert "8 classes of 8 images" in until_2015.stdout
    assert "left out 8 images of other years than -2015" in until_2015.stderr
    both = luigi(*command, "--years", "2016, 2015")
    assert "8 classes of 16 images" in both.stdout
    assert read_recipe(current_artifacts(tmp_path)["groups/train"])["settings"]["years"] == "2015-2016"
    assert luigi(*command, "--years", "2015-2016").stdout.startswith("BuildGroups: up to date")


MISTAKES = {
    "no folder": ((), "--dataset-folder"),
    "missing folder": (("--dataset-folder", "no/such"), "no/such/train: no such folder"),
    "unknown part": (("--part", "tset"), "part = 'tset': choose one of train, val/database"),
    "bad number": (("--M", "ten"), "M = 'ten': expected a number"),
    "no address": (("--dask-scheduler", "host:8786"), "dask_scheduler = 'host:8786' is not an address such as tcp://"),
    "impossible setting": (("--alpha", "0"), "alpha = 0"),
    "years that run backwards": (("--years", "2018-2013"), "years = '2018-2013': 2018-2013 runs backwards"),
    "too few images": (("--dataset-folder", "CITY", "--min-images-per-class", "99"), "min_images_per_class = 99"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake_is_one_message_without_traceback(
    arguments: tuple[str, ...], message: str, city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    task = "BuildManifest" if "--part" in arguments else "BuildGroups"
    done = luigi(task, *(str(city) if each == "CITY" else each for each in arguments))
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count(message) == 1
    assert "Traceback" not in done.stderr
    assert "groups/train" not in current_artifacts(tmp_path)


CONFIGURATIONS = {
    "unknown name": ("[cosplace]\nMM = 3", "own.cfg, line 2: [cosplace] MM: no such parameter. Closest: M."),
    "wrong value": ("[cosplace]\nmin_images_per_class = one", "min_images_per_class = 'one': expected a whole number"),
    "misspelt section": ("[CosPlace]\nM = 3", "own.cfg, line 1: [CosPlace] is not read. Parameters go in [cosplace]."),
    "percent sign": ("[cosplace]\n\nM = 10%", "own.cfg, line 3: [cosplace] M = 10%: write %% for a percent sign."),
}


@pytest.mark.parametrize(("config", "message"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_configuration_mistake_is_one_line(config: str, message: str, city: Path, luigi: Luigi) -> None:
    done = luigi("BuildGroups", "--dataset-folder", str(city), config=config)
    assert done.returncode != 0
    assert done.stderr.count(message) == 1
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_unwritable_artifacts_folder_is_one_message(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    done = luigi("BuildManifest", "--dataset-folder", str(city))
    assert done.returncode != 0
    assert "choose --artifacts-folder" in done.stderr
    assert "Traceback" not in done.stderr
