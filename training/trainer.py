"""Training of CosPlace: classification of classes, one group an epoch, with CosFace (paper, section 3.3).

Groups take turns, because neighbouring classes look alike: a classifier that had both would have to tell apart what is
one place, and within a group no two are neighbours. The network is one through all groups; each group has a classifier
of its own, which rests on the CPU while others train.

    train(groups_folder, images_folder, run_folder, network=NetworkSettings(), augmentation=AugmentationSettings(),
          training=TrainingSettings(), runtime=RuntimeSettings(), validate=recalls_of_network)
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import nn

from data_manifest import schemas
from data_manifest.progress import Progress
from data_manifest.tables import write_table
from training.augmentation import Augmentation
from training.checkpoints import load_checkpoint, refuse_other_settings, save_checkpoint
from training.dataset import GroupDataset
from training.epoch import EpochFigures, train_epoch
from training.groups import Group, choose_groups, read_members
from training.network import resolve_device, save_network
from training.sampling import EpochPlan
from training.settings import BEST_MODEL, AugmentationSettings, NetworkSettings, RuntimeSettings, TrainingSettings
from training.state import settings_of_run, start_or_resume

METRICS_TABLE = Path("metrics", "metrics.parquet")
logger = logging.getLogger(__name__)


def train(
    groups_folder: Path,
    images_folder: Path,
    run_folder: Path,
    *,
    network: NetworkSettings,
    augmentation: AugmentationSettings,
    training: TrainingSettings,
    runtime: RuntimeSettings,
    validate: Callable[[nn.Module], dict[int, float]],
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Train to `epochs_num` epochs, from the start or the run folder's checkpoint; return the best model's path.

    Args:
        groups_folder: The groups' tables, classes and members.
        images_folder: Where the members' paths begin.
        run_folder: Gets the checkpoints, the best model by R@1, and the metrics table.
        network: Which network, and where its weights start.
        augmentation: How images are varied.
        training: How long and how fast.
        runtime: Where; it is no part of what the result depends on.
        validate: Gives the recalls of a network in percent: of 1, and of those of 5, 10 and 20 that it has.
        on_percentage: Called with the whole number of percent done, each time that it changes.

    Torch's global random state is seeded anew in each iteration, and left so.

    Raises:
        UserError: Settings, groups, images or checkpoints that training cannot go on with.
    """
    device = resolve_device(runtime.device)
    groups = choose_groups(groups_folder, training.groups_num, training.batch_size, training.group_indices)
    settings = settings_of_run(groups_folder, groups, network, augmentation, training)
    checkpoint, best_model = load_checkpoint(run_folder), run_folder / BEST_MODEL
    if checkpoint is not None:
        refuse_other_settings(checkpoint["settings"], settings, run_folder)
        if checkpoint["epoch"] >= training.epochs_num:
            logger.info("%s is complete: %d epochs are done", run_folder, checkpoint["epoch"])
            return best_model
    state = start_or_resume(checkpoint, settings, groups, network, training, device)
    state.network.trained_on(augmentation.size)
    if training.epochs_num == 0:
        save_network(state.network, best_model)

    for epoch in range(state.epoch, training.epochs_num):
        group, classifier = groups[epoch % len(groups)], state.classifiers[epoch % len(groups)]
        plan = EpochPlan(group.num_classes, training.batch_size, training.iterations_per_epoch, training.seed, epoch)
        members = read_members(groups_folder, group.index)
        dataset = GroupDataset(
            images_folder, members, plan, Augmentation(augmentation), state.network.preprocessing.mode
        )
        _log_plan(plan, group, training.epochs_num)
        with _progress(plan, training.epochs_num, on_percentage) as progress:
            figures = train_epoch(state, classifier.to(device), dataset, device, runtime, progress)
        classifier.to(torch.device("cpu"))

        state.network.eval()
        recalls = validate(state.network)
        if recalls[1] > state.best_recall:
            state.best_recall = recalls[1]
            save_network(state.network, best_model)
        state.metrics.append(_metrics_row(epoch, group, figures, recalls, training, state.resumes))
        state.epoch = epoch + 1
        _log_figures(plan, figures, recalls[1], state.best_recall)
        write_table(pl.DataFrame(state.metrics), run_folder / METRICS_TABLE, schemas.METRICS)
        save_checkpoint(state.checkpoint(), run_folder)
    return best_model


def _progress(plan: EpochPlan, epochs_num: int, on_percentage: Callable[[int], None] | None) -> Progress:
    """Return the progress of an epoch; it reports the percentage of the whole run."""

    def report(percentage_of_epoch: int) -> None:
        if on_percentage is not None:
            on_percentage((100 * plan.epoch + percentage_of_epoch) // epochs_num)

    return Progress(f"epoch {plan.epoch + 1} of {epochs_num}", plan.iterations, "iterations", report)


def _metrics_row(
    epoch: int,
    group: Group,
    figures: EpochFigures,
    recalls: dict[int, float],
    training: TrainingSettings,
    resumes: int,
) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "group_index": group.index,
        "loss": figures.loss,
        **{f"recall_{k}": recalls.get(k) for k in (1, 5, 10, 20)},
        "images_per_second": figures.images_per_second,
        "data_wait_share": figures.data_wait_share,
        "lr": training.lr,
        "classifiers_lr": training.classifiers_lr,
        "resumes": resumes,
    }


def _log_plan(plan: EpochPlan, group: Group, epochs_num: int) -> None:
    times = plan.num_samples / plan.num_classes
    text = "epoch %d of %d: %s; an epoch shows each class %.1f times"
    logger.info(text, plan.epoch + 1, epochs_num, group, times)


def _log_figures(plan: EpochPlan, figures: EpochFigures, recall: float, best_recall: float) -> None:
    text = "epoch %d: loss %.3f, R@1 %.1f (best %.1f), %.0f images/s, %.0f%% of the time spent waiting for images"
    share = 100 * figures.data_wait_share
    logger.info(text, plan.epoch + 1, figures.loss, recall, best_recall, figures.images_per_second, share)
