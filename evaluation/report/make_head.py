"""Make the head of the page: title, date, model and commit, the main figures, and where the model fails most."""

from datetime import UTC, datetime
from typing import Any

from data_manifest.store.recipe import RECIPE_FILE
from evaluation.report.find_inputs import ReportInputs
from evaluation.report.format_values import format_count, format_percent
from evaluation.report.page.blocks import Head, Tile
from evaluation.report.sections.provenance_section import code_commit
from evaluation.report.sections.query_outcomes import SetResult
from evaluation.report.sections.recall_breakdown import weakest_bin
from evaluation.settings import METRES

WEIGHTS_FILE = "model.pth"


def make_head(inputs: ReportInputs, results: list[SetResult]) -> Head:
    """Return the head of the page."""
    first = inputs.test_sets[0]
    settings = first.evaluation.recipe["settings"]
    network = f"{settings['backbone']}-{settings['fc_output_dim']}"
    if inputs.training and inputs.training.recipe["settings"].get("epochs_num") == 0:
        network = f"Untrained {network}"
    evaluated = datetime.fromtimestamp((first.evaluation.folder / RECIPE_FILE).stat().st_mtime, UTC)
    is_single = len(results) == 1
    model = (
        str(inputs.training.folder / WEIGHTS_FILE) if inputs.training else first.evaluation.recipe["inputs"]["model"]
    )
    facts = [("evaluated", f"{evaluated:%Y-%m-%d}"), ("model", model)]
    if commit := code_commit():
        facts.append(("commit", commit))
    sentences = [
        ("" if is_single else f"{each.test_set.title}: ") + weakest_bin(each.outcomes, each.test_set.unit)
        for each in results
    ]
    tiles = _tiles_of_set(results[0], settings) if is_single else [_recall_tile(each) for each in results]
    title = f"{network} on {first.title if is_single else f'{len(results)} test sets'}"
    return Head(title, facts, tiles, sentences)


def _tiles_of_set(result: SetResult, settings: dict[str, Any]) -> list[Tile]:
    first, unit = result.recalls.row(0, named=True), result.test_set.unit
    tiles = [_recall_tile(result)]
    if result.untrained is not None:
        tiles.append(Tile(f"{format_percent(result.untrained['recall'][0])} %", f"R@{first['k']} untrained"))
    if (published := first.get("published_recall")) is not None:
        tiles.append(Tile(f"{format_percent(published)} %", f"R@{first['k']} published", first["published_source"]))
    return [
        *tiles,
        Tile(f"{result.test_set.threshold:g} {'m' if unit == METRES else unit}", "radius of positives"),
        Tile(format_count(first["queries"]), "queries"),
        Tile(format_count(first["database_images"]), "database images"),
        Tile(format_count(settings["fc_output_dim"]), "dimensions"),
    ]


def _recall_tile(result: SetResult) -> Tile:
    first = result.recalls.row(0, named=True)
    low, high = first.get("interval_low"), first.get("interval_high")
    interval = "" if low is None or high is None else f"95 % interval: {low:.1f} to {high:.1f}"
    label = f"R@{first['k']}" + (f", {result.test_set.title}" if result.suffix else "")
    return Tile(f"{format_percent(first['recall'])} %", label, interval)
