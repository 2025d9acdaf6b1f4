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
from data_manifest.store.files import fsync, link_or_copy
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, Recipe, is_published, read_recipe
from data_manifest.store.staging import remove_dead_staging, staging_folder

logger = logging.getLogger(__name__)


def find_published(artifacts: Path, recipe: Recipe, adopt: Mapping[str, Any] | None = None) -> Path | None:
    """Return the published artifact of a recipe and make it current; None if it is not published.

    With `adopt`, accept an artifact with the same digest under another name too, as after the images were moved: it is
    published under this name by links, with these entries of its summary replaced.
    """
    folder = recipe.folder(artifacts)
    if not is_published(folder) and (adopt is None or not _adopt(artifacts, recipe, adopt)):
        return None
    make_current(folder)
    return folder


def _adopt(artifacts: Path, recipe: Recipe, changed: Mapping[str, Any]) -> bool:
    """Publish an artifact with this digest and another name under the recipe's name; return whether there is one."""
    for twin in sorted((artifacts / recipe.stage).glob(f"*/{recipe.digest}")):
        try:
            summary = {**read_recipe(twin).get("summary", {}), **changed}
        except UserError:  # incomplete or damaged
            continue
        gone = contextlib.suppress(shutil.Error, FileNotFoundError)  # being removed
        with gone, publishing(artifacts, recipe, summary) as staging:
            leave_out = shutil.ignore_patterns(RECIPE_FILE)
            shutil.copytree(twin, staging, ignore=leave_out, copy_function=link_or_copy, dirs_exist_ok=True)
            (twin / RECIPE_FILE).stat()  # still there, so the copy is complete
        if is_published(recipe.folder(artifacts)):
            return True
    return False


@contextlib.contextmanager
def publishing(artifacts: Path, recipe: Recipe, summary: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Yield a staging folder to fill; on success publish it as the recipe's artifact and make it current.

    If another process publishes the same artifact first, that one is kept and this one dropped. The summary is stored
    in `recipe.json`, outside the digest; it may be filled until the context ends.

    Raises:
        UserError: The artifacts folder cannot be written, or its disk is full.
    """
    with writing_in(artifacts):
        with staging_folder(artifacts) as staging:
            _write_recipe(recipe.stored(), staging)  # protects the inputs from gc during the build
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
    for unfinished in staging.rglob(".*"):  # left by killed writers
        unfinished.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(target)
    except OSError as error:
        if is_published(target):  # by another process
            pass
        elif target.exists():
            raise UserError(f"{target} is an incomplete artifact: remove it and run again") from error
        elif error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # removed in the meantime
            staging.rename(target)
        else:
            raise
    fsync(target.parent)


def make_current(folder: Path) -> None:
    """Make `current` lead to a published artifact; warn if it cannot be written."""
    link = folder.parent / CURRENT
    if link.is_symlink() and link.readlink() == Path(folder.name):
        return
    unfinished = folder.parent / f".{CURRENT}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        unfinished.symlink_to(folder.name)
        unfinished.replace(link)
    except OSError as error:
        with contextlib.suppress(OSError):  # it was not created
            unfinished.unlink()
        logger.warning("Cannot make %s lead to %s: %s", link, folder.name, error.strerror)
