"""The section of pictures: queries with their five best matches, the worst ones and a random sample."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_manifest.progress import Progress
from data_manifest.tables import scan_table
from evaluation.report import text
from evaluation.report.page.blocks import Block, Gallery, Note, Section
from evaluation.report.sections.outcomes import RIGHT, STATES, UNANSWERABLE, worst_first
from evaluation.report.sections.result import Result
from evaluation.report.thumbnails import Thumbnail, make_thumbnails

MATCHES = 5
SEED = 0
LEGEND = (
    "✓ in a green frame: close enough to the query. ✗ in a dashed red frame: too far away. "
    "In a dotted frame, where the first match is wrong: a database image that would have been right. "
    "Below a match: its rank, how far it is from the query, how similar it is (1 is the same), year, and heading."
)
QUERY, RIGHT_MATCH, WRONG_MATCH, POSITIVE = "query", "right", "wrong", "positive"
Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture of a card: what it is to the query, what is said below it, and what one sees who does not see it."""

    file: Path
    role: str
    title: str
    facts: str
    path: str
    alt: str


@dataclass(frozen=True)
class Card:
    """A query with its matches; `sample` is its place in the random sample, -1 if it is not part of it."""

    state: str
    verdict: str
    path: str
    sample: int
    pictures: list[tuple[Picture, Thumbnail]]


def pictures_section(
    results: Sequence[Result], limit: int, on_percentage: Callable[[int], None] | None = None
) -> Section:
    """Return the section of pictures, of so many queries of each test set."""
    if not limit:
        return Section("pictures", "Pictures", "No pictures were asked for: see --report-queries.")
    shown = [choose_shown(result.outcomes, limit) for result in results]
    cards = [list(_cards(rows, result)) for rows, result in zip(shown, results, strict=True)]
    uses = Counter(picture.file for of_set in cards for _, pictures in of_set for picture in pictures)
    with Progress("making thumbnails", len(uses), "pictures", on_percentage) as progress:
        thumbnails = make_thumbnails(uses, progress)
    blocks: list[Block] = [Note(LEGEND)]
    for rows, of_set, result in zip(shown, cards, results, strict=True):
        blocks += [
            *result.heading(),
            Note(_said(rows, len(result.outcomes), limit)),
            _gallery(of_set, result, thumbnails),
        ]
    lead = f"Queries with their {MATCHES} best matches, the best one first."
    return Section("pictures", "Pictures", lead, blocks)


def _said(shown: pl.DataFrame, num_queries: int, limit: int) -> str:
    if len(shown) == num_queries:
        return f"Shown are all {num_queries:,} queries."
    sampled = int((shown["sample"] >= 0).sum())
    return f"Shown are the {limit // 2:,} worst of {num_queries:,} queries, and {sampled:,} of all at random."


def _gallery(
    cards: Sequence[tuple[Row, list[Picture]]], result: Result, thumbnails: Mapping[Path, Thumbnail]
) -> Gallery:
    kept = int(result.predictions["rank"].to_numpy().max())
    gallery = [
        Card(
            row["state"],
            verdict(row, kept),
            row["query_path"],
            row["sample"],
            [(each, thumbnails[each.file]) for each in own],
        )
        for row, own in cards
    ]
    counts = {state: sum(card.state == state for card in gallery) for state in STATES}
    return Gallery(gallery, counts, nested=bool(result.mark))


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


def _about(result: Result, paths: pl.Series) -> dict[str, Row]:
    """Return heading and year of database images."""
    wanted = paths.unique().alias("path").to_frame().lazy()
    table = scan_table(result.tested.database.manifest.folder, "manifest").select("path", "heading", "year")
    found = table.join(wanted, on="path", how="semi").collect(engine="streaming")
    return {path: {"heading": heading, "year": year} for path, heading, year in found.iter_rows()}


def _cards(shown: pl.DataFrame, result: Result) -> Iterator[tuple[Row, list[Picture]]]:
    predictions = result.predictions
    database, queries = result.tested.database.folder, result.tested.queries.folder
    best = predictions.filter(pl.col("rank") <= MATCHES).join(shown.select("query_path"), on="query_path", how="semi")
    about = _about(result, pl.concat([best["database_path"], shown["example"].drop_nulls()]))
    matches = best.sort("query_path", "rank").partition_by("query_path", as_dict=True)
    for row in shown.iter_rows(named=True):
        path = row["query_path"]
        pictures = [Picture(queries / path, QUERY, "query", _facts(row), path, "the query")]
        for match in matches[(path,)].iter_rows(named=True):
            found = match["database_path"]
            role, mark = (RIGHT_MATCH, "✓") if match["correct"] else (WRONG_MATCH, "✗")
            off = text.distance(match["distance_m"], result.tested.unit)
            facts = _facts(about[found], f"{match['score']:.3f}")
            alt = f"match {match['rank']}, {role}: {off} from the query"
            pictures.append(Picture(database / found, role, f"{mark} {match['rank']} · {off}", facts, found, alt))
        if row["state"] != RIGHT and row["example"] is not None:
            found = row["example"]
            facts, alt = _facts(about[found]), "a database image that would be right"
            pictures.append(Picture(database / found, POSITIVE, "would be right", facts, found, alt))
        yield row, pictures


def _facts(image: Row, *more: str) -> str:
    known = [*more]
    if image["year"] is not None:
        known.append(f"{image['year']}")
    if image["heading"] is not None:
        known.append(text.degrees(image["heading"]))
    return " · ".join(known)


def verdict(outcome: Row, kept: int) -> str:
    """Return what became of a query, of which so many matches are kept, in words."""
    if outcome["state"] == UNANSWERABLE:
        return "no positive in the database"
    if outcome["first_right"] is None:
        return f"wrong: none of the {kept} best matches is right"
    if outcome["first_right"] == 1:
        return "right at the first match"
    return f"wrong: the first right match is number {outcome['first_right']}"
