"""The parameters that follow from a command's arguments, and the next command."""

from pathlib import Path

import pytest

import workflows  # noqa: F401 -- registers the tasks
from cosplace import run_task
from cosplace.run_task import completed, next_step
from cosplace.stage_progress import format_seconds
from data_manifest.errors import UserError

NAME = "@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg"
ARTIFACT = Path("A/evaluation/city/digest")


@pytest.mark.parametrize(("file", "source"), [(NAME, "names"), ("IMG_1.jpg", "exif")])
def test_embed_chooses_the_source_by_the_file_names(file: str, source: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    values = {"model": "m.pth", "photos_folder": str(tmp_path)}
    assert completed("embed", values) == {**values, "part": "photos", "source": source}
    assert completed("embed", {**values, "source": "table"})["source"] == "table"


def test_report_takes_a_model_or_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_task, "is_evaluation", lambda path: path == "an evaluation")
    assert completed("report", {"model": "an evaluation", "report_queries": "3"}) == {
        **{"evaluation": "an evaluation", "report_queries": "3"}
    }
    assert completed("report", {"model": "m.pth"}) == {"model": "m.pth"}
    assert completed("report", {"dataset_folder": "city"}) == {"dataset_folder": "city"}


@pytest.mark.parametrize("name", ["evaluate", "report", "embed"])
def test_settings_of_the_training_do_not_apply_to_a_model(name: str) -> None:
    given = {"model": "m.pth", "photos_folder": "p", "backbone": "ResNet18", "M": "20", "min_images_per_class": "1"}
    with pytest.raises(UserError, match=r"^--M, --min-images-per-class: no effect, because m\.pth is already trained"):
        completed(name, given)


@pytest.mark.parametrize(
    ("name", "given", "following"),
    [
        (
            "manifest",
            {"dataset_folder": "my city", "rescan": "true"},
            "groups --dataset-folder 'my city' --rescan true",
        ),
        ("manifest", {"part": "photos", "photos_folder": "p"}, f"advise {ARTIFACT}"),
        ("manifest", {"part": "val/database"}, None),
        ("verify", {"train_folder": "t", "check": "header"}, "groups --train-folder t --verified header"),
        ("split", {"photos_folder": "p", "split": "area"}, "groups --photos-folder p --split area"),
        ("groups", {"config": "a.cfg", "M": "20"}, "train --config a.cfg --M 20"),
        ("train", {"lr": "1"}, f"evaluate {ARTIFACT}"),
        ("seeds", {}, f"show {ARTIFACT}"),
        ("evaluate", {"model": "m.pth"}, f"report {ARTIFACT}"),
        ("embed", {"model": "m.pth"}, f"localize --model m.pth --database {ARTIFACT} PHOTO"),
        ("crop", {"output_folder": "o"}, None),
    ],
)
def test_next_command(name: str, given: dict[str, str], following: str | None) -> None:
    assert next_step(name, ARTIFACT, given) == (following and f"Next: cosplace {following}")


def test_report_ends_with_the_page() -> None:
    assert next_step("report", Path("A/report/city"), {}) == "Open A/report/city/report.html"


def test_an_evaluation_without_ground_truth_ends_with_its_predictions(tmp_path: Path) -> None:
    (tmp_path / "msls_prediction.csv").touch()
    assert next_step("evaluate", tmp_path, {}) == f"Predictions for mapillary_sls: {tmp_path / 'msls_prediction.csv'}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (9000, "2 h 30 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
