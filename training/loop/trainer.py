"""Train CosPlace: classification with CosFace, one group per epoch in turn (paper, section 3.3).

All groups share the network. Each has its own classifier, which is on the CPU while others train.
"""

import dataclasses
import functools
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import working
from training.data.augmentation import Augmentation
from training.data.dataset import GroupDataset
from training.data.groups import (
    LOOKUP_FILE,
    Group,
    choose_groups,
    digest_of_groups,
    read_members,
    training_store,
)
from training.data.loading import augments_in_batches
from training.data.members import MEMBERS_FILE
from training.data.reads.lookahead.cache_folder import make_cache_folder
from training.data.reads.lookahead.reading_ahead import reading_ahead
from training.data.reads.read_order import ReadOrder
from training.data.sampling import EpochPlan
from training.data.settings import AugmentationSettings
from training.data.skipped import SkippedLog
from training.distributed.processes import broadcast_from_rank0, on_rank0, raising_on_all, world_size
from training.image_changes import TRAIN, record_or_compare_groups
from training.loop.checkpoints import check_same_settings, load_checkpoint
from training.loop.checks import check_disk_space, check_images, check_workers
from training.loop.epoch import train_iterations
from training.loop.reporting import EpochProgress, log_metrics, log_plan, metrics_row
from training.loop.saving import Saver
from training.loop.schedule import epochs_needed
from training.loop.state import TrainingState
from training.loop.stopping import stop_requests
from training.network.device import resolve_device
from training.network.model import checkpoint_gradients
from training.network.settings import BEST_MODEL, RANDOM, NetworkSettings
from training.recipe import GROWING, decisive_settings
from training.settings import NO_SEED, RuntimeSettings, TrainingSettings

CPU = torch.device("cpu")
logger = logging.getLogger(__name__)


