"""Counts of a manifest against plain Python over the same rows."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.inspect.bars import ASCII
from data_manifest.inspect.summary import show_summary, summarise
from data_manifest.store.recipe import Recipe

PublishTables = Callable[..., Path]
RECIPE = Recipe("manifest", "city", 1, {"strict": True}, {"images": "0123"})
REJECTS = ["odd name"] * 3 + ["no position"] * 5 + ["a twin"] * 3


def image(number: int, rng: random.Random) -> dict[str, Any]:
    zone, band = rng.choice([(10, "S"), (10, "T"), (9, "S"), (10, None), (None, "S"), (None, None)])
    return {
        "path": f"{number:04}.jpg",
        **{"utm_east": 0.0, "utm_north": 0.0, "utm_zone": zone, "utm_band": band},
        "heading": rng.choice([0.0, 29.999, 30.0, 59.0, 210.0, 330.0, 359.99, None]),
        "year": rng.choice([2007, 2013, 2013, None]),
        "pano_id": rng.choice(["a", "b", "c", "None", None]),
    }


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    rng = random.Random(1)
    return [image(number, rng) for number in range(500)]


@pytest.fixture
def artifact(rows: list[dict[str, Any]], publish_tables: PublishTables) -> Path:
    rejects = [{"path": f"{n}.gif", "reason": reason, "detail": "?"} for n, reason in enumerate(REJECTS)]
    tables = {"manifest": [rows[:200], [], rows[200:]], "rejects": [rejects[:4], rejects[4:], []]}
    return publish_tables(RECIPE, tables, {"origin": "/images/city", "repeats": 7})


def test_the_keys_and_the_counts(artifact: Path, rows: list[dict[str, Any]]) -> None:
    facts = summarise(artifact)
    identity = {"stage": "manifest", "name": "city", "digest": RECIPE.digest, "path": str(artifact)}
    assert list(facts) == [
        *("stage", "name", "digest", "path", "origin", "files", "images", "rejects", "repeats", "panoramas"),
        *("rejects_by_reason", "images_by_year", "images_by_zone", "images_by_heading", "without_heading"),
        "oddities",
    ]
    assert identity.items() <= facts.items()
    assert (facts["origin"], facts["files"], facts["images"], facts["rejects"]) == ("/images/city", 511, 500, 11)
    assert (facts["repeats"], facts["panoramas"]) == (7, 4)
    assert facts["rejects_by_reason"] == [
        {"reason": "no position", "files": 5},
        {"reason": "a twin", "files": 3},
        {"reason": "odd name", "files": 3},
    ]
    years = Counter(row["year"] for row in rows)
    assert facts["images_by_year"] == [{"year": year, "images": years[year]} for year in (2007, 2013, None)]
    zones = Counter((row["utm_zone"], row["utm_band"]) for row in rows)
    in_order = [(9, "S"), (10, "S"), (10, "T"), (10, None), (None, "S"), (None, None)]
    assert facts["images_by_zone"] == [
        {"utm_zone": zone, "utm_band": band, "images": zones[zone, band]} for zone, band in in_order
    ]


@pytest.mark.parametrize(
    "counts",
    [
        {"headings": {"below 0": 2, "-1": 0}, "UTM kept": {"swapped": 3}},
        {"rejects": 11, "rejects: odd name": 3, "headings: below 0": 2, "headings: -1": 0, "UTM kept: swapped": 3},
    ],
    ids=["nested", "as stored before"],
)
def test_unusual_values(counts: dict[str, Any], publish_tables: PublishTables) -> None:
    facts = summarise(publish_tables(RECIPE, {"manifest": [[]], "rejects": [[]]}, counts))
    assert facts["oddities"] == [{"what": "headings: below 0", "images": 2}, {"what": "UTM kept: swapped", "images": 3}]
    assert "  headings: below 0  2" in show_summary(facts, ASCII).splitlines()


def test_headings_fall_into_twelve_bins(artifact: Path, rows: list[dict[str, Any]]) -> None:
    facts = summarise(artifact)
    headings = [row["heading"] for row in rows]
    assert [(row["from"], row["to"]) for row in facts["images_by_heading"]] == [
        (30 * k, 30 * k + 30) for k in range(12)
    ]
    for row in facts["images_by_heading"]:
        assert row["to"] == row["from"] + 30
        assert row["images"] == sum(h is not None and row["from"] <= h < row["to"] for h in headings)
    assert facts["without_heading"] == headings.count(None)


def test_the_text_has_every_count(artifact: Path, rows: list[dict[str, Any]]) -> None:
    text = show_summary(summarise(artifact), ASCII)
    lines = text.splitlines()
    assert lines[0] == f"manifest city, {artifact}"
    assert {"  files      511", "  images     500", "  rejects     11", "  repeats      7", "  panoramas    4"} <= set(
        lines
    )
    assert "  no position  5  45.5%  " + "#" * 30 in lines
    unknown = sum(row["utm_zone"] is None and row["utm_band"] is None for row in rows)
    assert any(line.split()[:2] == ["none", str(unknown)] for line in lines)
    assert {"10S", "10T", "10?", "?S"} <= {line.split()[0] for line in lines if line}
    assert text.isascii()


def test_a_manifest_without_rejects_or_panoramas(publish_tables: PublishTables) -> None:
    images = [{"path": "a.jpg", "utm_east": 1.0, "utm_north": 2.0}]
    facts = summarise(publish_tables(RECIPE, {"manifest": [images], "rejects": [[]]}))
    assert (facts["files"], facts["rejects"], facts["panoramas"], facts["without_heading"]) == (1, 0, 0, 1)
    assert (facts["rejects_by_reason"], facts["origin"], facts["repeats"]) == ([], None, None)
    text = show_summary(facts, ASCII)
    assert "rejects by reason" not in text
    assert "repeats" not in text


def test_no_column_is_read_that_is_not_counted(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    collect = pl.LazyFrame.collect

    def noted(frame: pl.LazyFrame, *, engine: Any = "auto") -> Any:
        assert engine == "streaming"
        plans.append(frame.explain())
        return collect(frame, engine=engine)

    monkeypatch.setattr(pl.LazyFrame, "collect", noted)
    summarise(artifact)
    assert len(plans) == 3
    assert sorted(plan.split("PROJECT ")[1].split(" COLUMNS")[0] for plan in plans) == ["1/19", "1/3", "4/19"]


def test_groups_are_no_manifest(publish_tables: PublishTables) -> None:
    groups = publish_tables(Recipe("groups", "city", 1, {}, {}), {"classes": [[]]})
    with pytest.raises(UserError, match="is of the stage groups: summary needs manifest or verified"):
        summarise(groups)
