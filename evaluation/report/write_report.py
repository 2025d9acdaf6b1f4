"""Write the report of an evaluation: one HTML page, with each figure as PNG and Parquet next to it."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress, working
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import read_recipe
from evaluation.recipe import ImageDigests, files_key
from evaluation.report.charts.style import chart_style
from evaluation.report.find_inputs import ReportInputs, find_inputs
from evaluation.report.make_head import make_head
from evaluation.report.page.blocks import Section
from evaluation.report.page.render_page import render_page
from evaluation.report.sections.certainty_section import certainty_section
from evaluation.report.sections.data_section import data_section
from evaluation.report.sections.failures_section import failures_section
from evaluation.report.sections.groups_section import groups_section
from evaluation.report.sections.provenance_section import provenance_section, python_call
from evaluation.report.sections.query_outcomes import read_results
from evaluation.report.sections.results_section import results_section
from evaluation.report.sections.training_section import training_section
from evaluation.report.settings import PAGE, ReportSettings, report_recipe

logger = logging.getLogger(__name__)


def write_report(
    evaluation: Path,
    artifacts: Path,
    settings: ReportSettings | None = None,
    *,
    images_folders: Mapping[ImageDigests, ImagesFolder] | None = None,
    command: str | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Write the report of an evaluation and return the folder of the published page.

    A report that is already published is returned unchanged. The images, groups and training are found by digest.

    Args:
        evaluation: Folder of a published evaluation, or of a comparison of several.
        artifacts: The artifacts folder.
        settings: What to show.
        images_folders: Image folders by digest; by default those that were evaluated.
        command: Command that rebuilds everything, for the page; by default a call of this function.
        on_percentage: Called with the percentage done.

    Raises:
        UserError: The evaluation, a manifest or an image folder is missing, or images changed after the evaluation.
    """
    settings = settings or ReportSettings()
    evaluation = evaluation.resolve()  # `current` may change while the report is written
    requested = read_recipe(evaluation)
    recipe = report_recipe(requested["name"], requested["digest"], settings)
    if published := find_published(artifacts, recipe):
        return published
    inputs = find_inputs(evaluation, artifacts, images_folders)
    summary: dict[str, str] = {}
    with chart_style(), publishing(artifacts, recipe, summary) as staging:
        with working("counting images, groups and recalls for the report"):
            results = read_results(inputs.test_sets)
            background = [training_section(inputs), data_section(inputs), groups_section(inputs)]
            sections = [results_section(results, inputs.unmeasured), certainty_section(results)]
        sections.append(failures_section(results, settings.report_queries, on_percentage))
        provenance = provenance_section(inputs, command or python_call(evaluation, artifacts, settings))
        sections += [*background, provenance]
        if settings.report_queries:
            _check_unchanged(inputs)  # after the thumbnails are made
        num_figures = _write_figures(sections, staging)
        page = render_page(make_head(inputs, results), sections)
        (staging / PAGE).write_text(page, "utf-8")
        summary["made"] = f"{PAGE} with {num_figures} figures"
    return recipe.folder(artifacts)


def _write_figures(sections: list[Section], folder: Path) -> int:
    plots = [plot for section in sections for plot in section.plots]
    with Progress("drawing figures", len(plots), "figures") as progress:
        for plot in plots:
            plot.write(folder)
            progress.advance()
    return len(plots)


def _check_unchanged(inputs: ReportInputs) -> None:
    """Raise UserError if images changed after they were evaluated."""
    states: dict[tuple[Path, ImagesFolder], ImageStates] = {}  # test sets may share a database
    for each in inputs.test_sets:
        for role, images in (("database", each.database), ("queries", each.queries)):
            key = (images.manifest.folder, images.folder)
            states[key] = states.get(key) or stat_manifest(*key)
            if states[key].digest != each.evaluation.recipe["inputs"].get(files_key(role)):
                raise UserError(
                    f"{images.folder}: images changed after they were evaluated. Evaluate again, then write the report."
                )
