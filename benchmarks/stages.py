"""Runs BuildManifest and BuildGroups as a user would, and measures them: from nothing, unchanged, and changed.

"One folder changed" is measured on a folder in the middle of 300, in two ways: one image is added to it; and every
second of its images is renamed to another panorama and heading, so that half of its rows are others and classes lose
and win images. Before each run the disk is let come to rest, and the sources come to be older than 2 seconds, since
younger modification times are not trusted.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from measure import Command, Measured, as_gigabytes, as_seconds, measure, median, note, peak_memory

from data_manifest.store.find import list_current
from data_manifest.store.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_SETTLE = 2.5
RUNS_UNCHANGED = 3
AGAIN = (
    *("nothing changed", "the same with --rescan", "one image added: BuildManifest", "BuildGroups"),
    *("every second image of a folder renamed: BuildManifest", "BuildGroups"),
)


@dataclass(frozen=True)
class Apart:
    """The two stages, each by a command of its own."""

    manifest: Measured
    groups: Measured


@dataclass(frozen=True)
class Rounds:
    """What was measured on one data set; but for `Apart`, with the manifest built by BuildGroups as well."""

    whole: Measured
    nothing: Measured
    rescanned: Measured  # as `nothing`, but trusting no modification time
    apart: Apart
    added: Apart
    renamed: Apart
    peak_bytes: int  # of `whole`
    classes: int


@dataclass(frozen=True)
class Data:
    """A data set: the folder of images, which may be a list beside it alone, where its artifacts go, and its size."""

    train: Path
    artifacts: Path
    count: int

    def command(self, task: str, *options: str) -> Command:
        """Return the command of a task."""
        words = [sys.executable, "-m", "luigi", "--module", "workflows", task, *options]
        folders = ["--train-folder", str(self.train), "--artifacts-folder", str(self.artifacts)]
        return Command([*words, *folders], {**os.environ, "PYTHONPATH": str(ROOT)}, ROOT)

    def run(self, task: str, expected: str, *options: str) -> Measured:
        """Measure a task.

        Raises:
            RuntimeError: It failed, or did not say what is expected.
        """
        measured = measure(self.command(task, *options))
        note(f"{' '.join((task, *options))}: {measured}")
        if expected not in measured.output:
            raise RuntimeError(f"{task} did not say {expected!r}:\n{measured.output}")
        return measured

    def forget(self) -> None:
        """Remove what was made, so that the next run starts from nothing."""
        shutil.rmtree(self.artifacts, ignore_errors=True)
        settle()


def run_rounds(data: Data, adding: AbstractContextManager[None], renaming: AbstractContextManager[None]) -> Rounds:
    """Measure all runs on a data set; the two contexts change it, and change it back.

    Raises:
        RuntimeError: The data set is not as it was made.
    """
    data.forget()
    peak_bytes = peak_memory(data.command("BuildGroups"))
    note(f"memory of BuildGroups: {as_gigabytes(peak_bytes)}")
    data.forget()
    whole = data.run("BuildGroups", "BuildGroups made")
    nothing, rescanned = run_unchanged(data), run_unchanged(data, "--rescan")
    made = {path.parent.parent.name: read_recipe(path)["summary"] for path in list_current(data.artifacts)}
    if made["manifest"]["files"] != data.count:
        raise RuntimeError(
            f"{data.train}: {made['manifest']['files']} images, not {data.count}: remove it, to be remade"
        )
    data.forget()
    apart = build_apart(data)
    with adding:
        added = build_apart(data)
    with renaming:
        renamed = build_apart(data)
    data.forget()
    return Rounds(whole, nothing, rescanned, apart, added, renamed, peak_bytes, made["groups"]["classes"])


def run_unchanged(data: Data, *options: str) -> Measured:
    """Run BuildGroups where there is nothing to do."""
    return median(data.run("BuildGroups", "BuildGroups: up to date", *options) for _ in range(RUNS_UNCHANGED))


def build_apart(data: Data) -> Apart:
    """Run BuildManifest, then BuildGroups."""
    settle()
    manifest = data.run("BuildManifest", "BuildManifest made")
    os.sync()
    return Apart(manifest, data.run("BuildGroups", "BuildGroups made"))


def settle() -> None:
    """Wait until earlier work is on the disk, and what was changed last is old enough to be trusted."""
    os.sync()
    time.sleep(SECONDS_TO_SETTLE)


def again(rounds: Rounds) -> Iterable[str]:
    """Return the cells of `AGAIN`: shares of the time of the same stage from nothing."""
    yield str(rounds.nothing)
    yield str(rounds.rescanned)
    for changed in (rounds.added, rounds.renamed):
        yield share(changed.manifest, rounds.apart.manifest)
        yield share(changed.groups, rounds.apart.groups)


def share(part: Measured, full: Measured) -> str:
    """Return what share of the full time a run took, by the wall clock and in user time."""
    by_clock, by_user = part.seconds / full.seconds, part.user_seconds / full.user_seconds
    return f"{by_clock:.2f} (user {by_user:.2f}): {as_seconds(part.seconds)} of {as_seconds(full.seconds)}"
