"""The section on certainties of the town, whose first place is answered correctly, with certainties by hand."""

import dataclasses
from pathlib import Path

import polars as pl
import pytest

from data_manifest import schemas
from data_manifest.tables import write_table
from evaluation.metrics.precision_recall import auprc_table
from evaluation.report.find_inputs import Artifact, find_inputs
from evaluation.report.page.blocks import Charts, Note, Table
from evaluation.report.sections.certainty_section import certainty_section, table_of_areas
from evaluation.report.sections.query_outcomes import SetResult, read_result
from tests.evaluation.report.conftest import Town

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.7, 0.8, 0.9)
CORRECT = (True, True, True, False, True, False, False, False, False)


@pytest.fixture
def result(town: Town) -> SetResult:
    (tested,) = find_inputs(town.evaluation, town.artifacts).test_sets
    return read_result(tested)


def with_certainties(result: SetResult, folder: Path, correct: tuple[bool, ...]) -> SetResult:
    paths = [f"{number}.jpg" for number in range(9)]
    columns = {"similarity": [0.5] * 9, "ratio": RATIOS, "spread": [1e6 * ratio for ratio in RATIOS]}
    certainty = pl.DataFrame({"query_path": paths, **columns, "correct": correct})
    auprc = auprc_table("town", certainty)
    for name, content, schema in (
        ("certainty", certainty, schemas.CERTAINTY),
        ("auprc", auprc, schemas.AUPRC),
    ):
        write_table(content, folder / name / "part.parquet", schema)
    evaluation = Artifact(folder, result.test_set.evaluation.recipe)
    return dataclasses.replace(result, test_set=dataclasses.replace(result.test_set, evaluation=evaluation))


def test_curves_areas_and_thresholds_by_hand(result: SetResult, tmp_path: Path) -> None:
    section = certainty_section([with_certainties(result, tmp_path, CORRECT)])
    charts, table, *notes = section.blocks
    assert isinstance(charts, Charts)
    curve = charts.plots[0].data.filter(certainty="ratio").drop("certainty")
    third, last = curve.row(2, named=True), curve.row(-1, named=True)
    assert third == {"threshold": 0.3, "answered": 3, "precision": 100.0, "recall": 75.0}
    assert last["precision"] == pytest.approx(100 * 4 / 9)
    assert "ratio 91.7" in charts.plots[0].alt, "3/4 * 1 + 1/4 * 4/6, as equal certainties are answered together"
    assert isinstance(table, Table)
    by_words = {row[0]: row[1:] for row in table.rows}
    ratio, similarity = (
        by_words[name]
        for name in ("ratio of its distance to that of the second place", "cosine similarity to the first match")
    )
    assert (ratio[0], *ratio[2:]) == ("91.7", *("at most 0.3", "33.3") * 2)
    assert (similarity[0], *similarity[2:]) == ("44.4", *("-", "0.0") * 2)
    texts = [note.text for note in notes if isinstance(note, Note)]
    assert texts[0] == "For 90 % correct answers, answer if the ratio is at most 0.3: 3 of 9 queries are answered."


def test_a_threshold_near_1_is_not_rounded_to_it() -> None:
    row = {"certainty": "similarity", "auprc": 90.0, "interval_low": 80.0, "interval_high": 95.0, "queries": 10}
    limits = {"threshold_90": 0.99987, "answered_90": 5, "threshold_95": 1.0, "answered_95": 1}
    (cells,) = table_of_areas(pl.DataFrame([row | limits])).rows
    assert [cells[3], cells[5]] == ["at least 0.99987", "at least 1"]


def test_no_correct_query_and_an_old_evaluation_have_no_curve(result: SetResult, tmp_path: Path) -> None:
    empty = Artifact(tmp_path, result.test_set.evaluation.recipe)
    old = dataclasses.replace(result, test_set=dataclasses.replace(result.test_set, evaluation=empty))
    assert [type(block) for block in certainty_section([old]).blocks] == [Note]
    (note,) = certainty_section([with_certainties(result, tmp_path, (False,) * 9)]).blocks
    assert isinstance(note, Note)
    assert note.text == "No first match is correct, so there is no curve."


def test_the_most_certain_query_may_be_wrong(result: SetResult, tmp_path: Path) -> None:
    *_, note = certainty_section([with_certainties(result, tmp_path, (False, *CORRECT[1:]))]).blocks
    assert isinstance(note, Note)
    assert note.text == "No ratio is certain enough for 95 % correct answers."
