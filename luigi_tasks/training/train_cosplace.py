"""The task from groups to a model."""

import contextlib
import dataclasses
import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_identity
from data_manifest.images.images_folder import ImagesFolder, is_missing
from data_manifest.images.packs.open_packs import find_packs
from data_manifest.progress import working
from data_manifest.settings import Settings
from data_manifest.store.find import find_by_digest
from data_manifest.store.recipe import Recipe, is_published
from evaluation.recipe import validation_settings
from evaluation.settings import EvaluationSettings
from luigi_tasks.data.groups import BuildGroups, StageOfGroups
from luigi_tasks.data.manifests import DATA_KINDS, Manifest, check_first_images
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage, stopping_luigi
from pipeline.dataset_layout import DatasetSettings
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.groups.build_groups import groups_recipe
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.settings import SplitSettings
from pipeline.sources.settings import SourceSettings
from pipeline.verification.drop_bad_images import Verified
from pipeline.verification.settings import NO, VerifiedSettings, VerifySettings
from training.data.settings import AugmentationSettings
from training.image_changes import TRAIN, VALIDATION, warn_of_changes_to_model
from training.network.backbones import TIMM
from training.network.settings import NetworkSettings
from training.recipe import decisive_settings, finished_training, identity_of_images, training_recipe
from training.settings import ChosenGroups, RuntimeSettings, TrainingSettings

if TYPE_CHECKING:
    from evaluation.descriptors.image_list import ImageList

TRAINING_KINDS: tuple[type[Settings], ...] = (
    *(*DATA_KINDS, SplitSettings, GroupSettings, ChosenGroups, NetworkSettings),
    *(AugmentationSettings, TrainingSettings, EvaluationSettings, RuntimeSettings, ClusterSettings),
    *(VerifiedSettings, VerifySettings),
)
logger = logging.getLogger(__name__)
pinned_settings = functools.cache(decisive_settings)  # reads whole files of weights


def image_list(manifest: Manifest) -> "ImageList":
    """Return the images of a manifest for an evaluation."""
    from evaluation.descriptors.image_list import ImageList

    return ImageList(manifest.artifact(), manifest.images_folder)


@functools.cache  # log once per command
def _note_newer_images(model: Path) -> None:
    text = "%s was trained on other images than today's. To train on those, build their groups and pass --groups-path."
    logger.warning(text, model)


