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
import shlex
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
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
from evaluation.recipe import (
    Model,
    descriptors_recipe,
    evaluation_recipe,
    model_digest,
    recipe_of_sets,
    recipe_settings,
    resized_to,
    size_for,
    validation_digest,
)
from evaluation.recipe import decisive_settings as evaluation_settings
from evaluation.report.recipe import report_recipe
from evaluation.report.settings import ReportSettings
from evaluation.set_folders import SetFolders, find_sets
from evaluation.settings import ChosenSets, EvaluationSettings, RetrievalSettings
from pipeline.cluster import ClusterSettings, executor_at
from pipeline.crop_settings import CropFolders, CropSettings
from pipeline.dataset import PHOTOS, DatasetSettings, PartSettings, data_set_name
from pipeline.groups import build_groups, groups_recipe
from pipeline.listing import Listing, list_images
from pipeline.manifest import build_manifest, manifest_recipe
from pipeline.panoramas import crop_panoramas, crops_recipe
from pipeline.settings import GroupSettings
from pipeline.sources.choose import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.split import NONE as UNSPLIT
from pipeline.split import SplitSettings, part_name, split_manifest, split_recipe
from pipeline.verified import leave_out_bad, verified_alike, verified_by, verified_recipe
from pipeline.verify import Files, checks_recipe, look_at_images, verify_images
from pipeline.verify_settings import NO, CheckSettings, VerifiedSettings, VerifySettings
from training.recipe import decisive_settings, finished_training, training_recipe
from training.settings import (
    MODEL_FILE,
    AugmentationSettings,
    ChosenGroups,
    NetworkSettings,
    RuntimeSettings,
    SeedsSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    from evaluation.image_list import ImageList


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
UNIMPORTANT = (  # never change what is made
    *("rescan", "device", "num_workers", "num_processes", "augmentation_device", "compile", "max_skipped_share"),
    *("infer_batch_size", "dask_scheduler", "checkpoint_minutes", "checkpoint_iterations"),
)
TRAINING_KINDS: tuple[type[Settings], ...] = (
    *(DatasetSettings, SourceSettings, SplitSettings, GroupSettings, ChosenGroups, NetworkSettings),
    *(AugmentationSettings, TrainingSettings, EvaluationSettings, RuntimeSettings, ClusterSettings),
    *(VerifiedSettings, VerifySettings),
)
KINDS: tuple[type[Settings], ...] = (
    *(PartSettings, ChosenSets, RetrievalSettings, CheckSettings, CropFolders, CropSettings, ReportSettings),
    SeedsSettings,
    *TRAINING_KINDS,
)
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

    def manifest_of(self, part: str) -> "BuildManifest | SplitDataset":
        """Return the task that makes the manifest of a part of the data set."""
        is_split = self.dataset.photos_folder and part != PHOTOS and self.settings(SplitSettings).split != UNSPLIT
        task: BuildManifest | SplitDataset = self.clone(SplitDataset if is_split else BuildManifest, part=part)
        return task

    def manifests(self, split: str) -> list["BuildManifest | SplitDataset"]:
        """Return the tasks that make the manifests of a split's database and queries."""
        return [self.manifest_of(f"{split}/{role}") for role in ("database", "queries")]

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


@functools.cache
def pinned_recipe(
    images_folder: Path, artifacts: Path, rescan: bool, strict: bool, source: SourceSettings, part: str
) -> Recipe:
    """Return what makes a manifest, looked up once a process: with EXIF, each file's time is asked for."""
    listing = listed(images_folder, artifacts, rescan)
    return manifest_recipe(data_set_name(images_folder), listing, strict, make_source(source, part))


@takes(DatasetSettings, SourceSettings, PartSettings, ClusterSettings)
class BuildManifest(Stage):
    """Read what the names of a data set's images say, or a table, or EXIF, into the manifest and rejects tables."""

    part: str

    @property
    def strict(self) -> bool:
        """Whether doubtful images are rejected."""
        return self.part in ("train", PHOTOS)

    @property
    def images_folder(self) -> Path:
        """Where the images lie."""
        return self.dataset.images(self.part)

    def name(self) -> str:
        """Return what the images are called among the artefacts."""
        return data_set_name(self.images_folder)

    def recipe(self) -> Recipe:
        """Return what makes the manifest."""
        dataset, source = self.dataset, self.settings(SourceSettings)
        return pinned_recipe(
            self.images_folder, dataset.artifacts_folder, dataset.rescan, self.strict, source, self.part
        )

    def listing(self) -> Listing:
        """Return the images, as they were when the command started."""
        return listed(self.images_folder, self.dataset.artifacts_folder, self.dataset.rescan)

    def run(self) -> None:
        """Build the manifest."""
        with self.executor() as executor:
            build_manifest(
                self.images_folder,
                self.dataset.artifacts_folder,
                strict=self.strict,
                listing=self.listing(),
                on_percentage=self.set_progress_percentage,
                executor=executor,
                source=make_source(self.settings(SourceSettings), self.part),
            )


def image_lists(stage: Stage, split: str) -> tuple["ImageList", "ImageList"]:
    """Return the database and the queries of a split, for an evaluation."""
    from evaluation.image_list import ImageList

    database, queries = (ImageList(each.artefact(), each.images_folder) for each in stage.manifests(split))
    return database, queries


@takes(DatasetSettings, SourceSettings, SplitSettings, GroupSettings, VerifiedSettings, VerifySettings, ClusterSettings)
class BuildGroups(Stage):
    """Assign the training images to cells, classes and groups."""

    verified: str

    def requires(self) -> Stage:
        """The manifest of the training images or, if bad ones are to be left out, their checks."""
        return self.manifest() if self.verified == NO else self.clone(VerifyImages, part="train", check=self.verified)

    def manifest(self) -> "BuildManifest | SplitDataset":
        """Return the task that makes the manifest of the training images."""
        return self.manifest_of("train")

    def recipe(self) -> Recipe:
        """Return what makes the groups."""
        images = self.manifest().recipe().stored()
        if self.verified != NO:
            images = verified_recipe(images, self.requires().recipe().stored()).stored()
        return groups_recipe(images["name"], images["digest"], self.settings(GroupSettings), verified_by(images))

    def run(self) -> None:
        """Build the groups."""
        artifacts = self.dataset.artifacts_folder
        with self.executor() as executor:
            images = self.manifest().artefact()
            if self.verified != NO:
                images = leave_out_bad(images, self.requires().artefact(), artifacts, executor)
            build_groups(
                images,
                artifacts,
                self.settings(GroupSettings),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


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
    from pipeline.first_image import check_first_image

    check_first_image(manifest.listing(), manifest.images_folder)


@contextlib.contextmanager
def stopping_luigi() -> Iterator[None]:
    """Have Luigi start nothing else once training was stopped by a signal; it lets a KeyboardInterrupt through.

    In a process of Luigi's own, multiprocessing would show that with a traceback: there the task has failed.
    """
    from training.stopping import StoppedError

    try:
        yield
    except StoppedError as stop:
        if multiprocessing.parent_process() is None:
            raise KeyboardInterrupt(str(stop)) from None
        raise


@takes(*TRAINING_KINDS)
class TrainCosPlace(Stage):
    """Train the network on the groups, validated after each epoch."""

    def requires(self) -> list[Stage]:
        """The groups, unless they are given, and the manifests of the validation set."""
        groups = [] if self.chosen_groups() else [self.clone(BuildGroups)]
        return [*checked(self.manifests("val")), *groups]

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
        name, verified = self.manifest_of("train").name(), verified_alike(self.settings(VerifiedSettings).verified)
        any_images = groups_recipe(name, "", self.settings(GroupSettings), verified).stored()
        finished = finished_training(self.dataset.artifacts_folder, self.recipe_on(any_images, ""), images)
        return still_finished(finished, super().artefact) if finished else super().artefact()

    def run(self) -> None:
        """Train, and publish the best model."""
        from evaluation.stage import Validation
        from training.stage import train_cosplace

        runtime = self.settings(RuntimeSettings)
        if runtime.num_processes > 1:
            self.run_in_processes(runtime.num_processes)
            return
        validation = Validation(
            *image_lists(self, "val"),
            self.settings(EvaluationSettings),
            image_size=self.settings(AugmentationSettings).size,
            device=runtime.device,
            num_workers=runtime.num_workers,
        )
        with stopping_luigi():
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
        from training.command_line import arguments_for, check_batch_size
        from training.launch import launch

        database, queries = self.manifests("val")
        folders = {
            "groups_path": self.groups_folder(),
            "images_folder": self.dataset.images("train"),
            "artifacts_folder": self.dataset.artifacts_folder,
            **{"val_database_manifest": database.artefact(), "val_database": database.images_folder},
            **{"val_queries_manifest": queries.artefact(), "val_queries": queries.images_folder},
        }
        kinds = (NetworkSettings, AugmentationSettings, TrainingSettings, EvaluationSettings, RuntimeSettings)
        check_batch_size(self.settings(TrainingSettings).batch_size, num_processes)
        launch(num_processes, arguments_for(folders, [self.settings(kind) for kind in kinds]))


def training_of(stage: Stage) -> list[TrainCosPlace]:
    """Return the task that trains the model, unless it is given; what it is tested on is no matter to it."""
    if stage.settings(NetworkSettings).resume_model:
        return []
    return [stage.clone(TrainCosPlace, test_folder=None, test_queries=DatasetSettings.test_queries)]


def model_of(stage: Stage) -> tuple[Path, Model]:
    """Return the file of the model that is tested, and what makes its descriptors what they are."""
    network, training = stage.settings(NetworkSettings), training_of(stage)
    path = training[0].artefact() / MODEL_FILE if training else Path(network.resume_model or "")
    digest = training[0].artefact().name if training else model_digest(path)
    return path, Model(digest, network.backbone, network.fc_output_dim)


sized_for = functools.cache(size_for)  # a model's file, which may have to be read for it, is read once a command


def size_of(stage: Stage) -> ImageSize:
    """Return the size that images are resized to, if they are: of a given model, it may be what its file states."""
    augmentation, given = stage.settings(AugmentationSettings), stage.settings(NetworkSettings).resume_model
    if given:
        return sized_for(given, stage.settings(EvaluationSettings), augmentation.image_size)
    return augmentation.size


@takes(*TRAINING_KINDS, RetrievalSettings, PartSettings)
class ExtractDescriptors(Stage):
    """Describe a part of the data set with the trained model, or the one that --resume-model names."""

    def requires(self) -> list[Stage]:
        """The manifest of the images and, unless it is given, the model."""
        return [self.clone(BuildManifest), *training_of(self)]

    def shorter_side(self) -> int | None:
        """Return the pixels that images are resized to, if they are."""
        return resized_to(self.settings(EvaluationSettings), size_of(self))

    def recipe(self) -> Recipe:
        """Return what makes the descriptors."""
        manifest, precision = self.clone(BuildManifest).recipe(), self.settings(RetrievalSettings).infer_precision
        return descriptors_recipe(manifest.name, model_of(self)[1], manifest.digest, self.shorter_side(), precision)

    def run(self) -> None:
        """Describe the images; a killed run goes on at the chunk that it was at."""
        from evaluation.build_descriptors import build_descriptors
        from evaluation.descriptors import Extraction
        from evaluation.image_list import ImageList
        from evaluation.models import TrainedModel
        from training.network import resolve_device

        runtime, manifest, (path, model) = self.settings(RuntimeSettings), self.clone(BuildManifest), model_of(self)
        batch_size, device = self.settings(EvaluationSettings).infer_batch_size, resolve_device(runtime.device)
        build_descriptors(
            TrainedModel(path, model.backbone, model.fc_output_dim, self.settings(NetworkSettings).grayscale),
            ImageList(manifest.artefact(), manifest.images_folder),
            self.dataset.artifacts_folder,
            Extraction(batch_size, device, runtime.num_workers, self.settings(RetrievalSettings).infer_precision),
            resized_to=self.shorter_side(),
            on_percentage=self.set_progress_percentage,
        )


@takes(*TRAINING_KINDS, RetrievalSettings, ChosenSets)
class EvaluateCosPlace(Stage):
    """Evaluate the trained model, or the one that --resume-model names, on the test set, or on --test-sets."""

    def requires(self) -> list[Stage]:
        """The descriptors of the test sets' images and, unless it is given, the model."""
        for each in self.sets():
            checked(self.of_set(BuildManifest, each))
        described = [task for each in self.sets() for task in self.of_set(ExtractDescriptors, each)]
        return [*training_of(self), *described]

    def sets(self) -> list[SetFolders]:
        """Return where the test sets lie."""

        def own(split: str) -> Path:
            return self.dataset.images(f"{split}/database").parent

        return find_sets(self.settings(ChosenSets), own, self.dataset.test_queries)

    def of_set(self, task: type[Stage], each: SetFolders) -> list[Any]:
        """Return the tasks of a kind for the database, the same one for all its sets, and the queries of a test set."""
        queries = self.clone(task, part="test/queries", test_folder=each.folder, test_queries=each.queries)
        return [self.clone(task, part="test/database", test_folder=each.folder), queries]

    def recipe(self) -> Recipe:
        """Return what makes the evaluation; of several test sets, what makes the table of them all."""
        model, image_size = model_of(self)[1], size_of(self)
        evaluation, retrieval = self.settings(EvaluationSettings), self.settings(RetrievalSettings)
        recipes = []
        for each in self.sets():
            database, queries = (manifest.recipe() for manifest in self.of_set(BuildManifest, each))
            settings = recipe_settings(evaluation, image_size, retrieval, each.named)
            name = each.named.name if each.named else queries.name
            recipes.append(evaluation_recipe(name, model, database.digest, queries.digest, settings))
        return recipe_of_sets(recipes)

    def run(self) -> None:
        """Evaluate, and publish predictions and recalls."""
        from evaluation.image_list import ImageList
        from evaluation.stage import ListedSet, evaluate_on_sets

        def listed_set(each: SetFolders) -> ListedSet:
            database, queries = (
                ImageList(manifest.artefact(), manifest.images_folder) for manifest in self.of_set(BuildManifest, each)
            )
            return ListedSet(database, queries, each.named)

        runtime, (path, model) = self.settings(RuntimeSettings), model_of(self)
        evaluate_on_sets(
            path,
            model.backbone,
            model.fc_output_dim,
            list(map(listed_set, self.sets())),
            self.dataset.artifacts_folder,
            settings=self.settings(EvaluationSettings),
            retrieval=self.settings(RetrievalSettings),
            image_size=size_of(self),
            grayscale=self.settings(NetworkSettings).grayscale,
            device=runtime.device,
            num_workers=runtime.num_workers,
            on_percentage=self.set_progress_percentage,
        )


@takes(*TRAINING_KINDS, RetrievalSettings, ChosenSets, ReportSettings)
class WriteReport(Stage):
    """Write one HTML page on the data, the groups, the training and the evaluation, with pictures."""

    def requires(self) -> EvaluateCosPlace:
        """The evaluation; what led to it is found by its digests."""
        evaluation: EvaluateCosPlace = self.clone(EvaluateCosPlace)
        return evaluation

    def recipe(self) -> Recipe:
        """Return what makes the report."""
        evaluation = self.requires().recipe()
        return report_recipe(evaluation.name, evaluation.digest, self.settings(ReportSettings))

    def run(self) -> None:
        """Write the report, and publish it."""
        from evaluation.report.stage import write_report

        evaluation = self.requires()
        manifests = [each for of_set in evaluation.sets() for each in evaluation.of_set(BuildManifest, of_set)]
        write_report(
            evaluation.artefact(),
            self.dataset.artifacts_folder,
            self.settings(ReportSettings),
            images_folders={each.recipe().digest: each.images_folder for each in manifests},
            command=command_of(self),
            on_percentage=self.set_progress_percentage,
        )


def command_of(stage: Stage) -> str:
    """Return the command line that asks for a stage, with every parameter that is not at its default."""
    words = ["luigi", "--module", "workflows", stage.task_family]
    for name, parameter in stage.get_params():
        value = getattr(stage, name)
        if value != parameter.field.default:
            option, said = f"--{name.replace('_', '-')}", parameter.serialize(value)
            words += [f"{option}={said}"] if said.startswith("-") else [option, said]
    return shlex.join(words)


@functools.cache
def files_of(manifest: Path, images_folder: Path) -> Files:
    """Return how a manifest's images lie on the disk, looked at once a process, as `listed` is."""
    return look_at_images(manifest, images_folder)


@takes(DatasetSettings, SourceSettings, SplitSettings, PartSettings, CheckSettings, VerifySettings, ClusterSettings)
class VerifyImages(Stage):
    """Read the images of a data set, and write which of them are whole, and what is wrong with the others."""

    part: str
    check: str

    def requires(self) -> "BuildManifest | SplitDataset":
        """The manifest of these images."""
        return self.manifest_of(self.part)

    def files(self) -> Files:
        """Return how the images lie on the disk; without a manifest, that cannot be told, and nothing is complete."""
        manifest = self.requires().artefact()
        return files_of(manifest, self.requires().images_folder) if is_published(manifest) else Files(())

    def recipe(self) -> Recipe:
        """Return what makes the checks."""
        manifest, images_folder = self.requires().recipe().stored(), self.requires().images_folder
        return checks_recipe(manifest, images_folder, self.files(), self.check, self.settings(VerifySettings))

    def run(self) -> None:
        """Check the images."""
        with self.executor() as executor:
            verify_images(
                self.requires().artefact(),
                self.requires().images_folder,
                self.dataset.artifacts_folder,
                self.check,
                self.settings(VerifySettings),
                files=self.files(),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


@takes(DatasetSettings, CropFolders, CropSettings, ClusterSettings)
class CropPanoramas(Stage):
    """Cut panoramas into crops that are named as SF-XL's are."""

    def folders(self) -> tuple[Path, Path]:
        """Return the folders of the panoramas and of the crops."""
        return self.settings(CropFolders).both()

    def listing(self) -> Listing:
        """Return the panoramas, as they were when the command started."""
        return listed(self.folders()[0], self.dataset.artifacts_folder, self.dataset.rescan)

    def recipe(self) -> Recipe:
        """Return what makes the crops."""
        return crops_recipe(*self.folders(), self.listing(), self.settings(CropSettings))

    def complete(self) -> bool:
        """Return whether the crops were cut, and their folder is still there."""
        return self.folders()[1].is_dir() and super().complete()

    def run(self) -> None:
        """Cut the panoramas."""
        with self.executor() as executor:
            crop_panoramas(
                *self.folders(),
                self.dataset.artifacts_folder,
                self.settings(CropSettings),
                listing=self.listing(),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


@takes(DatasetSettings, SourceSettings, SplitSettings, PartSettings, ClusterSettings)
class SplitDataset(Stage):
    """Make the manifests of training, validation and test sets from that of one folder of photos."""

    part: str

    def requires(self) -> BuildManifest:
        """The manifest of all photos."""
        manifest: BuildManifest = self.clone(BuildManifest, part=PHOTOS)
        return manifest

    @property
    def images_folder(self) -> Path:
        """Where the images lie: those of every part are in the one folder."""
        return self.dataset.images(PHOTOS)

    def name(self) -> str:
        """Return what the part is called among the artefacts."""
        return part_name(data_set_name(self.images_folder), self.part)

    def recipe(self) -> Recipe:
        """Return what makes the manifest of the part."""
        manifest = self.requires().recipe()
        return split_recipe(self.part, manifest.name, manifest.digest, self.settings(SplitSettings))

    def run(self) -> None:
        """Write the manifests of all parts."""
        split_manifest(self.requires().artefact(), self.dataset.artifacts_folder, self.settings(SplitSettings))
