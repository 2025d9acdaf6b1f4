"""The section on the recipe: every setting, the digests, the versions, and the command that makes it again."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evaluation.report.page.blocks import Block, Code, Section, Table
from evaluation.report.settings import ReportSettings
from evaluation.report.sources import Artifact, Sources
from evaluation.report.text import setting_text

PACKAGES = (
    "cosplace-pipeline",
    "torch",
    "torchvision",
    "faiss-cpu",
    "polars",
    "pyarrow",
    "numpy",
    "Pillow",
    "matplotlib",
)


def recipe_section(sources: Sources, command: str) -> Section:
    """Return the section on what made the model, its evaluation and this page."""
    blocks: list[Block] = [Code(command, "The command that makes it again"), _table_of_artifacts(sources)]
    blocks += [_table_of_settings(artifact) for artifact in sources.all() if artifact.settings]
    blocks.append(_table_of_versions())
    return Section(
        "recipe", "Recipe", "What made this, to the last setting; a digest stands for all that is below it.", blocks
    )


def _table_of_artifacts(sources: Sources) -> Table:
    rows = [
        [
            artifact.recipe["stage"],
            artifact.recipe["name"],
            artifact.recipe["summary"]["made"],
            artifact.recipe["digest"],
        ]
        for artifact in sources.all()
    ]
    return Table("Artifacts, from the images to the evaluation", ("stage", "name", "what it is", "digest"), rows)


def _table_of_settings(artifact: Artifact) -> Table:
    rows = []
    for name, value in artifact.settings.items():
        if isinstance(value, dict):  # settings of what it was made with
            rows += [[f"{name}: {inner}", setting_text(each)] for inner, each in value.items()]
        else:
            rows.append([name, setting_text(value)])
    return Table(f"Settings of {artifact.title}", ("setting", "value"), rows, folded=True)


def _table_of_versions() -> Table:
    rows = [["Python", platform.python_version()], ["system", f"{platform.system()} {platform.machine()}"]]
    for package in PACKAGES:
        try:
            rows.append([package, version(package)])
        except PackageNotFoundError:  # as of the project itself, where it is not installed
            continue
    return Table("Versions on the machine that wrote this page", ("", "version"), rows, folded=True)


def python_call(evaluation: Path, artifacts: Path, settings: ReportSettings) -> str:
    """Return the call that writes a report, for one that no command line asked for."""
    arguments = f"    Path({str(evaluation)!r}),\n    Path({str(artifacts)!r}),\n    {settings!r},\n"
    return (
        "from pathlib import Path\n\n"
        "from evaluation.report.settings import ReportSettings\n"
        "from evaluation.report.write_report import write_report\n\n"
        f"write_report(\n{arguments})"
    )