def train(
    groups_folder: Path,
    images_folder: ImagesFolder,
    run_folder: Path,
    *,
    network: NetworkSettings,
    augmentation: AugmentationSettings,
    training: TrainingSettings,
    runtime: RuntimeSettings,
    validate: Callable[[nn.Module], dict[int, float]],
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Train up to `epochs_num` epochs, resuming from the run folder's checkpoint; return the best model's path.

    The best epoch has the highest R@1 above 0, the first of equals; without one, the last model is kept. Torch's global
    random state is seeded in each iteration and not restored, nor is cuDNN's determinism.

    Args as in `train_cosplace`, but `groups_folder` may be any folder of the tables `classes` and `members`, and
    `validate` returns the recalls of a network, in percent by k: 1, and if available 5, 10 and 20.

    Raises:
        UserError: Settings, groups, images or checkpoints do not allow training.
    """
    training.check_num_processes(world_size())
    runtime.check_shard_classifier(world_size())
    with raising_on_all():
        if runtime.cache_folder is not None:
            make_cache_folder(runtime.cache_folder)
    device = resolve_device(runtime.device)
    with working("reading the groups"):
        groups = choose_groups(groups_folder, training.groups_num, training.batch_size, training.group_indices)
    decisive = decisive_settings(network, augmentation, training, runtime.packs)
    settings = {name: value for name, value in decisive.items() if name not in GROWING}
    settings |= {"groups_digest": digest_of_groups(groups_folder), "groups": "; ".join(map(str, groups))}
    checkpoint, best_model = load_checkpoint(run_folder), run_folder / BEST_MODEL
    if checkpoint is not None:
        check_same_settings(checkpoint["settings"], settings, run_folder)
        if checkpoint["epoch"] >= epochs_needed(checkpoint["metrics"], training):
            logger.info("run %s: up to date (%d epochs)", run_folder, checkpoint["epoch"])
            return best_model
    training = _set_randomness(training, runtime)  # after `settings`, which keep a seed of -1
    with working("loading the network"):
        state = _start_or_resume(checkpoint, settings, groups, network, augmentation, training, runtime, device)
    del checkpoint  # it has the classifiers of all ranks
    preprocessing, in_batches = state.network.preprocessing, augments_in_batches(runtime, device)
    augment = Augmentation(augmentation, preprocessing.channels, preprocessing.interpolation)
    # On one rank, because the table for finding images in packs takes time and memory to write.
    store = on_rank0(lambda: training_store(images_folder, runtime.packs, groups_folder, groups, run_folder))
    with working("checking an image of each group"):
        first_images = check_images(groups_folder, images_folder, store, groups)
    check_workers(first_images, augment, in_batches, training, runtime.num_workers)
    check_disk_space(state, run_folder)
    indices = [group.index for group in groups]
    changed = on_rank0(
        lambda: record_or_compare_groups(run_folder, images_folder, runtime.packs, groups_folder, indices)
    )
    order = functools.partial(ReadOrder, groups_folder, training, range(training.epochs_num), groups)
    saver = Saver(state, training.iterations_per_epoch, run_folder, runtime)
    skipped = SkippedLog(run_folder, runtime.max_skipped_share)
    if training.epochs_num == 0:
        saver.save_model()
    states, iterations = run_folder / TRAIN, training.iterations_per_epoch
    with (
        stop_requests() as stop,
        saver.saving_when_stopped(),
        reading_ahead(
            states, store, images_folder, order, changed, state.batches(iterations), runtime, stop.is_requested
        ) as ahead,
    ):
        while state.epoch < epochs_needed(state.metrics, training):
            turn = state.epoch % len(groups)
            group, classifier = groups[turn], state.classifiers[turn].to(device)
            plan = EpochPlan.of(training, group.num_classes, state.epoch)
            with working("reading the images of the group"):
                members = read_members(groups_folder, group.index, run_folder)
            dataset = GroupDataset(images_folder, members, plan, augment, in_batches, store, ahead.cache)
            log_plan(plan, group, training.epochs_num)
            with EpochProgress(plan, state.epoch_state, training.epochs_num, on_percentage) as progress:
                for _ in train_iterations(state, classifier, dataset, device, training, runtime, skipped, ahead.gate):
                    ahead.advance(state.epoch, state.batches(iterations), state.epoch_state.busy_seconds)
                    progress.advance_iteration()
                    saver.save_if_due()
                    stop.check()
            classifier.to(CPU)

            with stop.at_once():
                recalls = broadcast_from_rank0(validate(state.network.eval()))
            metrics = metrics_row(plan, group, state, recalls, training) | ahead.metrics(state.epoch)
            _end_epoch(state, saver, metrics, training, runtime)
            stop.check()
    for file in (MEMBERS_FILE, LOOKUP_FILE):
        (run_folder / file).unlink(missing_ok=True)
    return best_model


def _start_or_resume(
    checkpoint: dict[str, Any] | None,
    settings: dict[str, Any],
    groups: list[Group],
    network: NetworkSettings,
    augmentation: AugmentationSettings,
    training: TrainingSettings,
    runtime: RuntimeSettings,
    device: torch.device,
) -> TrainingState:
    """Return the state of a run at its start, or at its checkpoint."""
    if checkpoint is not None:  # it has all weights, and the initial ones may be gone
        network = dataclasses.replace(network, backbone_weights=RANDOM, resume_model=None)
    size, sharded = augmentation.size, runtime.shard_classifier
    state = TrainingState.start(settings, groups, network, training, device, size, sharded)
    if checkpoint is not None:
        state.resume(checkpoint, training.iterations_per_epoch)
    if runtime.gradient_checkpointing:
        checkpoint_gradients(state.network)
    return state


def _end_epoch(
    state: TrainingState, saver: Saver, metrics: dict[str, Any], training: TrainingSettings, runtime: RuntimeSettings
) -> None:
    """Save the network if its epoch is the best so far, log and save the metrics, and start the next epoch."""
    recall = metrics["recall_1"]
    is_best = recall > state.best_recall or not state.best_recall  # without a best model, keep the last
    if is_best:
        state.best_recall = recall
        saver.save_model()
    log_metrics(metrics, training.epochs_num, None if is_best else state.best_recall, runtime)
    state.end_epoch(metrics)
    saver.save_metrics()
    saver.save()


def _set_randomness(training: TrainingSettings, runtime: RuntimeSettings) -> TrainingSettings:
    """Return the settings with the seed to use, and make cuDNN deterministic if there is a seed (as published)."""
    torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
    torch.backends.cudnn.deterministic = training.seed != NO_SEED and not runtime.cudnn_benchmark
    return dataclasses.replace(training, seed=seed_to_use(training.seed))


def seed_to_use(seed: int) -> int:
    """Return the seed, or for NO_SEED a random one that all ranks share."""
    if seed != NO_SEED:
        return seed
    logger.info("seed = -1: not deterministic; a resumed or repeated run draws other random numbers")
    return broadcast_from_rank0(secrets.randbits(31))
