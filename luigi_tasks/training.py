"""From groups to a model."""

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_identity
from data_manifest.progress import working
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from evaluation.recipe import validation_settings
from evaluation.settings import EvaluationSettings
from luigi_tasks.data import BuildGroups, BuildManifest, SplitDataset, StageOfImages
from luigi_tasks.parameters import TRAINING_KINDS, takes
from luigi_tasks.stage import Stage
from pipeline.groups.build_groups import groups_recipe
from pipeline.groups.settings import GroupSettings
from pipeline.verification.drop_bad_images import verified_alike
from pipeline.verification.settings import VerifiedSettings
from training.data.image_changes import TRAIN, VALIDATION, warn_of_changes_to_model
from training.data.settings import AugmentationSettings
from training.network.settings import NetworkSettings
from training.recipe import decisive_settings, finished_training, training_recipe
from training.settings import ChosenGroups, RuntimeSettings, SeedsSettings, TrainingSettings
from training.train_seeds import publish_seeds, seeds_recipe

if TYPE_CHECKING:
    from evaluation.descriptors.image_list import ImageList


logger = logging.getLogger(__name__)


def still_finished(finished: Path, today: Callable[[], Path]) -> Path:
    """Return today's model if it is finished, else a finished one with a note that the images have changed since.

    Days of training are not thrown away because images came or went meanwhile.
    """
    with contextlib.suppress(UserError):  # the images may be gone: a finished model does not need them
        model = today()
        if is_published(model) or model.name == finished.name:  # of a renamed folder, to be published under its name
            return model
        note_newer_groups(finished, model)
    return finished


@functools.cache  # said once a command
def note_newer_groups(finished: Path, today: Path) -> None:
    """Tell that a model was not trained on the images as they are now, and how to train on them."""
    text = (
        "%s was trained on other images than there are today; to train on those, run BuildGroups and give --groups-path"
    )
    logger.warning(text, finished)


@functools.cache
def resolved(path: Path) -> Path:
    """Return where a path led when the command started."""
    return path.resolve()


@functools.cache
def pinned_settings(
    network: NetworkSettings, augmentation: AugmentationSettings, training: TrainingSettings
) -> dict[str, Any]:
    """Return what a model depends on, looked up once a process: files of weights are read from end to end."""
    return decisive_settings(network, augmentation, training)


@dataclasses.dataclass(frozen=True)
class ValidatedBy:
    """The validation set that the best model is chosen by."""

    settings: dict[str, Any]
    manifests: Mapping[str, str]


def image_list(manifest: BuildManifest | SplitDataset) -> "ImageList":
    """Return the images of a manifest, for an evaluation."""
    from evaluation.descriptors.image_list import ImageList

    return ImageList(manifest.artifact(), manifest.images_folder)


def checked(manifests: "list[BuildManifest | SplitDataset]") -> "list[BuildManifest | SplitDataset]":
    """Return manifests whose images can be read: Luigi schedules nothing of a task whose requirements raise.

    Those of a split are of photos that have been read already.

    Raises:
        UserError: A folder is missing or empty, or its first image is broken.
    """
    for each in manifests:
        if isinstance(each, BuildManifest):
            check_image_of(each)
    return manifests


@functools.cache  # looked at once a command
def check_image_of(manifest: BuildManifest) -> None:
    """Check that the images of a manifest are there, and that the first can be read."""
    from pipeline.listing.check_first_image import check_first_image

    check_first_image(manifest.listing(), manifest.images_folder)


@contextlib.contextmanager
def stopping_luigi() -> Iterator[None]:
    """Have Luigi start nothing else once training was stopped by a signal; it lets a KeyboardInterrupt through.

    In a process of Luigi's own, multiprocessing would show that with a traceback: there the task has failed.
    """
    from training.loop.stopping import StoppedError

    try:
        yield
    except (StoppedError, KeyboardInterrupt) as stop:
        if multiprocessing.parent_process() is None:
            raise KeyboardInterrupt(*stop.args) from None
        raise StoppedError(str(stop) or "stopped: Ctrl-C") from None


