"""The Luigi tasks: `luigi --module workflows TrainCosPlace --dataset-folder sf-xl/processed`.

A task is a label on a plain function of `pipeline`, `training` or `evaluation`, and is complete when that function's
artefact is published. What takes seconds to import (torch, faiss) is imported where it is used.
"""

import contextlib
import dataclasses
import difflib
import functools
import logging
import multiprocessing
import sys
import typing
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import luigi
from luigi.task_register import TaskClassException
from luigi.util import inherits

from data_manifest.artefacts import Recipe, describe, is_published, make_current, read_recipe
from data_manifest.console import configure_logging, show_mistake
from data_manifest.errors import UserError
from data_manifest.image_size import ImageSize
from data_manifest.settings import Settings, value_of
from evaluation.recipe import Model, evaluation_recipe, model_digest, size_for, validation_digest
from evaluation.recipe import decisive_settings as evaluation_settings
from evaluation.settings import EvaluationSettings
from pipeline.cluster import ClusterSettings, executor_at
from pipeline.dataset import DatasetSettings, PartSettings, data_set_name
from pipeline.groups import build_groups, groups_recipe
from pipeline.listing import Listing, list_images
from pipeline.manifest import build_manifest, manifest_recipe
from pipeline.settings import GroupSettings
from training.recipe import decisive_settings, finished_training, training_recipe
from training.settings import (
    MODEL_FILE,
    AugmentationSettings,
    ChosenGroups,
    NetworkSettings,
    RuntimeSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    from evaluation.evaluate import ImageList


LUIGI_DEFAULTS = {
    # Artefacts are published whole, so that runs may overlap: no lock file is needed, nor a server to keep them apart.
    "core": {"local_scheduler": "true", "no_lock": "true", "log_level": "WARNING"},
    "worker": {"check_complete_on_run": "true"},  # a task that ended without making what it promises has failed
    # What luigi exits with; without these it would be 0 whatever happened.
    "retcode": {
        **{"already_running": "10", "missing_data": "20", "not_run": "25", "task_failed": "30"},
        **{"scheduling_error": "35", "unhandled_exception": "40"},
    },
}


def set_luigi_defaults() -> None:
    """Give Luigi the values that this pipeline needs, where no configuration file says otherwise."""
    configuration = luigi.configuration.get_config()
    for section, values in LUIGI_DEFAULTS.items():
        for name, value in values.items():
            if not configuration.has_option(section, name):
                configuration.set(section, name, value)


set_luigi_defaults()
# A worker that Luigi forks would hang: polars' threads hold locks that no thread of the copy ever releases.
multiprocessing.set_start_method("spawn", force=True)
configure_logging()
sys.excepthook = show_mistake(sys.excepthook, TaskClassException)

logger = logging.getLogger(__name__)
CONFIG_SECTION = "cosplace"
ELSEWHERE = {"dask_scheduler": ("dask", "scheduler")}  # section and name of parameters that are not in that section
UNIMPORTANT = ("rescan", "device", "num_workers", "infer_batch_size", "dask_scheduler")  # never change what is made
TRAINING_KINDS: tuple[type[Settings], ...] = (
    *(DatasetSettings, GroupSettings, ChosenGroups, NetworkSettings, AugmentationSettings, TrainingSettings),
    *(EvaluationSettings, RuntimeSettings, ClusterSettings),
)
KINDS: tuple[type[Settings], ...] = (PartSettings, *TRAINING_KINDS)
SettingsKind = TypeVar("SettingsKind", bound=Settings)


def place_of(parameter: str) -> tuple[str, str]:
    """Return the section and the name that a parameter has in the configuration."""
    return ELSEWHERE.get(parameter, (CONFIG_SECTION, parameter))


class SettingParameter(luigi.Parameter[Any]):
    """A field of a settings class as a Luigi parameter, with its default, its help text and its type."""

    def __init__(self, field: dataclasses.Field[Any], hint: Any) -> None:
        shown = "none" if field.default is None else str(field.default).lower() if hint is bool else field.default
        choices = f"; one of {', '.join(field.metadata['choices'])}" if field.metadata["choices"] else ""
        section, name = place_of(field.name)
        super().__init__(
            default=field.default,
            description=f"{field.metadata['help']} [{shown}{choices}]".replace("%", "%%"),
            config_path={"section": section, "name": name},
            significant=field.name not in UNIMPORTANT,
        )
        self.field, self.hint = field, hint

    def parse(self, x: Any) -> Any:
        """Return a command line's or configuration's text as a value."""
        return value_of(self.field, x, self.hint)

    normalize = parse  # 10 and 10.0 are one task

    def serialize(self, x: Any) -> str:
        """Return a value as text that `parse` understands."""
        return "" if x is None else str(x)

    def _parser_kwargs(self, param_name: str, task_name: str | None = None) -> dict[str, Any]:  # type: ignore[override]
        """Let `--train-all-layers` mean `--train-all-layers true`."""
        flag = {"nargs": "?", "const": "true"} if self.hint is bool else {}
        return {**super()._parser_kwargs(param_name, task_name), **flag}


def parameters_of(settings: type[Settings]) -> type[luigi.Task]:
    """Return a holder of a Luigi parameter for each field of a settings class.

    Its name must not begin as a parameter does: argparse takes --N for short of --NetworkSettings...
    """
    hints = typing.get_type_hints(settings)
    members = {field.name: SettingParameter(field, hints[field.name]) for field in dataclasses.fields(settings)}
    return type(f"ParametersOf{settings.__name__}", (luigi.Task,), members)


HOLDERS = {kind: parameters_of(kind) for kind in KINDS}


def takes(*kinds: type[Settings]) -> Callable[[type["Stage"]], type["Stage"]]:
    """Give a task the parameters of settings classes."""

    def decorate(task: type["Stage"]) -> type["Stage"]:
        hidden = {field.name for kind in kinds for field in dataclasses.fields(kind)} & vars(task).keys()
        assert not hidden, f"{task.__name__}: methods hide parameters: {hidden}"
        task.kinds = kinds
        inheriting: type[Stage] = inherits(*(HOLDERS[kind] for kind in kinds))(task)
        return inheriting

    return decorate


def refuse_unknown_settings() -> None:
    """Check the names in the configuration's sections of parameters.

    Raises:
        UserError: One is no parameter, so that its value would be ignored.
    """
    configuration = luigi.configuration.get_config()
    places = {field.name: place_of(field.name) for kind in KINDS for field in dataclasses.fields(kind)}
    for section in sorted({section for section, _ in places.values()}):
        for name in configuration.options(section) if configuration.has_section(section) else ():
            if (section, name) not in places.values():
                raise UserError(f"[{section}] {name}: there is no such parameter{hint_at(name, section, places)}")


def hint_at(name: str, section: str, places: Mapping[str, tuple[str, str]]) -> str:
    """Return a question for the parameter that was meant by a name in a section, if one is like it."""
    alike = difflib.get_close_matches(name, places, n=1)
    if not alike:
        return ""
    its_section, its_name = places[alike[0]]
    return f"; is it {its_name}?" if its_section == section else f"; is it [{its_section}] {its_name}?"


class Stage(luigi.Task):
    """A stage of the pipeline: complete when the artefact of its recipe is published."""

    kinds: tuple[type[Settings], ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_unknown_settings()
        for kind in self.kinds:  # a mistake in any setting is told before work starts
            self.settings(kind)

    def settings(self, kind: type[SettingsKind]) -> SettingsKind:
        """Return the settings of a kind that the parameters give."""
        return kind(**{field.name: getattr(self, field.name) for field in dataclasses.fields(kind)})

    @property
    def dataset(self) -> DatasetSettings:
        """The folders of the data set."""
        return self.settings(DatasetSettings)

    def executor(self) -> contextlib.AbstractContextManager[Executor | None]:
        """Return what runs partitions: the workers of a cluster, or None for threads of this process."""
        return executor_at(self.settings(ClusterSettings).dask_scheduler)

    def recipe(self) -> Recipe:
        """Return what makes this stage's artefact, as inputs and settings stand today."""
        raise NotImplementedError

    def manifests(self, split: str) -> list["BuildManifest"]:
        """Return the tasks that make the manifests of a split's database and queries."""
        return [self.clone(BuildManifest, part=f"{split}/{role}") for role in ("database", "queries")]

    def artefact(self) -> Path:
        """Return where the artefact lies, or will."""
        return self.recipe().folder(self.dataset.artifacts_folder)

    def complete(self) -> bool:
        """Return whether the artefact is published."""
        return is_published(self.artefact())


@Stage.event_handler(luigi.Event.SUCCESS)
def say_made(stage: Stage) -> None:
    """Tell what a stage has made."""
    print(f"{stage.task_family} made {describe(stage.artefact())}", flush=True)


@Stage.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def say_present(stage: Stage) -> None:
    """Tell what was there already, and make it the current one of its name."""
    make_current(stage.artefact())
    print(f"{stage.task_family}: nothing to do, there is {describe(stage.artefact())}", flush=True)


def still_finished(finished: Path, today: Callable[[], Path]) -> Path:
    """Return today's model if it is published, else a finished one with a note that the images have changed since.

    Days of training are not thrown away because images came or went meanwhile.
    """
    with contextlib.suppress(UserError):  # the images may be gone: a finished model does not need them
        if is_published(today()):
            return today()
        note_newer_groups(finished, today())
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


@dataclasses.dataclass(frozen=True)
class ValidatedBy:
    """What the best model is chosen by."""

    settings: dict[str, Any]
    digest: str


@functools.cache
def listed(images_folder: Path, artifacts: Path, rescan: bool) -> Listing:
    """Return the images of a folder, listed once a process: what changes meanwhile is for the next command."""
    return list_images(images_folder, artifacts, rescan)


@takes(DatasetSettings, PartSettings, ClusterSettings)
class BuildManifest(Stage):
    """Parse the names of a data set's images into the manifest and rejects tables."""

    part: str

    @property
    def images_folder(self) -> Path:
        """Where the images lie."""
        return self.dataset.images(self.part)

    def recipe(self) -> Recipe:
        """Return what makes the manifest."""
        return manifest_recipe(data_set_name(self.images_folder), self.listing(), self.part == "train")

    def listing(self) -> Listing:
        """Return the images, as they were when the command started."""
        return listed(self.images_folder, self.dataset.artifacts_folder, self.dataset.rescan)

    def run(self) -> None:
        """Build the manifest."""
        with self.executor() as executor:
            build_manifest(
                self.images_folder,
                self.dataset.artifacts_folder,
                strict=self.part == "train",
                listing=self.listing(),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


def image_lists(stage: Stage, split: str) -> tuple["ImageList", "ImageList"]:
    """Return the database and the queries of a split, for an evaluation."""
    from evaluation.evaluate import ImageList

    database, queries = (ImageList(each.artefact(), each.images_folder) for each in stage.manifests(split))
    return database, queries


@takes(DatasetSettings, GroupSettings, ClusterSettings)
class BuildGroups(Stage):
    """Assign the training images to cells, classes and groups."""

    def requires(self) -> BuildManifest:
        """The manifest of the training images."""
        manifest: BuildManifest = self.clone(BuildManifest, part="train")
        return manifest

    def recipe(self) -> Recipe:
        """Return what makes the groups."""
        manifest = self.requires().recipe()
        return groups_recipe(manifest.name, manifest.digest, self.settings(GroupSettings))

    def run(self) -> None:
        """Build the groups."""
        with self.executor() as executor:
            build_groups(
                self.requires().artefact(),
                self.dataset.artifacts_folder,
                self.settings(GroupSettings),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


@takes(*TRAINING_KINDS)
class TrainCosPlace(Stage):
    """Train the network on the groups, validated after each epoch."""

    def requires(self) -> list[Stage]:
        """The groups, unless they are given, and the manifests of the validation set."""
        groups = [] if self.chosen_groups() else [self.clone(BuildGroups)]
        return [*groups, *self.manifests("val")]

    def chosen_groups(self) -> Path | None:
        """Return the artefact of groups that was asked for, if one was; `current` is what it was at first."""
        path = self.settings(ChosenGroups).groups_path
        return path and resolved(path)

    def groups_folder(self) -> Path:
        """Return the folder of the groups to train on."""
        return self.chosen_groups() or self.clone(BuildGroups).artefact()

    def recipe(self) -> Recipe:
        """Return what makes the model."""
        chosen = self.chosen_groups()
        groups = read_recipe(chosen) if chosen else self.clone(BuildGroups).recipe().stored()
        database, queries = (manifest.recipe().digest for manifest in self.manifests("val"))
        return self.recipe_on(groups, validation_digest(database, queries))

    def recipe_on(self, groups: dict[str, Any], validation_images: str) -> Recipe:
        """Return what makes a model of groups with this recipe."""
        augmentation = self.settings(AugmentationSettings)
        settings = decisive_settings(self.settings(NetworkSettings), augmentation, self.settings(TrainingSettings))
        validation = evaluation_settings(self.settings(EvaluationSettings), augmentation.size)
        return training_recipe(groups, settings, ValidatedBy(validation, validation_images))

    def artefact(self) -> Path:
        """Return the model of today's groups, or else one of the same settings that was finished on earlier ones."""
        if self.chosen_groups():
            return super().artefact()
        images = self.dataset.images("train")
        any_images = groups_recipe(data_set_name(images), "", self.settings(GroupSettings)).stored()
        finished = finished_training(self.dataset.artifacts_folder, self.recipe_on(any_images, ""), images)
        return still_finished(finished, super().artefact) if finished else super().artefact()

    def run(self) -> None:
        """Train, and publish the best model."""
        from evaluation.stage import Validation
        from training.stage import train_cosplace

        runtime = self.settings(RuntimeSettings)
        validation = Validation(
            *image_lists(self, "val"),
            self.settings(EvaluationSettings),
            image_size=self.settings(AugmentationSettings).size,
            device=runtime.device,
            num_workers=runtime.num_workers,
        )
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


@takes(*TRAINING_KINDS)
class EvaluateCosPlace(Stage):
    """Evaluate the trained model, or the one that --resume-model names, on the test set."""

    def requires(self) -> list[Stage]:
        """The manifests of the test set and, unless it is given, the model."""
        trained = [] if self.settings(NetworkSettings).resume_model else [self.clone(TrainCosPlace)]
        return [*trained, *self.manifests("test")]

    def recipe(self) -> Recipe:
        """Return what makes the evaluation."""
        given = self.settings(NetworkSettings).resume_model
        digest = model_digest(given) if given else self.clone(TrainCosPlace).artefact().name
        network = self.settings(NetworkSettings)
        model = Model(digest, network.backbone, network.fc_output_dim)
        database, queries = (manifest.recipe() for manifest in self.manifests("test"))
        settings = evaluation_settings(self.settings(EvaluationSettings), self.resized_to())
        return evaluation_recipe(queries.name, model, database.digest, queries.digest, settings)

    def resized_to(self) -> ImageSize:
        """Return the size that images are resized to, if they are: of a given model, it may be what its file states."""
        augmentation, given = self.settings(AugmentationSettings), self.settings(NetworkSettings).resume_model
        if given:
            return size_for(given, self.settings(EvaluationSettings), augmentation.image_size)
        return augmentation.size

    def run(self) -> None:
        """Evaluate, and publish predictions and recalls."""
        from evaluation.stage import evaluate_cosplace

        network, runtime = self.settings(NetworkSettings), self.settings(RuntimeSettings)
        evaluate_cosplace(
            network.resume_model or self.clone(TrainCosPlace).artefact() / MODEL_FILE,
            network.backbone,
            network.fc_output_dim,
            *image_lists(self, "test"),
            self.dataset.artifacts_folder,
            self.settings(EvaluationSettings),
            image_size=self.resized_to(),
            grayscale=network.grayscale,
            device=runtime.device,
            num_workers=runtime.num_workers,
            on_percentage=self.set_progress_percentage,
        )
