import os
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import read_recipe
from evaluation.recipe import ImageDigests, comparison_recipe
from evaluation.report.charts import plot
from evaluation.report.settings import ReportSettings
from evaluation.report.write_report import write_report
from tests.evaluation.report.conftest import COMMAND, HOSTILE, MODEL_DIGEST, Town, publish_evaluation

FIGURES = {
    *("images_map", "headings", "group_map", "heading_bins", "classes_by_group", "images_by_group"),
    *("loss", "validation", "throughput", "recall_curve", "queries_map", "localisation_error"),
    "precision_recall",
}


def test_every_figure_is_in_the_page_and_in_files(report: Path, page: str) -> None:
    assert {folder.name for folder in (report / "figures").iterdir()} == FIGURES
    for name in FIGURES:
        assert len(re.findall(f'<figure id="{name}">', page)) == 1
        with Image.open(report / "figures" / name / f"{name}.png") as picture:
            assert min(picture.size) > 300
        assert len(pl.read_parquet(report / "figures" / name / f"{name}.parquet"))
    for link in re.findall(r'href="(figures/[^"]+)"', page):
        assert (report / link).is_file()


def test_data_of_the_recall_curve(report: Path) -> None:
    curve = pl.read_parquet(report / "figures" / "recall_curve" / "recall_curve.parquet")
    recalls = dict(curve.iter_rows())
    assert recalls[1] == pytest.approx(100 * 4 / 9), "the 4 of the first place"
    assert recalls[4] == pytest.approx(100 * 4 / 9)
    assert recalls[5] == pytest.approx(100 * 8 / 9), "the second place comes after the 4 images of the first"


def test_page_shows_the_numbers(page: str) -> None:
    for words in (
        *("44.4 %", "ResNet18-32 on town, test queries v1", "25 m</dd>", "<dt>dimensions</dt><dd>32</dd>"),
        *("9 queries and 12 database images", "1 query has no positive"),
        *("wrong number of fields", "The best of 4 epochs is 4.", COMMAND),
    ):
        assert words in page, words


def test_file_names_are_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_published_report_is_not_rewritten(town: Town, report: Path) -> None:
    before = (report / "report.html").stat().st_mtime_ns
    assert write_report(town.evaluation, town.artifacts) == report
    assert (report / "report.html").stat().st_mtime_ns == before
    assert (report.parent / "current").resolve() == report.resolve()


def test_equal_inputs_give_equal_bytes(town: Town, report: Path, tmp_path: Path) -> None:
    shutil.copytree(town.artifacts, tmp_path / "again", ignore=shutil.ignore_patterns("report"), symlinks=True)
    evaluation = tmp_path / "again" / town.evaluation.relative_to(town.artifacts)
    again = write_report(evaluation, tmp_path / "again", command=COMMAND)
    files = sorted(
        path.relative_to(report) for path in report.rglob("*") if path.is_file() and path.name != "recipe.json"
    )
    assert len(files) == 2 * len(FIGURES) + 1
    for file in files:
        content = (again / file).read_bytes().replace(bytes(tmp_path / "again"), bytes(town.artifacts))
        assert (report / file).read_bytes() == content, file


def evaluate_model_from_elsewhere(town: Town) -> Path:
    names = {"database": "town-test-database", "queries": "town-test-queries_v1"}
    manifests = {role: (town.artifacts / "manifest" / name / "current").resolve() for role, name in names.items()}
    return publish_evaluation(town.images, town.artifacts, manifests, MODEL_DIGEST)


@pytest.fixture
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw charts fast, in few pixels."""
    monkeypatch.setattr(plot, "DPI", 20)


@pytest.mark.usefixtures("coarse_pictures")
def test_model_from_elsewhere_has_no_groups_and_no_training(town: Town) -> None:
    report = write_report(evaluate_model_from_elsewhere(town), town.artifacts, ReportSettings(report_queries=0))
    page = (report / "report.html").read_text()
    assert page.count("was not trained in this artifacts folder") == 2
    assert "Map of the database images" in page
    assert "write_report(\n    Path(" in page, "the call that rebuilds it"
    assert not (report / "figures" / "group_map").exists()
    assert "<img" not in page


def test_errors_name_what_is_missing(town: Town, tmp_path: Path) -> None:
    others = ReportSettings(report_queries=3)
    inputs = read_recipe(town.evaluation)["inputs"]
    folders = {ImageDigests(inputs["database"], inputs["database_files"]): tmp_path / "nowhere"}
    with pytest.raises(UserError, match=r"no such folder\. The report shows images of the database from it"):
        write_report(town.evaluation, town.artifacts, others, images_folders=folders)
    manifest = (town.artifacts / "manifest" / "town-test-database" / "current").resolve()
    with pytest.raises(UserError, match=r"is of the stage manifest\. Pass an evaluation"):
        write_report(manifest, town.artifacts)
    with pytest.raises(UserError, match=r"The manifest \w+ of the database of .* is not in"):
        write_report(town.evaluation, tmp_path)


def test_images_changed_after_the_evaluation_are_refused(town: Town) -> None:
    image = sorted(town.queries.iterdir())[0]
    before, content = image.stat(), image.read_bytes()
    Image.new("RGB", (80, 60)).save(image)
    others = ReportSettings(report_queries=4)
    published = len(list(town.artifacts.glob("report/*/*")))
    try:
        with pytest.raises(
            UserError, match=f"{town.queries}: images changed after they were evaluated. Evaluate again"
        ):
            write_report(town.evaluation, town.artifacts, others)
    finally:
        image.write_bytes(content)
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(list(town.artifacts.glob("report/*/*"))) == published


@pytest.mark.usefixtures("coarse_pictures")
def test_several_test_sets_on_one_page(town: Town) -> None:
    """A comparison of two evaluations of one model."""
    folders = (town.evaluation, evaluate_model_from_elsewhere(town))
    recipe = comparison_recipe([(folder.parent.name, folder.name) for folder in folders])
    with publishing(town.artifacts, recipe, {"made": "recalls"}):
        pass
    report = write_report(recipe.folder(town.artifacts), town.artifacts, ReportSettings(report_queries=2))
    page = (report / "report.html").read_text()
    assert "<h1>ResNet18-32 on 2 test sets</h1>" in page
    assert page.count('class="gallery"') == 2
    curves = sorted(path.name for path in (report / "figures").glob("recall_curve*"))
    assert curves == ["recall_curve-town_test_queries_v1_1", "recall_curve-town_test_queries_v1_2"]
