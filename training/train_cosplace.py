"""The training stage: from a groups artifact to a published model."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import polars as pl
from torch import nn

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_identity
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import flag_of
from data_manifest.store.files import link_or_copy
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of_file, read_recipe
from data_manifest.store.references import WEIGHTS
from data_manifest.store.run_folders import only_writer, write_run_file
from data_manifest.tables import best_epoch, make_frame, read_table, write_table
from training.data.settings import AugmentationSettings
from training.data.skipped import SKIPPED, all_skipped
from training.distributed.processes import is_rank_zero
from training.image_changes import ROLES, TRAIN, VALIDATION, record_or_compare, warn_of_changes_to_model
from training.loop.saving import METRICS_TABLE
from training.loop.schedule import epochs_needed
from training.loop.trainer import seed_to_use, train
from training.model_card import write_model_card
from training.network.settings import MODEL_FILE, NetworkSettings
from training.network.weights import build_network, save_network
from training.recipe import (
    DATA_SET,
    IMAGES_FOLDER,
    decisive_settings,
    identity_of_images,
    run_folder,
    training_recipe,
)
from training.settings import RuntimeSettings, TrainingSettings


class Validator(Protocol):
    """Validates a network after each epoch; implemented by `evaluation.validation_set.ValidationSet`."""

    def __call__(self, network: nn.Module) -> dict[int, float]:
        """Return the recalls of a network, in percent by k: 1, and if available 5, 10 and 20."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the validation, as JSON types."""

    @property
    def manifests(self) -> Mapping[str, str]:
        """Digests of the manifests of the `database` and the `queries`."""

    @property
    def images(self) -> Mapping[str, tuple[ImagesFolder, pl.LazyFrame]]:
        """The folder and the image paths of the `database` and the `queries`."""

    def check(self) -> None:
        """Raise UserError if a list is empty, or its first image cannot be read."""


def train_cosplace(
    groups: Path,
    images_folder: ImagesFolder,
    artifacts: Path,
    validation: Validator,
    *,
    network: NetworkSettings | None = None,
    augmentation: AugmentationSettings | None = None,
    training: TrainingSettings | None = None,
    runtime: RuntimeSettings | None = None,
    data_set: Mapping[str, Any] | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Train on a groups artifact, and return the folder of the published model and its metrics.

    An interrupted training resumes from its last checkpoint under `<artifacts>/runs/`, also with more epochs. With 0
    epochs, the initial network is published.

    Args:
        groups: Folder of a published groups artifact.
        images_folder: Folder that the members' paths are relative to.
        artifacts: Folder of all artifacts.
        validation: Selects the best model by its R@1.
        network: The network, and its initial weights.
        augmentation: The augmentation of the images.
        training: The groups, batches, epochs and learning rates.
        runtime: The device, processes and checkpoint interval; never changes the result.
        data_set: Settings that find the other parts of the data set, recorded with the model for later evaluations.
        on_percentage: Called with the percentage done.

    Raises:
        UserError: Settings, groups, images or checkpoints do not allow training.
    """
    network, augmentation = network or NetworkSettings(), augmentation or AugmentationSettings()
    training, runtime = training or TrainingSettings(), runtime or RuntimeSettings()
    groups = groups.resolve()  # `current` may change during training
    validated = tuple((VALIDATION[role], folder) for role, (folder, _) in validation.images.items())
    recipe = training_recipe(
        read_recipe(groups),
        decisive_settings(network, augmentation, training, runtime.packs),
        validation.settings,
        validation.manifests,
        [
            identity_of_images(images_folder, artifacts, runtime.packs),
            *(data_set_identity(folder, artifacts) for _, folder in validated),
        ],
    )
    summary = {IMAGES_FOLDER: str(images_folder.resolve()), **({DATA_SET: dict(data_set)} if data_set else {})}
    if published := find_published(artifacts, recipe, adopt=summary):
        if is_rank_zero():
            folders = () if runtime.packs else ((TRAIN, images_folder),)
            warn_of_changes_to_model(published, artifacts, (*folders, *validated))
        return published
    network.warn_if_unwise()
    validation.check()
    if training.epochs_num == 0:
        initial = build_network(network, seed_to_use(training.seed), augmentation.size)
        made = f"untrained {network.backbone} with {network.fc_output_dim}-dimensional descriptors"
        metrics = make_frame([], schemas.METRICS)
        return _publish(artifacts, recipe, {**summary, "made": made}, metrics, lambda path: save_network(initial, path))
    run = run_folder(artifacts, recipe)
    with only_writer(run) if is_rank_zero() else contextlib.nullcontext():
        if is_rank_zero():
            write_run_file(run, recipe)
            for role, (folder, images) in validation.images.items():
                record_or_compare(run, VALIDATION[role], folder, {f"{role}.parquet": images})
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
        metrics = read_table(run, METRICS_TABLE.parent.name)
        made = _describe_best(metrics, training, run)
        return _publish(
            artifacts, recipe, {**summary, "made": made}, metrics, lambda path: shutil.copyfile(best_model, path), run
        )


def _describe_best(metrics: pl.DataFrame, training: TrainingSettings, run: Path) -> str:
    """Return which epoch the model is of.

    Raises:
        UserError: The run has more epochs than requested, and so may have replaced the best model.
    """
    needed = epochs_needed(metrics.to_dicts(), training)
    is_early = needed < training.epochs_num
    if len(metrics) > needed:
        field = "patience" if is_early else "epochs_num"
        raise UserError(
            f"{field} = {getattr(training, field)}: {run} already has {len(metrics)} epochs, and the best model after "
            f"{needed} may be overwritten. Give a larger {flag_of(field)}."
        )
    early = f", stopped early after {training.patience} epochs without a better R@1" if is_early else ""
    best = best_epoch(metrics).row(0, named=True)
    if not best["recall_1"]:
        return f"last of {needed} epochs, because no epoch has a validation R@1 above 0{early}"
    return f"best epoch {best['epoch'] + 1} of {needed}, validation R@1 {best['recall_1']:.1f}{early}"


def _publish(
    artifacts: Path,
    recipe: Recipe,
    summary: dict[str, Any],
    metrics: pl.DataFrame,
    write_model: Callable[[Path], object],
    run: Path | None = None,
) -> Path:
    """Publish a model with its metrics, its card, and the tables of its run."""
    with publishing(artifacts, recipe, summary) as staging:
        write_model(staging / MODEL_FILE)
        summary[WEIGHTS] = digest_of_file(staging / MODEL_FILE)
        write_table(metrics, staging / METRICS_TABLE, schemas.METRICS)
        if run is not None:
            for table in ROLES:
                if (run / table).is_dir():
                    shutil.copytree(run / table, staging / table, copy_function=link_or_copy)
            if (skipped := all_skipped(run)) is not None:
                write_table(skipped, staging / SKIPPED / f"{SKIPPED}.parquet", schemas.SKIPPED)
        write_model_card(staging, recipe, metrics, summary["made"])
    return recipe.folder(artifacts)
