"""The section of pictures: queries with their five best matches, the worst ones and a random sample."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_manifest.progress import Progress
from data_manifest.tables import read_table
from evaluation.report import text
from evaluation.report.blocks import Gallery, Note, Section
from evaluation.report.outcomes import RIGHT, STATES, UNANSWERABLE, worst_first
from evaluation.report.sources import Sources
from evaluation.report.thumbnails import Thumbnail, make_thumbnails

MATCHES = 5
SEED = 0
QUERY, RIGHT_MATCH, WRONG_MATCH, POSITIVE = "query", "right", "wrong", "positive"
Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture of a card: what it is to the query, and what is said below it."""

    file: Path
    role: str
    title: str
    facts: str
    path: str


@dataclass(frozen=True)
class Card:
    """A query with its matches; `sample` is its place in the random sample, -1 if it is not part of it."""

    state: str
    verdict: str
    path: str
    sample: int
    pictures: list[tuple[Picture, Thumbnail]]


def pictures_section(
    sources: Sources,
    predictions: pl.DataFrame,
    outcomes: pl.DataFrame,
    folders: dict[str, Path],
    limit: int,
    on_percentage: Callable[[int], None] | None = None,
) -> Section:
    """Return the section of pictures; `folders` holds where those of "database" and "queries" lie."""
    if not limit:
        return Section("pictures", "Pictures", "No pictures were asked for: see --report-queries.")
    shown = choose_shown(outcomes, limit)
    cards = list(_cards(shown, predictions, _about(sources), folders))
    uses = Counter(picture.file for _, pictures in cards for picture in pictures)
    with Progress("making thumbnails", len(uses), "pictures", on_percentage) as progress:
        thumbnails = make_thumbnails(uses, progress)
    gallery = [
        Card(
            row["state"],
            verdict(row),
            row["query_path"],
            row["sample"],
            [(each, thumbnails[each.file]) for each in own],
        )
        for row, own in cards
    ]
    of_all = "all" if len(shown) == len(outcomes) else f"{len(shown):,} of the"
    lead = f"Shown are {of_all} {len(outcomes):,} queries, each with its {MATCHES} best matches, the best one first."
    legend = Note(
        "✓ in a green frame: close enough to the query. ✗ in a dashed red frame: too far away. "
        "In a dotted frame, where the first match is wrong: a database image that would have been right."
    )
    counts = {state: sum(card.state == state for card in gallery) for state in STATES}
    return Section("pictures", "Pictures", lead, [legend, Gallery(gallery, counts)])


def choose_shown(outcomes: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Return the outcomes to show, the worst first, with their place in the random sample (-1: not in it).

    All of them if there are no more than the limit, else half as many of the worst, and the rest at random.
    """
    ordered = worst_first(outcomes)
    shuffled = np.random.default_rng(SEED).permutation(len(ordered))
    if len(ordered) > limit:
        shuffled = shuffled[: limit - limit // 2]
    places = np.full(len(ordered), -1, dtype=np.int64)
    places[shuffled] = np.arange(len(shuffled))
    numbered = ordered.with_row_index("place").with_columns(sample=pl.Series(places))
    return numbered.filter((pl.col("place") < limit // 2) | (pl.col("sample") >= 0)).drop("place")


def _about(sources: Sources) -> dict[str, Row]:
    """Return heading and year of each database image."""
    table = read_table(sources.database.folder, "manifest", ["path", "heading", "year"])
    return {path: {"heading": heading, "year": year} for path, heading, year in table.iter_rows()}


def _cards(
    shown: pl.DataFrame, predictions: pl.DataFrame, about: dict[str, Row], folders: dict[str, Path]
) -> Iterator[tuple[Row, list[Picture]]]:
    best = predictions.filter(pl.col("rank") <= MATCHES).join(shown.select("query_path"), on="query_path", how="semi")
    matches = best.sort("query_path", "rank").partition_by("query_path", as_dict=True)
    for row in shown.iter_rows(named=True):
        path = row["query_path"]
        pictures = [Picture(folders["queries"] / path, QUERY, "query", _facts(row), path)]
        for match in matches[(path,)].iter_rows(named=True):
            found = match["database_path"]
            role, mark = (RIGHT_MATCH, "✓") if match["correct"] else (WRONG_MATCH, "✗")
            title = f"{mark} {match['rank']} · {text.metres(match['distance_m'])}"
            facts = _facts(about[found], f"{match['score']:.2f}")
            pictures.append(Picture(folders["database"] / found, role, title, facts, found))
        if row["state"] != RIGHT and row["example"] is not None:
            found = row["example"]
            pictures.append(
                Picture(folders["database"] / found, POSITIVE, "would be right", _facts(about[found]), found)
            )
        yield row, pictures


def _facts(image: Row, *more: str) -> str:
    known = [*more]
    if image["year"] is not None:
        known.append(f"{image['year']}")
    if image["heading"] is not None:
        known.append(text.degrees(image["heading"]))
    return " · ".join(known)


def verdict(outcome: Row) -> str:
    """Return what became of a query, in words."""
    if outcome["state"] == UNANSWERABLE:
        return "no positive in the database"
    if outcome["first_right"] is None:
        return "wrong: no right match among those kept"
    if outcome["first_right"] == 1:
        return "right at the first match"
    return f"wrong: the first right match is number {outcome['first_right']}"
