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

import torch
from torch import nn

from data_manifest.progress import working
from training.data.augmentation import Augmentation
from training.data.dataset import GroupDataset
from training.data.groups import choose_groups, read_members, scan_members
from training.data.image_changes import TRAIN, record_or_compare
from training.data.loading import augments_in_batches
from training.data.members import MEMBERS_FILE
from training.data.sampling import EpochPlan
from training.data.settings import AugmentationSettings
from training.data.skipped import SkippedLog
from training.distributed.processes import broadcast_from_rank0, is_rank_zero, world_size
from training.loop.checkpoints import load_checkpoint, refuse_other_settings
from training.loop.checks import check_images, check_room, check_workers
from training.loop.epoch import train_iterations
from training.loop.patience import epochs_needed
from training.loop.randomness import set_randomness
from training.loop.reporting import EpochProgress, log_figures, log_plan, metrics_row
from training.loop.saving import Saver
from training.loop.state import settings_of_run, start_or_resume
from training.loop.stopping import stop_requests
from training.network.device import resolve_device
from training.network.settings import BEST_MODEL, NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings

CPU = torch.device("cpu")
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

    An epoch is best if its R@1 is above 0 and above that of all epochs before; without one, the last model is kept.

    Args:
        groups_folder: The groups' tables, classes and members.
        images_folder: Where the members' paths begin.
        run_folder: Gets the checkpoints, the best model by R@1, and the metrics table.
        network: Which network, and where its weights start.
        augmentation: How images are augmented.
        training: How long and how fast.
        runtime: Where; it is no part of what the result depends on.
        validate: Gives the recalls of a network in percent: of 1, and of those of 5, 10 and 20 that it has.
        on_percentage: Called with the whole number of percent done, each time that it changes.

    Torch's global random state is seeded in each iteration and not restored, nor is cuDNN's determinism.

    Raises:
        UserError: Settings, groups, images or checkpoints that training cannot go on with.
    """
    training.check_num_processes(world_size())
    device = resolve_device(runtime.device)
    with working("reading the groups"):
        groups = choose_groups(groups_folder, training.groups_num, training.batch_size, training.group_indices)
    settings = settings_of_run(groups_folder, groups, network, augmentation, training)
    checkpoint, best_model = load_checkpoint(run_folder), run_folder / BEST_MODEL
    if checkpoint is not None:
        refuse_other_settings(checkpoint["settings"], settings, run_folder)
        if checkpoint["epoch"] >= epochs_needed(checkpoint["metrics"], training):
            logger.info("%s is complete: %d epochs are done", run_folder, checkpoint["epoch"])
            return best_model
    training = set_randomness(training, runtime)  # after the settings, which keep a seed of -1
    with working("loading the network"):
        state = start_or_resume(checkpoint, settings, groups, network, training, device, augmentation.size)
    augment, in_batches = Augmentation(augmentation, network.channels), augments_in_batches(runtime, device)
    with working("checking an image of each group"):
        first_images = check_images(groups_folder, images_folder, groups)
    check_workers(first_images, augment, in_batches, training, runtime.num_workers)
    check_room(state, run_folder)
    if is_rank_zero():
        lists = {f"group-{group.index:06d}": scan_members(groups_folder, group.index) for group in groups}
        record_or_compare(run_folder, TRAIN, images_folder, lists)
    saver = Saver(state, training.iterations_per_epoch, run_folder, runtime)
    skipped = SkippedLog(run_folder, runtime.max_skipped_share)
    if training.epochs_num == 0:
        saver.save_model()

    with stop_requests() as stop, saver.saving_when_stopped():
        while state.epoch < epochs_needed(state.metrics, training):
            turn = state.epoch % len(groups)
            group, classifier = groups[turn], state.classifiers[turn].to(device)
            plan = EpochPlan.of(training, group.num_classes, state.epoch)
            with working("reading the images of the group"):
                members = read_members(groups_folder, group.index, run_folder)
            dataset = GroupDataset(images_folder, members, plan, augment, in_batches)
            log_plan(plan, group, training.epochs_num)
            with EpochProgress(plan, state.part, training.epochs_num, on_percentage) as progress:
                for _ in train_iterations(state, classifier, dataset, device, training, runtime, skipped):
                    progress.advance_iteration()
                    saver.save_if_due()
                    stop.check()
            classifier.to(CPU)

            with stop.at_once():
                recalls = broadcast_from_rank0(validate(state.network.eval()))
            if recalls[1] > state.best_recall or not state.best_recall:  # without a best model, keep the last
                state.best_recall = recalls[1]
                saver.save_model()
            figures = metrics_row(plan, group, state, recalls, training)
            log_figures(figures, state.best_recall, runtime)
            state.end_epoch(figures)
            saver.save_metrics()
            saver.save()
            stop.check()
    (run_folder / MEMBERS_FILE).unlink(missing_ok=True)
    return best_model
