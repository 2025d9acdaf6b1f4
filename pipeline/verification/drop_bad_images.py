"""A manifest without its bad images: those whose check was not `ok` are rejects, with the check's status as reason.

It is an artifact like the manifest, of a stage of its own, and groups are made of either. Partitions without a bad
image are the same files.
"""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.schemas import MANIFEST, REJECTS
from data_manifest.store.files import link_or_copy
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import DIGEST_LENGTH, Recipe, read_recipe
from data_manifest.tables import bad_images, table_files, write_table
from pipeline.execution.executor import run_all
from pipeline.manifest.build_partition import key_of, name_of
from pipeline.verification.settings import NO

VERIFIED, CHECKS = "verified", "checks"
VERSION = 1
BAD = "bad: "  # begins the keys of a summary that count bad images by their status
LEFT_OUT = "images_left_out"


@dataclass(frozen=True)
class Verified:
    """What tells groups of verified images from others: which check they passed, and its artifact."""

    check: str
    checks_digest: str

    @property
    def settings(self) -> dict[str, str]:
        """What is among the settings of the groups."""
        return {VERIFIED: self.check}

    @property
    def inputs(self) -> dict[str, str]:
        """What is among their inputs."""
        return {CHECKS: self.checks_digest}


def verified_alike(check: str) -> Verified | None:
    """Return the same for groups of whatever images that passed a check; None where "no" check is asked for."""
    return None if check == NO else Verified(check, "")


def verified_by(made_from: Mapping[str, Any]) -> Verified | None:
    """Return how the images of an artifact, given by its recipe, were verified; None for a plain manifest."""
    if made_from["stage"] != VERIFIED:
        return None
    return Verified(made_from["settings"]["check"], made_from["inputs"][CHECKS])


def left_out_as_bad(made_from: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the entry of the groups' summary that counts the images left out as bad, by their status."""
    if made_from["stage"] != VERIFIED:
        return {}
    counts = {key: count for key, count in made_from["summary"].items() if key.startswith(BAD)}
    return {LEFT_OUT: {key.removeprefix(BAD): count for key, count in counts.items()}}


def verified_recipe(manifest: Mapping[str, Any], checks: Mapping[str, Any]) -> Recipe:
    """Return what makes a manifest without bad images, from the recipes of a manifest and of its checks, with digests.

    Raises:
        UserError: The checks are those of another manifest.
    """
    if checks["inputs"]["manifest"] != manifest["digest"]:
        raise UserError(f"the checks {checks['name']}/{checks['digest']} are not of the manifest {manifest['digest']}")
    inputs = {"manifest": manifest["digest"], CHECKS: checks["digest"]}
    return Recipe(VERIFIED, manifest["name"], VERSION, {"check": checks["settings"]["check"]}, inputs)


def leave_out_bad(manifest: Path, checks: Path, artifacts: Path, executor: Executor | None = None) -> Path:
    """Publish a manifest without its bad images, and return the folder of the artifact.

    What is published already is not made again.

    Args:
        manifest: Folder of a published manifest.
        checks: Folder of the published checks of its images.
        artifacts: Where artifacts are published.
        executor: Reads and writes the tables; threads of this process by default.

    Raises:
        UserError: The checks are those of another manifest, or no image is left.
    """
    made_from, checked = read_recipe(manifest), read_recipe(checks)
    recipe = verified_recipe(made_from, checked)
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    bad = {key: count for key, count in checked["summary"].items() if key.startswith(BAD)}
    usable = made_from["summary"]["usable"] - sum(bad.values())
    if not usable:
        raise UserError(f"{recipe.name}: all images are bad: see {checks}")
    summary = {**made_from["summary"], **bad, "usable": usable}
    summary["rejects"] = summary["files"] - usable
    summary["made"] = f"{usable:,} usable images, {sum(bad.values()):,} left out as bad"
    with publishing(artifacts.absolute(), recipe, summary) as staging:
        for table in ("manifest", "rejects"):
            (staging / table).mkdir()
        of_key = {key_of(file.name): file for file in table_files(checks.absolute(), CHECKS)}
        jobs = [_Job(file, of_key[key_of(file.name)], staging) for file in table_files(manifest.absolute(), "manifest")]
        with Progress(f"leaving out bad images of {recipe.name}", len(jobs), "partitions") as progress:
            list(run_all(_leave_out, jobs, progress, executor))
    return recipe.folder(artifacts)


@dataclass(frozen=True)
class _Job:
    """A partition: its manifest, its checks, and the artifact that is being made."""

    manifest_file: Path
    checks_file: Path
    folder: Path


def _leave_out(job: _Job) -> None:
    """Write a partition's manifest and rejects, or link them where no image is bad."""
    rejects_file = job.manifest_file.parents[1] / "rejects" / job.manifest_file.name
    found = bad_images(pl.scan_parquet(job.checks_file, glob=False)).collect()
    if found.is_empty():
        for file in (rejects_file, job.manifest_file):
            link_or_copy(file, job.folder / file.parent.name / file.name)
        return
    name = _name_without(job.manifest_file, found["path"])
    rejects = pl.read_parquet(rejects_file, glob=False).with_columns(pl.col("reason").cast(pl.String))
    images = pl.read_parquet(job.manifest_file, glob=False).join(found, on="path", how="anti", maintain_order="left")
    write_table(pl.concat([rejects, found]).sort("path"), job.folder / "rejects" / name, REJECTS)
    write_table(images, job.folder / "manifest" / name, MANIFEST)


def _name_without(manifest_file: Path, bad: pl.Series) -> str:
    """Return a name that tells the content, as those of partitions do: that of the whole, and what is left out."""
    content = hashlib.sha256("\0".join((manifest_file.name, *bad)).encode()).hexdigest()[:DIGEST_LENGTH]
    return name_of(key_of(manifest_file.name), content)
