"""Pack the images of groups: tar files in the order of the members, and an index to read single images from them.

Finished shards are kept in the run folder `<artifacts>/runs/<name>/<digest>/`, where an interrupted run resumes. Groups
whose files are unchanged are linked from earlier packs.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError, writing_in
from data_manifest.images.data_set_names import data_set_identity
from data_manifest.images.heif import can_read_heif
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.packs.open_packs import FORM, IMAGES_FOLDER, OUTPUT_URL, url_of
from data_manifest.images.packs.pack_files import FILES, INDEX, REJECTS, SHARDS, STAGE
from data_manifest.progress import Percentage, Progress
from data_manifest.store.find import find_recipes
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import RECIPE_FILE, Recipe, digest_of, read_recipe
from data_manifest.store.references import RUNS
from data_manifest.store.run_folders import only_writer, write_run_file
from pipeline.execution.disk_space import check_space
from pipeline.packs.pack_job import PackJob
from pipeline.packs.plan_shards import GroupStates, stat_groups
from pipeline.packs.settings import PackSettings
from pipeline.packs.write_shard import Packing

VERSION = 1  # raise when equal files and settings give other bytes


def packs_recipe(
    groups: Mapping[str, Any], files: Sequence[GroupStates], folder: str, settings: PackSettings
) -> Recipe:
    """Return the recipe of packs.

    Args:
        groups: The recipe of the groups with `digest`, from `read_recipe`.
        files: The files of the groups to pack, from `stat_groups`.
        folder: The identity of the images folder, from `data_set_identity`.
        settings: How images are packed.
    """
    decisive = {
        "groups": [each.group for each in files],
        "shard_megabytes": settings.shard_megabytes,
        FORM: settings.form,
    }
    if settings.output_url is not None:
        decisive[OUTPUT_URL] = str(settings.output_url)
    if settings.form and any(each.states.heif for each in files) and not can_read_heif():
        decisive["heif"] = False
    inputs = {"groups": groups["digest"], "files": digest_of([each.states.digest for each in files]), "folder": folder}
    return Recipe(STAGE, groups["name"], VERSION, decisive, inputs)


def pack_groups(
    groups_folder: Path,
    groups: Sequence[int],
    images_folder: ImagesFolder,
    artifacts: Path,
    settings: PackSettings | None = None,
    files: Sequence[GroupStates] | None = None,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Pack the images of groups, and return the folder of the artifact.

    A published artifact of the same recipe is returned as it is. Missing images and, if copies are made, damaged ones
    become rejects.

    Args:
        groups_folder: Folder of a published groups artifact.
        groups: The indices of the groups to pack.
        images_folder: Folder that the members' paths are relative to.
        artifacts: Folder of all artifacts.
        settings: How images are packed.
        files: The files of the groups, from `stat_groups`, if already known.
        on_percentage: Called with the percentage done.
        executor: Writes the shards; threads of this process by default.

    Raises:
        UserError: Images are missing altogether, change during the run or cannot be read, or the disk is full.
    """
    settings = settings or PackSettings()
    files = files or stat_groups(groups_folder, groups, images_folder)
    recipe = packs_recipe(read_recipe(groups_folder), files, data_set_identity(images_folder, artifacts), settings)
    summary: dict[str, Any] = {IMAGES_FOLDER: str(images_folder.resolve())}
    if published := find_published(artifacts, recipe, adopt=summary):
        return published
    if not any(each.states.present for each in files):
        raise UserError(f"{images_folder}: none of the images of the groups is there. Give the folder of the data set.")
    artifacts = artifacts.absolute()
    url = url_of(recipe.stored())
    own = "" if url is None else recipe.digest  # uploaded shards are only of these packs
    run = artifacts / RUNS / recipe.name / digest_of([STAGE, VERSION, _same_for_all_groups(recipe.as_dict()), own])
    with writing_in(artifacts), only_writer(run):
        if published := find_published(artifacts, recipe):  # by another process, until just now
            return published
        write_run_file(run, recipe)
        for unfinished in run.glob(".group-*"):
            unfinished.unlink(missing_ok=True)
        with publishing(artifacts, recipe, summary) as staging:
            for folder in (INDEX, FILES, REJECTS, *([SHARDS] if url is None else [])):
                (staging / folder).mkdir()
            packing = Packing(images_folder.absolute(), run, settings, url and url / SHARDS)
            earlier = _find_earlier(artifacts, recipe, files)
            job = PackJob(groups_folder, packing, staging, files, earlier)
            at_most = settings.form is not None
            check_space(artifacts, job.needed_bytes(), f"packs of {recipe.name}", at_most)
            with Progress(f"packing {recipe.name}", job.num_images, "images", on_percentage) as progress:
                job.write_shards(progress, executor)
            summary |= job.finish()
            if url is not None:
                _upload_tables(staging, url, {**recipe.stored(), "summary": summary})
        shutil.rmtree(run, ignore_errors=True)
    return recipe.folder(artifacts)


def _upload_tables(staging: Path, url: ImagesUrl, recipe: Mapping[str, Any]) -> None:
    """Upload the tables, then the recipe: packs without it are incomplete."""
    from data_manifest.images.object_store import upload  # needs an optional package

    for table in (INDEX, FILES, REJECTS):
        for file in sorted((staging / table).iterdir()):
            upload(file, url / table / file.name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / RECIPE_FILE
        file.write_text(json.dumps(recipe, indent=2) + "\n")
        upload(file, url / RECIPE_FILE)


def _same_for_all_groups(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the bytes of a group's shards."""
    return {name: value for name, value in recipe["settings"].items() if name != "groups"}


def _find_earlier(artifacts: Path, recipe: Recipe, files: Sequence[GroupStates]) -> dict[int, tuple[Path, Any]]:
    """Return by group the newest packs with the same files of it, and the counts of the group there."""
    found = dict[int, tuple[Path, Any]]()
    for path, stored in find_recipes(artifacts, STAGE, recipe.name):
        if stored["version"] != VERSION or stored["inputs"]["folder"] != recipe.inputs["folder"]:
            continue
        if _same_for_all_groups(stored) == _same_for_all_groups(recipe.as_dict()):
            for each in files:
                counts = stored["summary"]["groups"].get(str(each.group))
                if counts and counts["files"] == each.states.digest:
                    found.setdefault(each.group, (path, counts))
    return found
