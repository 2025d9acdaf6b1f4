"""Publish an artifact: build it in a staging folder, fsync, rename once, then swap the symlink `current`."""

import contextlib
import errno
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError, writing_in
from data_manifest.progress import working
from data_manifest.store.files import link_or_copy
from data_manifest.store.fsync import fsync
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, Recipe, is_published, read_recipe
from data_manifest.store.staging import remove_dead_staging, staging_folder

logger = logging.getLogger(__name__)


def find_published(artifacts: Path, recipe: Recipe, adopt: Mapping[str, Any] | None = None) -> Path | None:
    """Return a recipe's artifact, made the current one of its name, or None if it is still to be made.

    Args:
        artifacts: Where artifacts are published.
        recipe: What makes it.
        adopt: Take one of another name as well, as there is when the images were moved: it is published under this
            name, by links, with these entries of its summary replaced. For stages whose rows do not tell the name.
    """
    folder = recipe.folder(artifacts)
    if not is_published(folder) and (adopt is None or not _adopt(artifacts, recipe, adopt)):
        return None
    make_current(folder)
    return folder


def _adopt(artifacts: Path, recipe: Recipe, changed: Mapping[str, Any]) -> bool:
    """Publish the artifact that has a recipe's digest under another name under that of the recipe, if there is one."""
    for twin in sorted((artifacts / recipe.stage).glob(f"*/{recipe.digest}")):
        try:
            summary = {**read_recipe(twin).get("summary", {}), **changed}
        except UserError:  # not whole, or damaged
            continue
        gone = contextlib.suppress(shutil.Error, FileNotFoundError)  # it is being removed
        with gone, publishing(artifacts, recipe, summary) as staging:
            leave_out = shutil.ignore_patterns(RECIPE_FILE)
            shutil.copytree(twin, staging, ignore=leave_out, copy_function=link_or_copy, dirs_exist_ok=True)
            (twin / RECIPE_FILE).stat()  # still there, so what was copied is whole
        if is_published(recipe.folder(artifacts)):
            return True
    return False


@contextlib.contextmanager
def publishing(artifacts: Path, recipe: Recipe, summary: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Give a staging folder to fill; on success publish it as the recipe's artifact and make that the current one.

    `summary` may be filled while the folder is; it ends in `recipe.json` beside the recipe, outside the digest. Where
    another process published the same artifact first, its work stands and ours is dropped.

    Raises:
        UserError: The artifacts folder cannot be written, or is full.
    """
    with writing_in(artifacts):
        with staging_folder(artifacts) as staging:
            _write_recipe(recipe.stored(), staging)  # says, while the build lasts, what it needs
            yield staging
            _write_recipe({**recipe.stored(), "summary": dict(summary or {})}, staging)
            with working(f"publishing {recipe.stage} {recipe.name}"):
                _publish(staging, recipe.folder(artifacts))
        make_current(recipe.folder(artifacts))
        remove_dead_staging(artifacts)


def _write_recipe(content: Mapping[str, Any], folder: Path) -> None:
    unfinished = folder / f".{RECIPE_FILE}"
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(folder / RECIPE_FILE)


def _publish(staging: Path, target: Path) -> None:
    for path in (*staging.rglob("[!.]*"), staging):
        fsync(path)
    for unfinished in staging.rglob(".*"):  # of writers that were killed
        unfinished.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(target)
    except OSError as error:
        if is_published(target):  # by another process, whose work stands
            pass
        elif target.exists():
            raise UserError(f"{target} is in the way: it is no whole artifact; remove it and run again") from error
        elif error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # what was there has been removed meanwhile
            staging.rename(target)
        else:
            raise
    fsync(target.parent)


def make_current(folder: Path) -> None:
    """Have `current` beside a published artifact lead to it; where that cannot be written, it is warned of."""
    link = folder.parent / CURRENT
    if link.is_symlink() and link.readlink() == Path(folder.name):
        return
    unfinished = folder.parent / f".{CURRENT}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        unfinished.symlink_to(folder.name)
        unfinished.replace(link)
    except OSError as error:
        with contextlib.suppress(OSError):  # not made, where nothing can be written
            unfinished.unlink()
        logger.warning("%s cannot be made to lead to %s: %s", link, folder.name, error.strerror)
