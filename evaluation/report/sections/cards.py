"""Cards of queries: pictures of the query, its best matches and the ground truth, and a small map."""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_manifest.images.images_folder import ImagesFolder
from data_manifest.tables import scan_table
from evaluation.report.charts.mini_map import MiniMap
from evaluation.report.format_values import format_distance
from evaluation.report.sections.query_outcomes import CORRECT, INCORRECT, UNANSWERABLE, SetResult
from evaluation.settings import METRES

MATCHES = 5
NEVER, LATE = "never", "late"  # kinds of incorrect outcomes
IMAGE_COLUMNS = ("path", "heading", "year", "utm_east", "utm_north")
Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture of a card; its role (query, correct, incorrect, positive) is its CSS class."""

    file: ImagesFolder
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


def kinds(num_matches: int) -> dict[str, str]:
    """Return the kinds of outcomes with their labels, worst first, given the number of stored matches."""
    return {
        NEVER: f"no correct match in the top {num_matches}",
        LATE: f"first correct match at rank 2 to {num_matches}",
        UNANSWERABLE: "no positive in the database",
        CORRECT: "correct at the first match",
    }


def make_cards(shown: pl.DataFrame, located: pl.DataFrame, result: SetResult) -> list[Card]:
    """Return a card per query, in the order of `shown`; `located` are the queries with their places."""
    best = result.predictions.filter(pl.col("rank") <= MATCHES).join(shown, on="query_path", how="semi")
    paths = pl.concat([best["database_path"], shown["example"].drop_nulls()]).unique().alias("path").to_frame()
    table = scan_table(result.test_set.database.manifest.folder, "manifest").select(IMAGE_COLUMNS)
    images = {row["path"]: row for row in table.join(paths.lazy(), on="path", how="semi").collect().to_dicts()}
    matches = best.sort("query_path", "rank").partition_by("query_path", as_dict=True)
    places = dict(located.select("query_path", "place").iter_rows())
    cards = []
    for number, query in enumerate(shown.iter_rows(named=True)):
        path, anchor = query["query_path"], f"query{result.suffix}-{number}"
        found = [{**match, **images[match["database_path"]]} for match in matches[(path,)].iter_rows(named=True)]
        truth = images.get(query["example"]) if query["state"] != CORRECT else None
        kind, title = kind_of(query), verdict(query)
        pictures = _pictures(query, found, truth, result)
        small_map = _map(query, found[0], truth, result)
        cards.append(
            Card(anchor, kind, query["state"], title, path, places.get(path), query["sample"], pictures, small_map)
        )
    return cards


def _pictures(query: Row, matches: list[Row], truth: Row | None, result: SetResult) -> list[Picture]:
    database, queries, unit = result.test_set.database.folder, result.test_set.queries.folder, result.test_set.unit
    path = query["query_path"]
    pictures = [Picture(queries / path, "query", "Query", _facts(query), path, "query")]
    for match in matches:
        role, mark = (CORRECT, "✓") if match["correct"] else (INCORRECT, "✗")
        facts = _facts(match, f"{format_distance(match['distance_m'], unit)} off")
        title, alt = f"{mark} {match['rank']}", f"match {match['rank']}, {role}, similarity {match['score']:.3f}"
        pictures.append(Picture(database / match["path"], role, title, facts, match["path"], alt))
    if truth:
        off = [f"{format_distance(math.hypot(*_offset(query, truth)))} off"] if unit == METRES else []
        facts, path = _facts(truth, *off), truth["path"]
        pictures.append(Picture(database / path, "positive", "Ground truth", facts, path, "ground truth"))
    return pictures


def _map(query: Row, match: Row, truth: Row | None, result: SetResult) -> MiniMap | None:
    """Return the map of a failure, or None without coordinates or if the match is in another UTM zone."""
    is_known = result.test_set.unit == METRES and math.isfinite(query["match_distance"])
    if query["state"] == CORRECT or not is_known:
        return None
    return MiniMap(_offset(query, match), _offset(query, truth) if truth else None, result.test_set.threshold)


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