@takes(*TRAINING_KINDS)
class TrainCosPlace(StageOfImages):
    """Train the network on the groups, validated after each epoch."""

    def requires(self) -> list[Stage]:
        """The groups, unless they are given, and the manifests of the validation set."""
        groups = [] if self.chosen_groups() else [self.clone(BuildGroups)]
        return [*checked(self.manifests("val")), *groups]

    def chosen_groups(self) -> Path | None:
        """Return the artifact of groups that was asked for, if one was; `current` is what it was at first."""
        path = self.settings(ChosenGroups).groups_path
        return path and resolved(path)

    def groups_folder(self) -> Path:
        """Return the folder of the groups to train on."""
        return self.chosen_groups() or self.clone(BuildGroups).artifact()

    def recipe(self) -> Recipe:
        """Return what makes the model."""
        chosen = self.chosen_groups()
        groups = read_recipe(chosen) if chosen else self.clone(BuildGroups).recipe().stored()
        database, queries = (manifest.recipe().digest for manifest in self.manifests("val"))
        images = [self.dataset.images("train"), *(manifest.images_folder for manifest in self.manifests("val"))]
        folders = [data_set_identity(folder, self.dataset.artifacts_folder) for folder in images]
        return self.recipe_on(groups, {"database": database, "queries": queries}, folders)

    def recipe_on(
        self, groups: dict[str, Any], validation: Mapping[str, str] | None = None, folders: Sequence[str] = ()
    ) -> Recipe:
        """Return what makes a model of groups; without validation images, one of any images of the folders."""
        augmentation = self.settings(AugmentationSettings)
        settings = pinned_settings(self.settings(NetworkSettings), augmentation, self.settings(TrainingSettings))
        evaluation = self.settings(EvaluationSettings)
        of_validation = validation_settings(
            evaluation.extraction(augmentation.size), evaluation.positive_dist_threshold
        )
        return training_recipe(groups, settings, ValidatedBy(of_validation, validation or {}), folders)

    def artifact(self) -> Path:
        """Return where the model is or will be, with a note on its images that changed since it was trained."""
        model = self.model()
        if is_published(model):
            folders = [(TRAIN, self.dataset.images("train"))]
            with contextlib.suppress(UserError):  # a finished model does not need a validation set
                lists = zip(VALIDATION.values(), self.manifests("val"), strict=True)
                folders += [(table, manifest.images_folder) for table, manifest in lists]
            warn_of_changes_to_model(model, self.dataset.artifacts_folder, tuple(folders))
        return model

    def model(self) -> Path:
        """Return the model of today's groups, or else one of the same settings that was finished on earlier ones."""
        if self.chosen_groups():
            return super().artifact()
        name, verified = self.manifest_of("train").name(), verified_alike(self.settings(VerifiedSettings).verified)
        any_images = groups_recipe(name, "", self.settings(GroupSettings), verified).stored()
        artifacts, images = self.dataset.artifacts_folder, self.dataset.images("train")
        of_folder = self.recipe_on(any_images, folders=[data_set_identity(images, artifacts)])
        finished = finished_training(artifacts, of_folder, images)
        return still_finished(finished, super().artifact) if finished else super().artifact()

    def run(self) -> None:
        """Train, and publish the best model."""
        with working("loading PyTorch and faiss"):
            from evaluation.validation_set import ValidationSet
            from training.train_cosplace import train_cosplace

        runtime = self.settings(RuntimeSettings)
        with stopping_luigi():
            if runtime.num_processes > 1:
                self.run_in_processes(runtime.num_processes)
                return
            database, queries = map(image_list, self.manifests("val"))
            evaluation, size = self.settings(EvaluationSettings), self.settings(AugmentationSettings).size
            extraction = evaluation.extraction(size, runtime.device, runtime.num_workers)
            validation = ValidationSet(database, queries, extraction, evaluation.positive_dist_threshold)
            train_cosplace(
                self.groups_folder(),
                self.dataset.images("train"),
                self.dataset.artifacts_folder,
                validation,
                network=self.settings(NetworkSettings),
                augmentation=self.settings(AugmentationSettings),
                training=self.settings(TrainingSettings),
                runtime=runtime,
                on_percentage=self.set_progress_percentage,
            )

    def run_in_processes(self, num_processes: int) -> None:
        """Train in several processes, and publish the best model: what `python -m training` does."""
        from training.__main__ import KINDS, arguments_for
        from training.distributed.launch import launch

        database, queries = self.manifests("val")
        folders = {
            "groups_path": self.groups_folder(),
            "images_folder": self.dataset.images("train"),
            "artifacts_folder": self.dataset.artifacts_folder,
            **{"val_database_manifest": database.artifact(), "val_database": database.images_folder},
            **{"val_queries_manifest": queries.artifact(), "val_queries": queries.images_folder},
        }
        self.settings(TrainingSettings).check_num_processes(num_processes)
        arguments = arguments_for(folders, [self.settings(kind) for kind in KINDS])
        launch(num_processes, arguments, self.set_progress_percentage)


@takes(*TRAINING_KINDS, SeedsSettings)
class TrainSeeds(StageOfImages):
    """Train once with each of several seeds: mean and standard deviation of the validation recalls as a table."""

    def requires(self) -> list[TrainCosPlace]:
        """A model for each seed."""
        return list(self.trainings().values())

    def trainings(self) -> dict[int, TrainCosPlace]:
        """Return the task of each seed."""
        return {seed: self.clone(TrainCosPlace, seed=seed) for seed in self.settings(SeedsSettings).numbers}

    def models(self) -> dict[int, Path]:
        """Return the folder of each seed's model."""
        return {seed: training.artifact() for seed, training in self.trainings().items()}

    def recipe(self) -> Recipe:
        """Return what makes the table."""
        return seeds_recipe(self.models())

    def run(self) -> None:
        """Publish the table."""
        publish_seeds(self.dataset.artifacts_folder, self.models())
