"""The section of pictures: queries with their best matches, the worst ones and a random sample."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_manifest.progress import Progress
from data_manifest.tables import scan_table
from evaluation.report.format_values import format_distance
from evaluation.report.make_thumbnails import make_thumbnails
from evaluation.report.page.blocks import Block, Gallery, Note, Section
from evaluation.report.sections.query_outcomes import CORRECT, INCORRECT, STATES, UNANSWERABLE, SetResult, worst_first

MATCHES = 5
SEED = 0
LEGEND = (
    "✓ in a green frame: correct, within the threshold. ✗ in a dashed red frame: incorrect. Dotted frame, shown if "
    "the first match is incorrect: a positive. Below a match: rank, distance to the query, similarity (1 is equal), "
    "year and heading."
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture of a card; its role (query, correct, incorrect, positive) is its CSS class."""

    file: Path
    role: str
    title: str
    facts: str
    path: str
    alt: str


@dataclass(frozen=True)
class Card:
    """A query with its matches; `sample` is its position in the random sample, or -1."""

    state: str
    label: str
    verdict: str
    path: str
    sample: int
    pictures: list[Picture]


def pictures_section(
    results: Sequence[SetResult], limit: int, on_percentage: Callable[[int], None] | None = None
) -> Section:
    """Return the section of pictures, with at most `limit` queries per test set."""
    if not limit:
        return Section("pictures", "Pictures", "No pictures: --report-queries is 0.")
    shown = [choose_shown(result.outcomes, limit) for result in results]
    cards = [_cards(rows, result) for rows, result in zip(shown, results, strict=True)]
    uses = Counter(picture.file for of_set in cards for card in of_set for picture in card.pictures)
    with Progress("making thumbnails", len(uses), "pictures", on_percentage) as progress:
        thumbnails = make_thumbnails(uses, progress)
    blocks: list[Block] = [Note(LEGEND)]
    for rows, of_set, result in zip(shown, cards, results, strict=True):
        counts = {label: sum(card.label == label for card in of_set) for label in STATES.values()}
        note = Note(_count_shown(rows, len(result.outcomes), limit))
        blocks += [*result.heading(), note, Gallery(of_set, thumbnails, counts, nested=bool(result.suffix))]
    return Section("pictures", "Pictures", f"Queries with their {MATCHES} best matches, best first.", blocks)


def choose_shown(outcomes: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Return the outcomes to show, worst first, with their position in the random sample (-1: not sampled).

    All are shown if there are at most `limit`, else the worst `limit // 2` and a sample of `limit - limit // 2`.
    """
    ordered = worst_first(outcomes)
    shuffled = np.random.default_rng(SEED).permutation(len(ordered))
    if len(ordered) > limit:
        shuffled = shuffled[: limit - limit // 2]
    positions = np.full(len(ordered), -1, dtype=np.int64)
    positions[shuffled] = np.arange(len(shuffled))
    sampled = ordered.with_columns(sample=pl.Series(positions))
    return sampled.filter((pl.int_range(pl.len()) < limit // 2) | (pl.col("sample") >= 0))


def _count_shown(shown: pl.DataFrame, num_queries: int, limit: int) -> str:
    if len(shown) == num_queries:
        return f"All {num_queries:,} queries."
    sampled = int((shown["sample"] >= 0).sum())
    return f"The {limit // 2:,} worst of {num_queries:,} queries, and a random sample of {sampled:,}."


def _cards(shown: pl.DataFrame, result: SetResult) -> list[Card]:
    """Return a card per query with the query, its matches and, if the first match is incorrect, a positive."""
    database, queries = result.test_set.database, result.test_set.queries
    best = result.predictions.filter(pl.col("rank") <= MATCHES).join(shown, on="query_path", how="semi")
    num_matches = int(result.predictions["rank"].to_numpy().max())
    paths = pl.concat([best["database_path"], shown["example"].drop_nulls()]).unique().alias("path").to_frame()
    table = scan_table(database.manifest.folder, "manifest").select("path", "heading", "year")
    images = {row["path"]: row for row in table.join(paths.lazy(), on="path", how="semi").collect().to_dicts()}
    matches = best.sort("query_path", "rank").partition_by("query_path", as_dict=True)
    cards = []
    for row in shown.iter_rows(named=True):
        path, state = row["query_path"], row["state"]
        pictures = [Picture(queries.folder / path, "query", "query", _facts(row), path, "the query")]
        for match in matches[(path,)].iter_rows(named=True):
            found, role, mark = match["database_path"], *((CORRECT, "✓") if match["correct"] else (INCORRECT, "✗"))
            distance = format_distance(match["distance_m"], result.test_set.unit)
            title, facts = f"{mark} {match['rank']} · {distance}", _facts(images[found], f"{match['score']:.3f}")
            alt = f"match {match['rank']}, {STATES[role]}: {distance} from the query"
            pictures.append(Picture(database.folder / found, role, title, facts, found, alt))
        if state != CORRECT and (found := row["example"]) is not None:
            facts, alt = _facts(images[found]), "a positive of the query"
            pictures.append(Picture(database.folder / found, "positive", "positive", facts, found, alt))
        cards.append(Card(state, STATES[state], describe_outcome(row, num_matches), path, row["sample"], pictures))
    return cards


def _facts(image: Row, *facts: str) -> str:
    year = [] if image["year"] is None else [f"{image['year']}"]
    heading = [] if image["heading"] is None else [f"{image['heading']:.0f}°"]
    return " · ".join([*facts, *year, *heading])


def describe_outcome(outcome: Row, num_matches: int) -> str:
    """Return the outcome of a query in words, given the number of stored matches."""
    if outcome["state"] == UNANSWERABLE:
        return "no positive in the database"
    if outcome["first_correct"] is None:
        return f"incorrect: none of the {num_matches} best matches is correct"
    if outcome["first_correct"] == 1:
        return "correct at the first match"
    return f"incorrect: the first correct match has rank {outcome['first_correct']}"
