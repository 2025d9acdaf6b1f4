"""The section on the failures: a map of the queries, and pictures of the worst ones and of a random sample."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from data_manifest.progress import Progress
from evaluation.report.make_thumbnails import make_thumbnails
from evaluation.report.page.blocks import Block, Gallery, Note, Section
from evaluation.report.sections.cards import MATCHES, kinds, make_cards
from evaluation.report.sections.queries_map import locate_queries, plot_queries
from evaluation.report.sections.query_outcomes import SetResult, worst_first

SEED = 0
LEGEND = (
    "✓ in a green frame: correct, within the radius of positives. ✗ in a dashed orange frame: incorrect. Dotted frame, "
    "shown if the first match is incorrect: the ground truth, the positive with the most similar heading. Below a "
    "picture: year, heading, and distance from the query. Click a picture or press Enter to enlarge it. The arrow keys "
    "lead to the next picture."
)


def failures_section(
    results: Sequence[SetResult], limit: int, on_percentage: Callable[[int], None] | None = None
) -> Section:
    """Return the section on the failures, with pictures of at most `limit` queries per test set."""
    located = [locate_queries(result) for result in results]
    shown = [choose_shown(result.outcomes, limit) for result in results]
    cards = [make_cards(*each) for each in zip(shown, located, results, strict=True)]
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
    lead = f"A map of the queries, and pictures of them with their {MATCHES} best matches, worst first."
    return Section("failures", "Failures", lead if limit else "No pictures: --report-queries is 0.", blocks)


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
