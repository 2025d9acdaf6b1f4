"""Checks before the first iteration: readable images, shared memory, disk space."""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.images.image_store import ImageReader
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.loader_workers import check_shared_memory
from data_manifest.store.files import disk_usage, format_bytes
from data_manifest.tables import scan_members
from training.data.augmentation import Augmentation
from training.data.dataset import prepare
from training.data.groups import Group
from training.data.image_files import UnreadableImageError, decode_image
from training.data.loading import BATCH_FLAG
from training.distributed.processes import world_size
from training.loop.state import TrainingState
from training.settings import TrainingSettings

MAX_IMAGES_TRIED = 10
COPIES = 3  # of a checkpoint: last, previous and unfinished; of a model: best, published and unfinished
logger = logging.getLogger(__name__)


def check_images(
    groups_folder: Path, images_folder: ImagesFolder, store: ImageReader, groups: Sequence[Group]
) -> list[Tensor]:
    """Return one readable image of each group, read from a store of the images folder.

    Raises:
        UserError: None of a group's first images is readable, as with a wrong images folder.
    """
    images = list[Tensor]()
    for group in groups:
        first = scan_members(groups_folder, group.index).select("path").head(MAX_IMAGES_TRIED).collect()
        images.append(_first_readable(first["path"].to_list(), images_folder, store))
    return images


def _first_readable(paths: Sequence[str], images_folder: ImagesFolder, store: ImageReader) -> Tensor:
    reasons = list[str]()
    for path in paths:
        try:
            return decode_image(next(store.read([path])), images_folder / path)
        except UnreadableImageError as error:
            reasons.append(f"{images_folder / path} ({error})")
    raise UserError(
        f"Cannot read {reasons[0]}, nor any other of the first {len(paths)} images of its group. Check the images "
        "folder, or repair or restore the images."
    )


def check_workers(
    images: Sequence[Tensor], augmentation: Augmentation, in_batches: bool, training: TrainingSettings, num_workers: int
) -> None:
    """Raise UserError if shared memory is too small for the workers' batches; `images` has one of each group."""
    largest = max(prepare(image, augmentation, 0, in_batches)[0].nbytes for image in images)
    batch_bytes = training.batch_size // world_size() * largest
    check_shared_memory(batch_bytes, training.iterations_per_epoch, num_workers, BATCH_FLAG)


def check_disk_space(state: TrainingState, run_folder: Path) -> None:
    """Log how much disk space a run needs and has.

    Raises:
        UserError: The disk has too little; unknown sizes, as of some network file systems, pass.
    """
    needed = max(0, bytes_of_run(state) - sum(path.stat().st_size for path in run_folder.glob("*.pth")))
    total, free = disk_usage(run_folder)
    if total > 0 and free < needed:
        raise UserError(
            f"Not enough disk space for checkpoints and models in {run_folder}: about {format_bytes(needed)} needed, "
            f"{format_bytes(free)} free. Free some, or choose --artifacts-folder."
        )
    logger.info("run %s  needs about %s  %s free", run_folder, format_bytes(needed), format_bytes(free))


def bytes_of_run(state: TrainingState) -> int:
    """Return about how many bytes a run's folder and its published model take.

    Adam stores two values per trained parameter.
    """
    network = sum(_bytes_of(each) for each in state.network.state_dict().values())
    trained = sum(_bytes_of(each) for each in state.network.parameters() if each.requires_grad)
    whole = [(each.classifier.num_classes, each.classifier.weight[0]) for each in state.classifiers]  # of all ranks
    classifiers = sum(num_classes * _bytes_of(row) for num_classes, row in whole)
    return COPIES * (network + 2 * trained + 3 * classifiers) + COPIES * network


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