@takes(*TRAINING_KINDS, insignificant=("test_folder", "test_queries"))  # recorded, but not used in training
class TrainCosPlace(StageOfGroups):
    """Train the network on the groups, with a validation after each epoch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if (backbone := self.settings(NetworkSettings).backbone).startswith(TIMM):
            from training.network.timm_backbone import check_image_size  # late: torch takes seconds to import

            check_image_size(backbone, self.settings(AugmentationSettings).size)

    def requires(self) -> list[Stage]:
        runtime = self.settings(RuntimeSettings)
        runtime.check_shard_classifier(runtime.num_processes)
        check_first_images(self.manifests("val"))
        groups = [] if self.chosen_groups() else [self.clone(BuildGroups)]
        return [*self.manifests("val"), *groups]

    def chosen_groups(self) -> Path | None:
        """Return the groups of --groups-path or, if only packs of the images are here, those that were packed.

        Raises:
            UserError: The groups that were packed are not in the artifacts folder.
        """
        packs, images = self.settings(RuntimeSettings).packs, self.dataset.images("train")
        if (chosen := super().chosen_groups()) or packs is None or not is_missing(images):
            return chosen
        digest = find_packs(packs).recipe["inputs"]["groups"]
        if found := find_by_digest(self.artifacts_folder, digest, "groups"):
            return found
        raise UserError(f"{images}: no such folder. To train on {packs} without it, pass the groups by --groups-path.")

    def recipe(self) -> Recipe:
        database, queries = self.manifests("val")
        images = [database.images_folder, queries.images_folder]
        folders = [self.identity(), *(data_set_identity(folder, self.artifacts_folder) for folder in images)]
        digests = {"database": database.recipe().digest, "queries": queries.recipe().digest}
        return self.recipe_on(self.groups_recipe(), digests, folders)

    def identity(self) -> str:
        """Return the identity of the training images."""
        packs = self.settings(RuntimeSettings).packs
        return identity_of_images(self.dataset.images("train"), self.artifacts_folder, packs)

    def recipe_on(self, groups: dict[str, Any], validation: Mapping[str, str], folders: Sequence[str]) -> Recipe:
        """Return the recipe of a model of these groups, validation manifests and identities of folders."""
        augmentation = self.settings(AugmentationSettings)
        network, training = self.settings(NetworkSettings), self.settings(TrainingSettings)
        settings = pinned_settings(network, augmentation, training, self.settings(RuntimeSettings).packs)
        evaluation = self.settings(EvaluationSettings)
        of_validation = validation_settings(
            evaluation.extraction(augmentation.size), evaluation.positive_dist_threshold
        )
        return training_recipe(groups, settings, of_validation, validation, folders)

    def artifact(self) -> Path:
        """Return the folder of the model, and log which of its images have changed since it was trained."""
        model = self.model()
        if is_published(model):
            is_packed = self.settings(RuntimeSettings).packs is not None
            folders = [] if is_packed else [(TRAIN, self.dataset.images("train"))]
            with contextlib.suppress(UserError):  # a finished model does not need a validation set
                manifests = zip(VALIDATION.values(), self.manifests("val"), strict=True)
                folders += [(table, manifest.images_folder) for table, manifest in manifests]
            warn_of_changes_to_model(model, self.artifacts_folder, tuple(folders))
        return model

    def model(self) -> Path:
        """Return the model of today's images or, if there is none, one finished on earlier images of the folder.

        Days of training are not repeated because images were added or removed.
        """
        finished = None if self.chosen_groups() else self.finished_model()
        if finished is None:
            return super().artifact()
        with contextlib.suppress(UserError):  # a finished model does not need its images
            model = super().artifact()
            if is_published(model) or model.name == finished.name:  # the folder was renamed: published under its name
                return model
            _note_newer_images(finished)
        return finished

    def finished_model(self) -> Path | None:
        """Return the newest model with these settings of this folder, whatever its images were."""
        images, check = self.dataset.images("train"), self.settings(VerifiedSettings).verified
        verified = None if check == NO else Verified(check, "")
        groups = groups_recipe("", "", self.settings(GroupSettings), verified)  # neither name nor digest is compared
        recipe = self.recipe_on(groups.stored(), {}, [self.identity()])
        return finished_training(self.artifacts_folder, recipe, images)

    def data_record(self) -> dict[str, Any]:
        """Return the settings of the data set, with absolute paths, to record with the model."""
        kinds = (DatasetSettings, SourceSettings, SplitSettings)
        values = {field.name: getattr(self, field.name) for kind in kinds for field in dataclasses.fields(kind)}
        paths = {name: str(value.absolute()) for name, value in values.items() if isinstance(value, ImagesFolder)}
        return {**values, **paths}

    def run(self) -> None:
        runtime = self.settings(RuntimeSettings)
        with stopping_luigi():
            if runtime.num_processes > 1:
                self.run_in_processes(runtime.num_processes)
            else:
                self.run_here(runtime)

    def run_here(self, runtime: RuntimeSettings) -> None:
        """Train in this process."""
        with working("loading PyTorch and faiss"):
            from evaluation.validation_set import ValidationSet
            from training.train_cosplace import train_cosplace

        database, queries = map(image_list, self.manifests("val"))
        evaluation, augmentation = self.settings(EvaluationSettings), self.settings(AugmentationSettings)
        extraction = evaluation.extraction(augmentation.size, runtime.device, runtime.num_workers)
        train_cosplace(
            self.groups_folder(),
            self.dataset.images("train"),
            self.artifacts_folder,
            ValidationSet(database, queries, extraction, evaluation.positive_dist_threshold),
            network=self.settings(NetworkSettings),
            augmentation=augmentation,
            training=self.settings(TrainingSettings),
            runtime=runtime,
            data_set=self.data_record(),
            on_percentage=self.set_progress_percentage,
        )

    def run_in_processes(self, num_processes: int) -> None:
        """Train in several processes with `python -m training`."""
        from training.__main__ import KINDS, arguments_for
        from training.distributed.launch import launch

        database, queries = self.manifests("val")
        folders: dict[str, ImagesFolder] = {
            **{"groups_path": self.groups_folder(), "images_folder": self.dataset.images("train")},
            "artifacts_folder": self.artifacts_folder,
            **{"val_database_manifest": database.artifact(), "val_database": database.images_folder},
            **{"val_queries_manifest": queries.artifact(), "val_queries": queries.images_folder},
        }
        self.settings(TrainingSettings).check_num_processes(num_processes)
        arguments = arguments_for(folders, [self.settings(kind) for kind in KINDS])
        arguments.append(f"--data-set={json.dumps(self.data_record())}")
        launch(num_processes, arguments, self.set_progress_percentage)
