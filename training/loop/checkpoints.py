"""Checkpoints of a run: the last and the previous one, so that one is readable whenever the process dies."""

import contextlib
import logging
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.files import fsync
from training.network.state_dict_files import UNREADABLE, load_verified, write_unfinished

LAST, PREVIOUS, BROKEN = "last_checkpoint.pth", "previous_checkpoint.pth", "broken_checkpoint.pth"
logger = logging.getLogger(__name__)


def save_checkpoint(content: dict[str, Any], run_folder: Path) -> None:
    """Save the last checkpoint; once it is complete on disk, the former last one becomes the previous one."""
    last = run_folder / LAST
    unfinished = write_unfinished(content, last)
    if last.exists():
        last.replace(run_folder / PREVIOUS)
    unfinished.replace(last)
    fsync(run_folder)


def load_checkpoint(run_folder: Path) -> dict[str, Any] | None:
    """Return the last checkpoint, the previous one if the last is broken, or None if there is none.

    A broken one is renamed, so that it does not become the previous one.

    Raises:
        UserError: No checkpoint is readable.
    """
    last = run_folder / LAST
    paths = [path for path in (last, run_folder / PREVIOUS) if path.exists()]
    for path in paths:
        try:
            content: dict[str, Any] = load_verified(path)
        except UNREADABLE as error:
            logger.warning("broken checkpoint %s: %s", path, str(error).strip().partition("\n")[0])
            continue
        logger.info("checkpoint %s", path)
        if path != last and last in paths:
            with contextlib.suppress(FileNotFoundError):  # another rank has renamed it
                last.replace(run_folder / BROKEN)
        return content
    if paths:
        raise UserError(f"No checkpoint in {run_folder} is readable. Remove the folder to start over.")
    return None


def check_same_settings(stored: dict[str, Any], wanted: dict[str, Any], run_folder: Path) -> None:
    """Raise UserError, with the differences, if a checkpoint has other settings than wanted."""
    names = [*wanted, *(name for name in stored if name not in wanted)]
    differences = [
        f"{name} = {stored.get(name)} there, {wanted.get(name)} now"
        for name in names
        if stored.get(name) != wanted.get(name)
    ]
    if differences:
        raise UserError(
            f"{run_folder} is a run with other settings: {'; '.join(differences)}. Give the same settings, or another "
            "folder."
        )
