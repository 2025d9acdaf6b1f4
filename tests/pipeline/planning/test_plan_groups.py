import json
import logging
import math
import os
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.__main__ import main
from pipeline.groups import preselected_images as selection
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.planning.plan_groups import EpochSettings, Plan, plan_groups
from tests.pipeline.planning.conftest import fields_at
from training.settings import TrainingSettings

ROOT = Path(__file__).parents[3]
NameWith = Callable[..., str]
Run = Callable[..., str]


def plans_of(images: Path, tmp_path: Path, *groupings: GroupSettings) -> list[Plan]:
    return plan_groups(images, tmp_path / "A", groupings, EpochSettings(batch_size=4, iterations_per_epoch=300))[1]


def plainly_counted(settings: GroupSettings, years: tuple[int, ...]) -> dict[int, Counter[tuple[int, ...]]]:
    """The rule in plain Python: group -> class -> images, without the classes that have too few."""
    groups: dict[int, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for image in fields_at(seed=1):
        if image["heading"] != "" and (not years or image["timestamp"] in years):
            u, v = (math.floor(image[side] / settings.M) for side in ("utm_east", "utm_north"))
            w = math.floor(image["heading"] / settings.alpha)
            group = (u % settings.N * settings.N + v % settings.N) * settings.L + w % settings.L
            groups[group][u, v, w] += 1
    enough = {
        group: Counter({key: count for key, count in classes.items() if count >= settings.min_images_per_class})
        for group, classes in groups.items()
    }
    return {group: classes for group, classes in enough.items() if classes}


@pytest.mark.parametrize(
    ("values", "years"),
    [
        ({"M": 20, "alpha": 60, "N": 2, "L": 2, "min_images_per_class": 2}, ()),
        ({"M": 50, "alpha": 90, "N": 3, "L": 1, "min_images_per_class": 8}, ()),
        ({"M": 25, "alpha": 60, "N": 2, "L": 3, "min_images_per_class": 3, "years": "2014-"}, (2014, 2015)),
    ],
)
def test_plans_agree_with_plain_python(
    train: Path, tmp_path: Path, values: dict[str, Any], years: tuple[int, ...]
) -> None:
    settings = GroupSettings(**values)
    (plan,) = plans_of(train, tmp_path, settings)
    expected = plainly_counted(settings, years)
    counts = plan.groups.select("group_index", "classes", "images", "times_shown", "trainable")
    assert counts.rows() == [
        (group, len(classes), classes.total(), 4 * 300 / len(classes), len(classes) >= 4)
        for group, classes in sorted(expected.items())
    ]
    sizes = [count for classes in expected.values() for count in classes.values()]
    assert (plan.images_per_class["least"], plan.images_per_class["most"]) == (min(sizes), max(sizes))
    assert plan.images_per_class["median"] in (statistics.median_low(sizes), statistics.median_high(sizes))
    assert plan.summary["images"] == sum(sizes)
    assert plan.groups.filter(pl.col("read_in_1").is_null())["trainable"].to_list() == [
        False for classes in expected.values() if len(classes) < 4
    ]
    assert not plan.error


def test_plans_agree_with_built_groups(train: Path, tmp_path: Path) -> None:
    groupings = [
        GroupSettings(M=M, alpha=60, min_images_per_class=least, years=years)
        for M in (25, 50)
        for least in (1, 4)
        for years in (None, "2013,2015")
    ]
    plans = plans_of(train, tmp_path, *groupings)
    manifest = build_manifest(train, tmp_path / "B")
    for plan in plans:
        groups = build_groups(manifest, tmp_path / "B", plan.settings)
        built = read_recipe(groups)["summary"]
        assert plan.summary == {
            name: value for name, value in built.items() if name not in ("made", "files_from_before")
        }
        classes = read_table(groups, "classes")
        assert plan.groups["images"].sum() == classes["num_images"].sum()
        assert plan.groups["group_index"].to_list() == classes["group_index"].unique().sort().to_list()


def test_plan_has_the_error_of_building(run: Run) -> None:
    assert "cannot be built: years = 2030: none of the 500 images is of these years" in run("--years", "2030")
    (plan,) = json.loads(run("--years", "2030", "--format", "json"))["plans"]
    assert (plan["classes"], plan["by_group"], plan["images_per_class"]["median"]) == (0, [], None)
    assert plan["error"].endswith(" without a year.")


def test_preselected_images_are_warned_of(
    train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name_with: NameWith
) -> None:
    plans_of(train, tmp_path, GroupSettings(M=20))
    assert not caplog.records
    monkeypatch.setattr(selection, "MIN_CLASSES", 1)
    (tmp_path / "train_images_paths.txt").write_text(name_with())
    with caplog.at_level(logging.WARNING):
        plans_of(train, tmp_path, GroupSettings(), GroupSettings(M=20))
    (message,) = caplog.messages
    assert message.startswith("M = 20, alpha = 30, N = 5, L = 2: with M = 10")


def test_default_epoch_is_that_of_training() -> None:
    training = TrainingSettings()
    assert EpochSettings() == EpochSettings(training.batch_size, training.iterations_per_epoch)
    with pytest.raises(UserError, match="batch_size = 0 must be at least 1"):
        EpochSettings(batch_size=0)


def test_grouping_parameters_are_options(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--M X [X ...] side of a cell, in metres [10.0]" in shown
    for option in ("--alpha", "--N", "--L", "--min-images-per-class", "--years"):
        assert f"{option} " in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--M", "ten"), "M = 'ten': expected a number"),
        (("train", "--years", "2018-2013"), "years = '2018-2013': 2018-2013 runs backwards"),
        (("train", "--alpha", "30", "0"), "alpha = 0: a heading bin is more than 0"),
        (("nowhere",), "nowhere: no such folder"),
        (("rejects",), "none of the 1 files is a usable image"),
        (("A/groups/g/1",), "is of the stage groups: plan needs manifest"),
    ],
)
def test_user_errors(train: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "rejects_images_paths.txt").write_text("@1@2.jpg\n")
    (tmp_path / "A/groups/g/1").mkdir(parents=True)
    recipe = {"stage": "groups", "name": "g", "digest": "1", "settings": {}, "summary": {}}
    (tmp_path / "A/groups/g/1/recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        main(["plan", str(tmp_path / arguments[0]), *arguments[1:]])


def test_warnings_and_errors_go_to_stderr(train: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "plan", str(train), "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def output(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = output("--alpha", "50", "--years", "-2014")
    assert json.loads(done.stdout)["plans"][0]["settings"]["years"] == "-2014"
    assert "alpha = 50 does not divide 360" in done.stderr, "warnings are no part of the JSON"
    mistaken = output("--M", "0")
    assert mistaken.returncode != 0
    assert (mistaken.stdout, mistaken.stderr) == ("", "ERROR: M = 0: a cell needs a side of more than 0 metres\n")
