"""Copy a manifest without its bad images, which become rejects with the status of their check as reason."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.schemas import MANIFEST, REJECTS
from data_manifest.store.files import link_or_copy
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import DIGEST_LENGTH, Recipe, read_recipe
from data_manifest.tables import bad_images, table_files, write_table
from pipeline.execution.executor import run_with_progress
from pipeline.manifest.build_partition import key_of, name_of

VERIFIED, CHECKS = "verified", "checks"
LEFT_OUT = "images_left_out"  # in the summary of groups
VERSION = 2  # raise when the same checks may drop other images or give other rejects


class Verified(NamedTuple):
    """Verification of the images of groups: the check, and the digest of its artifact."""

    check: str
    checks_digest: str


def verified_by(manifest: Mapping[str, Any]) -> Verified | None:
    """Return how the images of a manifest, given its recipe, were verified; None if they were not."""
    if manifest["stage"] != VERIFIED:
        return None
    return Verified(manifest["settings"]["check"], manifest["inputs"][CHECKS])


def verified_recipe(manifest: Mapping[str, Any], checks: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a manifest without bad images, given the recipes of the manifest and its checks.

    Raises:
        UserError: The checks are those of another manifest.
    """
    if checks["inputs"]["manifest"] != manifest["digest"]:
        raise UserError(
            f"The checks {checks['name']}/{checks['digest']} belong to the manifest {checks['inputs']['manifest']}, "
            f"not to {manifest['digest']}. Verify the images again."
        )
    inputs = {"manifest": manifest["digest"], CHECKS: checks["digest"]}
    return Recipe(VERIFIED, manifest["name"], VERSION, {"check": checks["settings"]["check"]}, inputs)


def drop_bad_images(manifest: Path, checks: Path, artifacts: Path, executor: Executor | None = None) -> Path:
    """Publish a manifest without its bad images, and return the folder of the artifact.

    A published artifact of the same recipe is returned as it is. Tables are written by the executor, by default in
    threads of this process.

    Raises:
        UserError: The checks are those of another manifest, or all images are bad.
    """
    manifest_recipe, checks_recipe = read_recipe(manifest), read_recipe(checks)
    recipe, bad = verified_recipe(manifest_recipe, checks_recipe), checks_recipe["summary"]["bad"]
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    num_bad = sum(bad.values())
    usable = manifest_recipe["summary"]["usable"] - num_bad
    if not usable:
        raise UserError(f"All images of {recipe.name} are bad. See cosplace rejects {checks}")
    made = f"{usable:,} usable images, {num_bad:,} bad ones dropped"
    rejects = Counter(manifest_recipe["summary"].get("rejects"))
    rejects.update(bad)
    summary = {**manifest_recipe["summary"], "bad": bad, "usable": usable, "rejects": rejects, "made": made}
    with publishing(artifacts.absolute(), recipe, summary) as staging:
        checks_files = {key_of(file.name): file for file in table_files(checks.absolute(), CHECKS)}
        jobs = [(file, checks_files[key_of(file.name)]) for file in table_files(manifest.absolute(), "manifest")]
        for table in ("manifest", "rejects"):
            (staging / table).mkdir()
        progress = Progress(f"dropping bad images of {recipe.name}", len(jobs), "partitions")
        run_with_progress(partial(_drop_from_partition, staging), jobs, progress, executor)
    return recipe.folder(artifacts)


def _drop_from_partition(folder: Path, files: tuple[Path, Path]) -> None:
    """Write a partition's manifest and rejects, given its manifest and checks; link them if no image is bad."""
    manifest_file, checks_file = files
    rejects_file = manifest_file.parents[1] / "rejects" / manifest_file.name
    bad = bad_images(pl.scan_parquet(checks_file, glob=False)).collect()
    if bad.is_empty():
        for file in (rejects_file, manifest_file):
            link_or_copy(file, folder / file.parent.name / file.name)
        return
    content = hashlib.sha256("\0".join((manifest_file.name, *bad["path"])).encode()).hexdigest()[:DIGEST_LENGTH]
    name = name_of(key_of(manifest_file.name), content)
    rejects = pl.read_parquet(rejects_file, glob=False).with_columns(pl.col("reason").cast(pl.String))
    images = pl.read_parquet(manifest_file, glob=False).join(bad, on="path", how="anti", maintain_order="left")
    write_table(pl.concat([rejects, bad]).sort("path"), folder / "rejects" / name, REJECTS)
    write_table(images, folder / "manifest" / name, MANIFEST)
