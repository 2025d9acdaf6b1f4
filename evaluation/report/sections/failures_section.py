"""The section on the failures: a map of the queries, and pictures of the worst ones and of a random sample."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_manifest.progress import Progress
from data_manifest.tables import scan_table
from evaluation.report.charts.mini_map import MiniMap
from evaluation.report.format_values import format_distance
from evaluation.report.make_thumbnails import make_thumbnails
from evaluation.report.page.blocks import Block, Gallery, Note, Section
from evaluation.report.sections.queries_map import locate_queries, plot_queries
from evaluation.report.sections.query_outcomes import CORRECT, INCORRECT, UNANSWERABLE, SetResult, worst_first
from evaluation.settings import METRES

MATCHES = 5
SEED = 0
LEGEND = (
    "✓ in a green frame: correct, within the radius of positives. ✗ in a dashed orange frame: incorrect. Dotted frame, "
    "shown if the first match is incorrect: the ground truth, the positive with the most similar heading. Below a "
    "picture: year, heading, and distance from the query. Click a picture to enlarge it."
)
NEVER, LATE = "never", "late"  # kinds of incorrect outcomes
IMAGE_COLUMNS = ("path", "heading", "year", "utm_east", "utm_north")
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

    anchor: str
    kind: str
    state: str
    verdict: str
    path: str
    place: int | None
    sample: int
    pictures: list[Picture]
    map: MiniMap | None


def failures_section(
    results: Sequence[SetResult], limit: int, on_percentage: Callable[[int], None] | None = None
) -> Section:
    """Return the section on the failures, with pictures of at most `limit` queries per test set."""
    located = [locate_queries(result) for result in results]
    shown = [choose_shown(result.outcomes, limit) for result in results]
    cards = [list(_cards(*each)) for each in zip(shown, located, results, strict=True)]
    uses = Counter(picture.file for of_set in cards for card in of_set for picture in card.pictures)
    with Progress("making thumbnails", len(uses), "pictures", on_percentage) as progress:
        thumbnails = make_thumbnails(uses, progress)
    blocks: list[Block] = []
    for each, rows, of_set, result in zip(located, shown, cards, results, strict=True):
        anchors = {card.path: card.anchor for card in of_set}
        blocks += [*result.heading(), result.charts([plot_queries(result, each, anchors)])]
        if limit:
            labels = kinds(int(result.predictions["rank"].to_numpy().max()))
            counts = {kind: (label, sum(card.kind == kind for card in of_set)) for kind, label in labels.items()}
            blocks += [Note(f"{_count_shown(rows, len(result.outcomes), limit)} {LEGEND}")]
            blocks += [Gallery(of_set, thumbnails, counts, nested=bool(result.suffix))]
    lead = f"Where queries fail, and pictures of queries with their {MATCHES} best matches, worst first."
    return Section("failures", "Failures", lead if limit else "No pictures: --report-queries is 0.", blocks)


def kinds(num_matches: int) -> dict[str, str]:
    """Return the kinds of outcomes with their labels, worst first, given the number of stored matches."""
    return {
        NEVER: f"no correct match in the top {num_matches}",
        LATE: f"first correct match at rank 2 to {num_matches}",
        UNANSWERABLE: "no positive in the database",
        CORRECT: "correct at the first match",
    }


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


def _cards(shown: pl.DataFrame, located: pl.DataFrame, result: SetResult) -> Iterator[Card]:
    """Yield a card per query with the query, its matches and, if the first match is incorrect, the ground truth."""
    database, queries = result.test_set.database, result.test_set.queries
    unit = result.test_set.unit
    best = result.predictions.filter(pl.col("rank") <= MATCHES).join(shown, on="query_path", how="semi")
    paths = pl.concat([best["database_path"], shown["example"].drop_nulls()]).unique().alias("path").to_frame()
    table = scan_table(database.manifest.folder, "manifest").select(IMAGE_COLUMNS)
    images = {row["path"]: row for row in table.join(paths.lazy(), on="path", how="semi").collect().to_dicts()}
    matches = best.sort("query_path", "rank").partition_by("query_path", as_dict=True)
    places = dict(located.select("query_path", "place").iter_rows())
    for number, row in enumerate(shown.iter_rows(named=True)):
        path, state, truth = row["query_path"], row["state"], None
        pictures = [Picture(queries.folder / path, "query", "Query", _facts(row), path, "the query")]
        found = matches[(path,)].to_dicts()
        for match in found:
            role, mark = (CORRECT, "✓") if match["correct"] else (INCORRECT, "✗")
            distance, name = format_distance(match["distance_m"], unit), match["database_path"]
            facts = _facts(images[name], f"{distance} off")
            alt = f"match {match['rank']}, {role}: {distance} from the query, similarity {match['score']:.3f}"
            pictures.append(Picture(database.folder / name, role, f"{mark} {match['rank']}", facts, name, alt))
        if state != CORRECT and (name := row["example"]) is not None:
            truth = _offset(row, images[name]) if unit == METRES else None
            off = [f"{format_distance(math.hypot(*truth))} off"] if truth else []
            facts, alt = _facts(images[name], *off), "the ground truth, a positive of the query"
            pictures.append(Picture(database.folder / name, "positive", "Ground truth", facts, name, alt))
        small_map = None
        if state != CORRECT and unit == METRES and math.isfinite(row["match_distance"]):
            small_map = MiniMap(_offset(row, images[found[0]["database_path"]]), truth, result.test_set.threshold)
        kind, anchor = kind_of(row), f"query{result.suffix}-{number}"
        yield Card(anchor, kind, state, verdict(row), path, places.get(path), row["sample"], pictures, small_map)


def _offset(query: Row, image: Row) -> tuple[float, float]:
    """Return the metres east and north from a query to an image of its UTM zone."""
    return image["utm_east"] - query["utm_east"], image["utm_north"] - query["utm_north"]


def _facts(image: Row, *facts: str) -> str:
    year = [] if image["year"] is None else [f"{image['year']}"]
    heading = [] if image["heading"] is None else [f"{image['heading']:.0f}°"]
    return "\N{NO-BREAK SPACE}· ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in [*year, *heading, *facts])


def kind_of(outcome: Row) -> str:
    """Return the kind of the outcome of a query: `never`, `late`, or its state."""
    if outcome["state"] == INCORRECT:
        return NEVER if outcome["first_correct"] is None else LATE
    return str(outcome["state"])


def verdict(outcome: Row) -> str:
    """Return the title of a query's card; the filter says the rest."""
    ranked = f"First correct match: rank {outcome['first_correct']}"
    return {NEVER: "Incorrect", LATE: ranked, UNANSWERABLE: "No positive", CORRECT: "Correct"}[kind_of(outcome)]
