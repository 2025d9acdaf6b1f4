"""The report stage: from an evaluation, and what led to it, to a published page with its figures."""

import logging
from collections.abc import Callable
from pathlib import Path

import polars as pl

from data_manifest.artefacts import find_published, publishing
from data_manifest.errors import UserError
from data_manifest.tables import read_table
from evaluation.report import text
from evaluation.report.blocks import Section
from evaluation.report.data import data_section
from evaluation.report.groups import groups_section
from evaluation.report.outcomes import read_outcomes
from evaluation.report.page import render_page
from evaluation.report.pictures import pictures_section
from evaluation.report.provenance import python_call, recipe_section
from evaluation.report.recipe import PAGE, report_recipe
from evaluation.report.results import results_section
from evaluation.report.settings import ReportSettings
from evaluation.report.sources import Sources
from evaluation.report.style import conventions
from evaluation.report.training import training_section

logger = logging.getLogger(__name__)


def write_report(
    evaluation: Path,
    database_images: Path,
    query_images: Path,
    artifacts: Path,
    settings: ReportSettings | None = None,
    *,
    command: str | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Write the report of an evaluation, and return the folder of the published page and its figures.

    The groups and the training of the model are found by their digests; a model from elsewhere has none. What is
    published already is not made again.

    Args:
        evaluation: Folder of a published evaluation.
        database_images: Where the database's relative paths begin.
        query_images: Where those of the queries do.
        artifacts: Where artefacts are published.
        settings: How many pictures are shown.
        command: What makes all of it again, for the page; the call of this function if none is given.
        on_percentage: Told of the progress.

    Raises:
        UserError: There is no such evaluation, or the manifests of its images are gone.
    """
    settings = settings or ReportSettings()
    evaluation = evaluation.resolve()  # `current` may come to lead elsewhere meanwhile
    sources = Sources.of(evaluation, artifacts)
    recipe = report_recipe(sources.evaluation.recipe["name"], sources.evaluation.recipe["digest"], settings)
    if published := find_published(artifacts, recipe):
        return published
    folders = {"database": database_images, "queries": query_images}
    for folder in folders.values():
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; the report shows the images in it")
    if command is None:
        paths = {"evaluation": evaluation, "database_images": database_images, "query_images": query_images}
        command = python_call({**paths, "artifacts": artifacts}, settings)
    summary: dict[str, str] = {}
    with conventions(), publishing(artifacts, recipe, summary) as staging:
        sections = _sections(sources, folders, settings, command, on_percentage)
        plots = [plot for section in sections for plot in section.plots]
        for plot in plots:
            plot.write(staging)
        recalls = read_table(evaluation, "recalls")
        (staging / PAGE).write_text(render_page(sources.evaluation.recipe["name"], _facts(recalls, sources), sections))
        summary["made"] = f"{PAGE} with {len(plots)} figures"
    return recipe.folder(artifacts)


def _sections(
    sources: Sources,
    folders: dict[str, Path],
    settings: ReportSettings,
    command: str,
    on_percentage: Callable[[int], None] | None,
) -> list[Section]:
    predictions = read_table(sources.evaluation.folder, "predictions")
    outcomes = read_outcomes(sources, predictions)
    return [
        data_section(sources),
        groups_section(sources),
        training_section(sources),
        results_section(sources, predictions, outcomes),
        pictures_section(sources, predictions, outcomes, folders, settings.report_queries, on_percentage),
        recipe_section(sources, command),
    ]


def _facts(recalls: pl.DataFrame, sources: Sources) -> list[tuple[str, str]]:
    """Return what a reader wants to know first."""
    settings = sources.evaluation.settings
    first = recalls.row(0, named=True)
    return [
        *((f"{text.percent(row['recall'])} %", f"R@{row['k']}") for row in recalls.head(2).to_dicts()),
        (settings["backbone"], f"descriptors of {settings['fc_output_dim']:,} numbers"),
        (text.count(first["queries"]), "queries"),
        (text.count(first["database_images"]), "database images"),
        (f"{settings['positive_dist_threshold']:g} {first.get('threshold_unit') or 'metres'}", "close enough"),
    ]
