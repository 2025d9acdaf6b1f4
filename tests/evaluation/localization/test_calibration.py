"""The share of equally certain queries against a loop over them, and the evaluation that calibrates a database."""

import functools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.tables import read_table, write_table
from evaluation.descriptors.build_descriptors import build_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.localization import find_database as database_finding
from evaluation.localization.calibration import MIN_QUERIES, Calibration
from evaluation.localization.find_database import find_database
from evaluation.localization.localize import Localizer
from evaluation.settings import WITHIN_25_M
from pipeline.manifest.build_manifest import build_manifest
from tests.evaluation.conftest import LONG_AGO, City, list_images, on_cpu, paint
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network


def calibration(values: list[float], correct: list[bool]) -> Calibration:
    return Calibration.of(pl.DataFrame({"ratio": [-value for value in values], "correct": correct}), WITHIN_25_M)


def test_the_share_is_that_of_the_nearest_queries() -> None:
    generator = np.random.default_rng(0)
    ratios = generator.permutation(400) / 400
    correct = generator.random(400) < 1 - ratios
    calibrated = calibration((-ratios).tolist(), correct.tolist())
    for ratio in (0.25, 0.501, 0.7):
        nearest = sorted(range(400), key=lambda query: abs(ratios[query] - ratio))
        found = calibrated.certainty_of(ratio)
        assert found.queries == MIN_QUERIES
        assert found.percent == pytest.approx(100 * correct[nearest[:MIN_QUERIES]].mean(), abs=2.1), "one query"
        hits = round(found.percent * MIN_QUERIES / 100)
        interval = binomtest(hits, MIN_QUERIES).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((100 * interval.low, 100 * interval.high), abs=0.01)
    most_certain = calibrated.certainty_of(-1.0)
    assert most_certain.percent == pytest.approx(100 * correct[ratios < MIN_QUERIES / 400].mean())
    assert calibrated.certainty_of(2.0).percent == pytest.approx(100 * correct[ratios >= 350 / 400].mean())


def test_equal_queries_count_together_in_any_order() -> None:
    values, correct = [0.0] * 90 + [-1.0] * 90, [True] * 80 + [False] * 100
    shuffled = np.random.default_rng(0).permutation(180)
    for order in (np.arange(180), shuffled):
        calibrated = calibration(np.array(values)[order].tolist(), np.array(correct)[order].tolist())
        certain, uncertain = calibrated.certainty_of(0.0), calibrated.certainty_of(1.0)
        assert [certain.percent, certain.queries] == pytest.approx([100 * 80 / 90, 90])
        assert (uncertain.percent, uncertain.queries) == (0.0, 90)
        assert calibrated.certainty_of(0.5).queries == 180, "between them, both count"


def test_fewer_queries_all_count() -> None:
    certainty = calibration([-0.1, -0.2, -0.9], [True, True, False]).certainty_of(0.15)
    assert [certainty.percent, certainty.queries] == pytest.approx([200 / 3, 3])
    text = "correct (within 25 metres) for 66.7 % of the 3 test queries as certain as this (95 % interval 21 to 94"
    assert str(certainty).startswith(text)


