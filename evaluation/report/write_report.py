"""The report stage: from an evaluation, and what led to it, to a published page with its figures."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.progress import Progress, working
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from evaluation.recipe import ImageDigests, files_of
from evaluation.report import text
from evaluation.report.charts.style import conventions
from evaluation.report.page.blocks import Section
from evaluation.report.page.render_page import render_page
from evaluation.report.recipe import PAGE, report_recipe
from evaluation.report.sections.data import data_section
from evaluation.report.sections.groups import groups_section
from evaluation.report.sections.pictures import pictures_section
from evaluation.report.sections.provenance import python_call, recipe_section
from evaluation.report.sections.result import read_results
from evaluation.report.sections.results import results_section
from evaluation.report.sections.training import training_section
from evaluation.report.settings import ReportSettings
from evaluation.report.sources import Sources

logger = logging.getLogger(__name__)


def write_report(
    evaluation: Path,
    artifacts: Path,
    settings: ReportSettings | None = None,
    *,
    images_folders: Mapping[ImageDigests, Path] | None = None,
    command: str | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Write the report of an evaluation, and return the folder of the published page and its figures.

    Its images, and the groups and the training of its model, are found by their digests; a model from elsewhere has
    none. What is published already is not made again.

    Args:
        evaluation: Folder of a published evaluation, or of a comparison of several.
        artifacts: Where artifacts are published.
        settings: How many pictures are shown.
        images_folders: Folders of images, by their digests; by default those that were evaluated.
        command: What makes all of it again, for the page; the call of this function if none is given.
        on_percentage: Told of the progress.

    Raises:
        UserError: There is no such evaluation, the manifests of its images or the images are gone, or images changed
            since they were evaluated.
    """
    settings = settings or ReportSettings()
    evaluation = evaluation.resolve()  # `current` may come to lead elsewhere meanwhile
    asked = read_recipe(evaluation)
    recipe = report_recipe(asked["name"], asked["digest"], settings)
    if published := find_published(artifacts, recipe):
        return published
    sources = Sources.of(evaluation, artifacts, images_folders)
    command = command or python_call(evaluation, artifacts, settings)
    summary: dict[str, str] = {}
    with conventions(), publishing(artifacts, recipe, summary) as staging:
        sections = _sections(sources, settings, command, on_percentage)
        if settings.report_queries:
            _require_unchanged(sources)  # once the thumbnails are made: they would be of other images
        plots = [plot for section in sections for plot in section.plots]
        with Progress("drawing figures", len(plots), "figures") as progress:
            for plot in plots:
                plot.write(staging)
                progress.advance()
        (staging / PAGE).write_text(render_page(_title(sources), _facts(sources), sections), "utf-8")
        summary["made"] = f"{PAGE} with {len(plots)} figures"
    return recipe.folder(artifacts)


def _sections(
    sources: Sources, settings: ReportSettings, command: str, on_percentage: Callable[[int], None] | None
) -> list[Section]:
    with working("counting images, groups and recalls for the report"):
        results = read_results(sources.tested)
        counted = [
            data_section(sources),
            groups_section(sources),
            training_section(sources),
            results_section(results),
        ]
    return [
        *counted,
        pictures_section(results, settings.report_queries, on_percentage),
        recipe_section(sources, command),
    ]


def _require_unchanged(sources: Sources) -> None:
    """Raise UserError if images are not in the states in which they were evaluated."""
    states: dict[tuple[Path, Path], ImageStates] = {}  # test sets may share a database
    for tested in sources.tested:
        for role, images in (("database", tested.database), ("queries", tested.queries)):
            key = (images.manifest.folder, images.folder)
            states[key] = states.get(key) or stat_manifest(*key)
            if states[key].digest != tested.evaluation.recipe["inputs"].get(files_of(role)):
                raise UserError(
                    f"{images.folder}: images changed after they were evaluated. Run EvaluateCosPlace again, then "
                    "WriteReport"
                )


def _title(sources: Sources) -> str:
    """Return what the page is on: the test set or, if there are several, the model."""
    if len(sources.tested) == 1:
        return str(sources.asked.recipe["name"])
    return f"{sources.tested[0].evaluation.settings['backbone']} on {len(sources.tested)} test sets"


def _facts(sources: Sources) -> list[tuple[str, str]]:
    """Return what a reader wants to know first."""
    first = sources.tested[0].evaluation
    network = (first.settings["backbone"], f"descriptors of {first.settings['fc_output_dim']:,} numbers")
    recalls = [read_table(each.evaluation.folder, "recalls") for each in sources.tested]
    best = [(f"{text.percent(table['recall'][0])} %", f"R@{table['k'][0]}") for table in recalls]
    if len(best) > 1:
        return [
            network,
            *((value, f"{name}, {each.name}") for (value, name), each in zip(best, sources.tested, strict=True)),
        ]
    row = recalls[0].row(0, named=True)
    return [
        *((f"{text.percent(each['recall'])} %", f"R@{each['k']}") for each in recalls[0].head(2).to_dicts()),
        network,
        (text.count(row["queries"]), "queries"),
        (text.count(row["database_images"]), "database images"),
        (f"{first.settings['positive_dist_threshold']:g} {sources.tested[0].unit}", "right within"),
    ]
