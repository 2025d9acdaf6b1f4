"""What is looked at before the first iteration, so that days of training do not end with what seconds could tell."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from torch import Tensor

from data_manifest.artefacts import disk_usage, format_bytes
from data_manifest.errors import UserError
from data_manifest.tables import scan_table
from training.groups import Group
from training.image_files import UnreadableImageError, read_image
from training.state import TrainingState

IMAGES_TO_TRY = 10
COPIES = 3  # the last checkpoint, the one before, and the one that is being written
logger = logging.getLogger(__name__)


def check_images(groups_folder: Path, images_folder: Path, groups: Sequence[Group]) -> None:
    """Check that one of the first images of each group can be read: a single bad one is skipped in training too.

    Raises:
        UserError: None can, as where the images lie elsewhere.
    """
    members = scan_table(groups_folder, "members")
    for group in groups:
        first = members.filter(pl.col("group_index") == group.index).select("path").head(IMAGES_TO_TRY).collect()
        _require_one([images_folder / path for path in first["path"]])


def _require_one(paths: Sequence[Path]) -> None:
    reasons = list[str]()
    for path in paths:
        try:
            read_image(path)
        except UnreadableImageError as error:
            reasons.append(f"{path} cannot be read as an image: {error}")
        else:
            return
    raise UserError(f"{reasons[0]}; nor can any of the {len(paths)} first images of its group. Mend or restore them")


def check_room(state: TrainingState, run_folder: Path) -> None:
    """Say how much room a run's checkpoints and models take, and how much there is.

    Raises:
        UserError: There is not enough. Some network file systems do not tell: there it is tried.
    """
    needed = room_for_run(state) - sum(path.stat().st_size for path in run_folder.glob("*.pth"))
    total, free = disk_usage(run_folder)
    needs = f"checkpoints and models in {run_folder} take about {format_bytes(max(0, needed))} more"
    if total > 0 and free < needed:
        raise UserError(f"{needs}, and {format_bytes(free)} are free: free some, or choose --artifacts-folder")
    logger.info("%s, %s are free", needs, format_bytes(free))


def room_for_run(state: TrainingState) -> int:
    """Return about how many bytes a run's folder comes to, and the model that is published from it.

    Adam remembers two numbers for each that is trained, and does so from the first step on.
    """
    network = sum(_bytes_of(each) for each in state.network.state_dict().values())
    trained = sum(_bytes_of(each) for each in state.network.parameters() if each.requires_grad)
    classifiers = sum(_bytes_of(each.classifier.weight) for each in state.classifiers)
    return COPIES * (network + 2 * trained + 3 * classifiers) + COPIES * network


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
