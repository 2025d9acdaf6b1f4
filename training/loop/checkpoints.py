"""Checkpoints of a run: the last one and the one before it, so that a readable one is there whenever a process dies."""

import contextlib
import logging
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.fsync import fsync
from training.network.state_dict_files import UNREADABLE, load_verified, write_unfinished

LAST, BEFORE, BROKEN = "last_checkpoint.pth", "previous_checkpoint.pth", "broken_checkpoint.pth"
logger = logging.getLogger(__name__)


def save_checkpoint(content: dict[str, Any], run_folder: Path) -> None:
    """Save as the last checkpoint; what was the last becomes the one before, once the new one is whole on the disk."""
    last = run_folder / LAST
    unfinished = write_unfinished(content, last)
    if last.exists():
        last.replace(run_folder / BEFORE)
    unfinished.replace(last)
    fsync(run_folder)


def load_checkpoint(run_folder: Path) -> dict[str, Any] | None:
    """Return the last checkpoint, or the one before it where the last is broken, or None where there is none.

    A broken one is put aside: the next to be saved must not take it for the one before.

    Raises:
        UserError: There are checkpoints, and none can be read.
    """
    last = run_folder / LAST
    paths = [path for path in (last, run_folder / BEFORE) if path.exists()]
    for path in paths:
        try:
            content: dict[str, Any] = load_verified(path)
        except UNREADABLE as error:
            logger.warning("checkpoint %s is broken (%s)", path, str(error).strip().partition("\n")[0])
            continue
        logger.info("read checkpoint %s", path)
        if path != last and last in paths:
            with contextlib.suppress(FileNotFoundError):  # another of the processes that train together was first
                last.replace(run_folder / BROKEN)
        return content
    if paths:
        raise UserError(f"no checkpoint in {run_folder} can be read; remove that folder to start training anew")
    return None


def refuse_other_settings(stored: dict[str, Any], wanted: dict[str, Any], run_folder: Path) -> None:
    """Check that a checkpoint was made with the settings that are wanted now.

    Raises:
        UserError: It was not; the message has each difference.
    """
    names = [*wanted, *(name for name in stored if name not in wanted)]
    differences = [
        f"{name} = {stored.get(name)} there, {wanted.get(name)} now"
        for name in names
        if stored.get(name) != wanted.get(name)
    ]
    if differences:
        raise UserError(
            f"{run_folder} holds training with other settings: {'; '.join(differences)}. "
            "Give the same settings to go on with it, or another folder"
        )
