"""The training stage: from a groups artifact to a published model."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import polars as pl
from torch import nn

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_identity
from data_manifest.images.image_size import ImageSize
from data_manifest.store.files import link_or_copy
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of_file, read_recipe
from data_manifest.store.references import WEIGHTS
from data_manifest.store.run_folders import only_writer, write_run_file
from data_manifest.tables import best_epoch, make_frame, read_table, write_table
from training.data.image_changes import ROLES, TRAIN, VALIDATION, record_or_compare, warn_of_changes_to_model
from training.data.settings import AugmentationSettings
from training.data.skipped import SKIPPED, all_skipped
from training.distributed.processes import is_rank_zero
from training.loop.patience import epochs_needed
from training.loop.randomness import seed_to_use
from training.loop.saving import METRICS_TABLE
from training.loop.trainer import train
from training.model_card import write_model_card
from training.network.settings import MODEL_FILE, NetworkSettings
from training.network.weights import build_network, save_network
from training.recipe import (
    IMAGES_FOLDER,
    ValidationSet,
    decisive_settings,
    run_folder,
    training_recipe,
)
from training.settings import RuntimeSettings, TrainingSettings


class Validation(ValidationSet, Protocol):
    """What training validates with after each epoch; `evaluation.validation_set.ValidationSet` is one."""

    def __call__(self, network: nn.Module) -> dict[int, float]:
        """Return the recalls of a network, in percent by k: of 1, and of those of 5, 10 and 20 that it has."""

    @property
    def images(self) -> Mapping[str, tuple[Path, pl.LazyFrame]]:
        """The folder and the images, with their paths in it, of the `database` and the `queries`."""

    def check(self) -> None:
        """Raise UserError where a list is empty, or its first image cannot be read: before days of training."""


def train_cosplace(
    groups: Path,
    images_folder: Path,
    artifacts: Path,
    validation: Validation,
    *,
    network: NetworkSettings | None = None,
    augmentation: AugmentationSettings | None = None,
    training: TrainingSettings | None = None,
    runtime: RuntimeSettings | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Train on the groups of a published artifact, and return the folder of the published model and its metrics.

    An interrupted training goes on from its last checkpoint, which lies under `<artifacts>/runs/`. With more epochs
    than before it goes on as well. With 0 epochs the network is published as it starts.

    Args:
        groups: Folder of a published groups artifact.
        images_folder: Where the members' paths begin.
        artifacts: Where artifacts are published.
        validation: Gives the recalls of a network, in percent by k; the model that is best at R@1 is kept.
        network: Which network, and where its weights start.
        augmentation: How images are augmented.
        training: How long and how fast.
        runtime: Where; never part of what the result depends on.
        on_percentage: Told of the progress.

    Raises:
        UserError: Settings, groups, images or checkpoints that training cannot go on with.
    """
    network, augmentation = network or NetworkSettings(), augmentation or AugmentationSettings()
    training, runtime = training or TrainingSettings(), runtime or RuntimeSettings()
    groups = groups.resolve()  # `current` may come to lead elsewhere meanwhile
    validated = ((VALIDATION[role], folder) for role, (folder, _) in validation.images.items())
    folders = ((TRAIN, images_folder), *validated)
    recipe = training_recipe(
        read_recipe(groups),
        decisive_settings(network, augmentation, training),
        validation,
        [data_set_identity(folder, artifacts) for _, folder in folders],
    )
    summary = {IMAGES_FOLDER: str(images_folder.resolve())}
    if published := find_published(artifacts, recipe, adopt=summary):
        if is_rank_zero():
            warn_of_changes_to_model(published, artifacts, folders)
        return published
    network.warn_if_unwise()
    validation.check()
    if training.epochs_num == 0:
        return _publish_untrained(artifacts, recipe, summary, network, augmentation.size, training.seed)
    run = run_folder(artifacts, recipe)
    with only_writer(run) if is_rank_zero() else contextlib.nullcontext():
        if is_rank_zero():
            write_run_file(run, recipe)
            for role, (folder, images) in validation.images.items():
                record_or_compare(run, VALIDATION[role], folder, {role: images})
        best_model = train(
            groups,
            images_folder,
            run,
            network=network,
            augmentation=augmentation,
            training=training,
            runtime=runtime,
            validate=validation,
            on_percentage=on_percentage,
        )
        if not is_rank_zero():
            return recipe.folder(artifacts)
        return _publish_best(artifacts, recipe, summary, run, best_model, training)


def _publish_untrained(
    artifacts: Path, recipe: Recipe, summary: dict[str, str], network: NetworkSettings, size: ImageSize, seed: int
) -> Path:
    summary["made"] = made = f"{_named(network)}, untrained"
    with publishing(artifacts, recipe, summary) as staging:
        save_network(build_network(network, seed_to_use(seed), size), staging / MODEL_FILE)
        summary[WEIGHTS] = digest_of_file(staging / MODEL_FILE)
        no_epochs = make_frame([], schemas.METRICS)
        write_table(no_epochs, staging / METRICS_TABLE, schemas.METRICS)
        write_model_card(staging, recipe, no_epochs, made)
    return recipe.folder(artifacts)


def _publish_best(
    artifacts: Path, recipe: Recipe, summary: dict[str, str], run: Path, best_model: Path, training: TrainingSettings
) -> Path:
    metrics = read_table(run, METRICS_TABLE.parent.name)
    needed = epochs_needed(metrics.to_dicts(), training)
    if len(metrics) > needed:
        field = "patience" if needed < training.epochs_num else "epochs_num"
        raise UserError(
            f"{field} = {getattr(training, field)}: {run} has trained for {len(metrics)} epochs already, and which "
            f"network was best after {needed} is no longer known; ask for more"
        )
    best = best_epoch(metrics).row(0, named=True)
    early = f", stopped after {training.patience} without a better one" if needed < training.epochs_num else ""
    made = f"last of {needed} epochs{early}, because no epoch has an R@1 above 0 in validation"
    if best["recall_1"]:
        early = early and f"{early},"
        made = f"best of {needed} epochs{early} is {best['epoch'] + 1}, with R@1 {best['recall_1']:.1f} in validation"
    summary["made"] = made
    with publishing(artifacts, recipe, summary) as staging:
        shutil.copyfile(best_model, staging / MODEL_FILE)
        summary[WEIGHTS] = digest_of_file(staging / MODEL_FILE)
        write_table(metrics, staging / METRICS_TABLE, schemas.METRICS)
        for table in ROLES:
            if (run / table).is_dir():
                shutil.copytree(run / table, staging / table, copy_function=link_or_copy)
        if (skipped := all_skipped(run)) is not None:
            write_table(skipped, staging / SKIPPED / f"{SKIPPED}.parquet", schemas.SKIPPED)
        write_model_card(staging, recipe, metrics, made)
    return recipe.folder(artifacts)


def _named(network: NetworkSettings) -> str:
    return f"{network.backbone} with descriptors of {network.fc_output_dim} numbers"
