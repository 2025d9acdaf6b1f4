"""The section on the provenance: every setting, digest and version, and the command that rebuilds everything."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evaluation.report.find_inputs import Artifact, ReportInputs
from evaluation.report.format_values import format_setting
from evaluation.report.page.blocks import Block, Code, Section, Table
from evaluation.report.settings import ReportSettings

PACKAGES = (
    *("cosplace-pipeline", "torch", "torchvision", "faiss-cpu", "polars", "pyarrow", "numpy", "Pillow"),
    "matplotlib",
)
DIRTY = "-dirty"


def provenance_section(inputs: ReportInputs, command: str) -> Section:
    """Return the section on what determined the model, its evaluation and this page."""
    artifacts, commit = inputs.artifacts(), code_commit()
    changes = "  # plus uncommitted changes" if commit.endswith(DIRTY) else ""
    checkout = f"git checkout {commit.removesuffix(DIRTY)}{changes}\n" if commit else ""
    blocks: list[Block] = [Code(checkout + command, "Reproduce this report"), _table_of_artifacts(artifacts)]
    blocks += [_table_of_settings(artifact) for artifact in artifacts if artifact.recipe["settings"]]
    blocks.append(_table_of_versions())
    lead = "Every setting and input. A digest is a hash of the settings and inputs of an artifact."
    return Section("provenance", "Provenance", lead, blocks)


@functools.cache
def code_commit() -> str:
    """Return the short commit of this code, with `-dirty` after uncommitted changes; empty outside a repository."""
    folder = Path(__file__).parent
    tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)  # not a repository around the package
    return _git(folder, "describe", "--always", f"--dirty={DIRTY}", "--exclude=*") if tracked else ""


def _git(folder: Path, *words: str) -> str:
    try:
        return subprocess.run(["git", "-C", folder, *words], capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _table_of_artifacts(artifacts: list[Artifact]) -> Table:
    recipes = [artifact.recipe for artifact in artifacts]
    rows = [[recipe["stage"], recipe["name"], recipe["summary"]["made"], recipe["digest"]] for recipe in recipes]
    return Table("Artifacts, from the images to the evaluation", ("stage", "name", "content", "digest"), rows)


def _table_of_settings(artifact: Artifact) -> Table:
    rows = []
    for name, value in artifact.recipe["settings"].items():
        if isinstance(value, dict):  # settings of an input
            rows += [[f"{name}: {inner}", format_setting(each)] for inner, each in value.items()]
        else:
            rows.append([name, format_setting(value)])
    caption = f"Settings of {artifact.recipe['stage']} {artifact.recipe['name']}"
    return Table(caption, ("setting", "value"), rows, folded=True)


def _table_of_versions() -> Table:
    rows = [["Python", platform.python_version()], ["system", f"{platform.system()} {platform.machine()}"]]
    for package in PACKAGES:
        try:
            rows.append([package, version(package)])
        except PackageNotFoundError:  # for example this project, if it is not installed
            continue
    return Table("Versions on the machine that wrote this page", ("", "version"), rows, folded=True)


def python_call(evaluation: Path, artifacts: Path, settings: ReportSettings) -> str:
    """Return the Python code that writes this report."""
    arguments = f"    Path({str(evaluation)!r}),\n    Path({str(artifacts)!r}),\n    {settings!r},\n"
    return (
        "from pathlib import Path\n\n"
        "from evaluation.report.settings import ReportSettings\n"
        "from evaluation.report.write_report import write_report\n\n"
        f"write_report(\n{arguments})"
    )