def test_an_evaluation_of_this_model_database_and_search_calibrates(
    evaluation: Path, city: City, model: TrainedModel, artifacts: Path, tmp_path: Path
) -> None:
    find = functools.partial(find_database, device="cpu", num_workers=0)
    database = find(evaluation, model)
    assert database.evaluation == evaluation.resolve()
    newer = evaluate_cosplace(model, database.images, city("others", 2.0), artifacts, on_cpu(16))
    assert find(evaluation, model) == database, "the given one first"
    descriptors = find(database.descriptors, model)
    assert descriptors.evaluation == newer.resolve(), "else the newest"

    other_index = find(evaluation, model, "hnsw")
    assert other_index.evaluation is None
    command = f"cosplace evaluate {model.path} --test-folder {tmp_path / 'city'} --test-queries queries --index hnsw"
    assert f"no evaluation of this database and model has certainties. Run `{command}`" in other_index.uncalibrated

    (tmp_path / "city" / "queries").rename(tmp_path / "city" / "queries_v1")
    command = command.replace("queries --index", "queries_v1 --index")
    assert f"Run `{command}`" in find(database.descriptors, model, "hnsw").uncalibrated, "the folder beside it"
    (tmp_path / "city" / "queries_v1").rename(tmp_path / "city" / "queries")

    save_network(GeoLocalizationNet(model.backbone, model.fc_output_dim), tmp_path / "other.pth")
    other = TrainedModel(tmp_path / "other.pth", model.backbone, model.fc_output_dim)
    uncalibrated = find(evaluation, other)
    assert uncalibrated.evaluation is None
    localizer, photo = Localizer(other, uncalibrated), tmp_path / "city" / "queries" / "red.png"
    (located,) = localizer.localize([photo])
    assert located.certainty is None
    with pytest.raises(
        UserError, match=r"^--min-certainty 0\.9: certainty not calibrated: no evaluation of this database"
    ):
        localizer.localize([photo], min_certainty=0.9)


def test_another_manifest_of_the_same_images_at_the_same_places_is_calibrated(
    model: TrainedModel, artifacts: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / "city" / part for part in ("database", "queries")]
    for folder in folders:
        for number in range(4):
            paint(folder, number, (60 * number, 200 - 30 * number, 90))
    database, queries = (list_images(folder, artifacts) for folder in folders)
    evaluated = evaluate_cosplace(model, database, queries, artifacts, on_cpu(16))

    def calibrated_by(manifest: Path) -> Path | None:
        descriptors = build_descriptors(model, ImageList(manifest, folders[0]), artifacts, on_cpu(16))
        return find_database(descriptors, model, device="cpu", num_workers=0).evaluation

    strict = build_manifest(folders[0], artifacts, strict=True)
    assert calibrated_by(strict) == evaluated.resolve()
    rows = read_table(strict, "manifest").with_columns(pl.col("utm_east") + 1)
    elsewhere = Recipe("manifest", "elsewhere", 1, {}, {})
    with publishing(artifacts, elsewhere, {"made": "some"}) as staging:
        write_table(rows, staging / "manifest" / "part.parquet", schemas.MANIFEST)
    assert calibrated_by(elsewhere.folder(artifacts)) is None
    paint(folders[0], 3, (1, 2, 3), LONG_AGO + 1)
    assert calibrated_by(strict) is None


def test_min_certainty_is_checked_before_images_are_embedded(
    evaluation: Path, model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_network(GeoLocalizationNet(model.backbone, model.fc_output_dim), tmp_path / "other.pth")
    other = TrainedModel(tmp_path / "other.pth", model.backbone, model.fc_output_dim)
    monkeypatch.setattr(database_finding, "build_descriptors", None)
    with pytest.raises(UserError, match=r"^--min-certainty 0\.9: certainty not calibrated"):
        find_database(evaluation, other, min_certainty=0.9)


def test_a_photo_exactly_at_the_minimum_gets_its_position(
    evaluation: Path, model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    localizer = Localizer(model, find_database(evaluation, model, device="cpu", num_workers=0))
    calibrated, photo = calibration([0.0] * 50, [True] * 28 + [False] * 22), tmp_path / "city" / "queries" / "red.png"
    monkeypatch.setattr(localizer, "_calibration", calibrated)
    for minimum, refused in ((0.56, None), (0.57, "not certain enough (56 %)")):
        assert localizer.localize([photo], min_certainty=minimum)[0].refused == refused


def test_photos_below_the_minimum_get_no_position(evaluation: Path, model: TrainedModel, tmp_path: Path) -> None:
    localizer = Localizer(model, find_database(evaluation, model, device="cpu", num_workers=0))
    photo = tmp_path / "city" / "queries" / "red.png"
    (located,) = localizer.localize([photo], min_certainty=1.0)
    assert located.certainty is not None
    assert (located.certainty.percent, located.certainty.queries) == (100.0, 4)
    assert located.matches[0].path == "red.png"
    assert localizer.localize([photo], top=1)[0].certainty == located.certainty, "it does not depend on --top"
