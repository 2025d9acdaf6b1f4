"""Checks before the first iteration of training."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.loader_workers import check_shared_memory
from data_manifest.store.files import disk_usage, format_bytes
from data_manifest.tables import scan_table
from training.data.augmentation import Augmentation
from training.data.dataset import prepare
from training.data.groups import Group
from training.data.image_files import UnreadableImageError, read_image
from training.data.loading import BATCH_FLAG
from training.distributed.processes import world_size
from training.loop.state import TrainingState
from training.settings import TrainingSettings

IMAGES_TO_TRY = 10
COPIES = 3  # the last checkpoint, the one before, and the one that is being written
logger = logging.getLogger(__name__)


def check_images(groups_folder: Path, images_folder: Path, groups: Sequence[Group]) -> list[Tensor]:
    """Return one of the first readable images of each group: training skips single bad images too.

    Raises:
        UserError: None of a group can be read, as where the images are elsewhere.
    """
    members, images = scan_table(groups_folder, "members"), list[Tensor]()
    for group in groups:
        first = members.filter(pl.col("group_index") == group.index).select("path").head(IMAGES_TO_TRY).collect()
        images.append(_first_readable([images_folder / path for path in first["path"]]))
    return images


def check_workers(
    images: Sequence[Tensor],
    augmentation: Augmentation,
    in_batches: bool,
    training: TrainingSettings,
    num_workers: int,
) -> None:
    """Check that shared memory can hold the batches that workers prepare.

    Args:
        images: One of each group.
        augmentation: How images are augmented.
        in_batches: Whether the network's device augments them.
        training: Images in a batch, and batches in an epoch.
        num_workers: Workers of this process.

    Raises:
        UserError: It cannot.
    """
    largest = max(prepare(image, augmentation, 0, in_batches)[0].nbytes for image in images)
    batch_bytes = training.batch_size // world_size() * largest
    check_shared_memory(batch_bytes, training.iterations_per_epoch, num_workers, BATCH_FLAG)


def _first_readable(paths: Sequence[Path]) -> Tensor:
    reasons = list[str]()
    for path in paths:
        try:
            return read_image(path)
        except UnreadableImageError as error:
            reasons.append(f"{path} cannot be read as an image: {error}")
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
