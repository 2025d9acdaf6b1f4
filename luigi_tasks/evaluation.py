"""From a model and images to descriptors, recalls and a report."""

import dataclasses
import functools
from pathlib import Path

from data_manifest.images.image_size import ImageSize
from data_manifest.progress import working
from data_manifest.store.recipe import Recipe, is_published
from evaluation.recipe import (
    ImageDigests,
    Model,
    descriptors_recipe,
    evaluation_recipe,
    given_model,
    recipe_of_sets,
    recipe_settings,
    resized_to,
    size_for,
)
from evaluation.report.settings import ReportSettings, report_recipe
from evaluation.settings import ChosenSets, EvaluationSettings, RetrievalSettings
from evaluation.test_sets.set_folders import SetFolders, find_sets
from luigi_tasks.data import BuildManifest, SplitDataset, StageOfImages, files_of
from luigi_tasks.parameters import TRAINING_KINDS, command_of, takes
from luigi_tasks.stage import Stage
from luigi_tasks.training import TrainCosPlace, checked, image_list
from pipeline.dataset_layout import DatasetSettings, PartSettings
from training.data.settings import AugmentationSettings
from training.network.settings import MODEL_FILE, NetworkSettings
from training.settings import RuntimeSettings

DEFAULTS = NetworkSettings.backbone, NetworkSettings.fc_output_dim
pinned_model = functools.cache(given_model)  # looked up once a process: a given model is read from end to end
pinned_size = functools.cache(size_for)  # and may have to be opened for this


def training_of(stage: Stage) -> list[TrainCosPlace]:
    """Return the task that trains the model, unless it is given; what it is tested on is no matter to it."""
    if stage.settings(NetworkSettings).resume_model:
        return []
    return [stage.clone(TrainCosPlace, test_folder=None, test_queries=DatasetSettings.test_queries)]


def model_of(stage: Stage) -> tuple[Path, Model]:
    """Return the file of the model that is tested, and what makes its descriptors what they are."""
    network = stage.settings(NetworkSettings)
    if given := network.resume_model:
        return given, pinned_model(given, network.backbone, network.fc_output_dim, DEFAULTS)
    (training,) = training_of(stage)
    folder, asked = training.artifact(), (network.backbone, network.fc_output_dim)
    model = Model.of(folder / MODEL_FILE, *asked) if is_published(folder) else Model(folder.name, "", *asked)
    return folder / MODEL_FILE, model


def size_of(stage: Stage) -> ImageSize:
    """Return the size that images are resized to, if they are: of a given model, it may be what its file states."""
    augmentation, given = stage.settings(AugmentationSettings), stage.settings(NetworkSettings).resume_model
    if given:
        return pinned_size(given, stage.settings(EvaluationSettings), augmentation.image_size)
    return augmentation.size


def digests_of(manifest: BuildManifest | SplitDataset) -> ImageDigests:
    """Return the digests of a manifest and of the states of its files."""
    return ImageDigests(manifest.recipe().digest, files_of(manifest).digest)


@takes(*TRAINING_KINDS, RetrievalSettings, PartSettings)
class ExtractDescriptors(StageOfImages):
    """Describe a part of the data set with the trained model, or the one that --resume-model names."""

    part: str

    def requires(self) -> list[Stage]:
        """The manifest of the images and, unless it is given, the model."""
        return [self.manifest(), *training_of(self)]

    def manifest(self) -> "BuildManifest | SplitDataset":
        """Return the task that makes the manifest of the images."""
        return self.manifest_of(self.part)

    def shorter_side(self) -> int | None:
        """Return the pixels that images are resized to, if they are."""
        return resized_to(self.settings(EvaluationSettings), size_of(self))

    def recipe(self) -> Recipe:
        """Return what makes the descriptors."""
        manifest, precision = self.manifest(), self.settings(RetrievalSettings).infer_precision
        name = manifest.recipe().name
        return descriptors_recipe(name, model_of(self)[1], digests_of(manifest), self.shorter_side(), precision)

    def run(self) -> None:
        """Embed the images; an interrupted run resumes at its last chunk, unless files changed."""
        with working("loading PyTorch"):
            from evaluation.descriptors.build_descriptors import build_descriptors
            from evaluation.descriptors.extract import Extraction
            from evaluation.descriptors.trained_model import TrainedModel
            from training.network.device import resolve_device

        runtime, manifest, (path, model) = self.settings(RuntimeSettings), self.manifest(), model_of(self)
        batch_size, device = self.settings(EvaluationSettings).infer_batch_size, resolve_device(runtime.device)
        build_descriptors(
            TrainedModel(path, model.backbone, model.fc_output_dim, self.settings(NetworkSettings).grayscale),
            dataclasses.replace(image_list(manifest), files=files_of(manifest)),
            self.dataset.artifacts_folder,
            Extraction(batch_size, device, runtime.num_workers, self.settings(RetrievalSettings).infer_precision),
            resized_to=self.shorter_side(),
            on_percentage=self.set_progress_percentage,
        )


@takes(*TRAINING_KINDS, RetrievalSettings, ChosenSets)
class EvaluateCosPlace(StageOfImages):
    """Evaluate the trained model, or the one that --resume-model names, on the test set, or on --test-sets."""

    def requires(self) -> list[Stage]:
        """The descriptors of the test sets' images and, unless it is given, the model."""
        described = [task for each in self.sets() for task in self.of_set(each)]
        checked([task.manifest() for task in described])
        return [*training_of(self), *described]

    def sets(self) -> list[SetFolders]:
        """Return where the test sets lie."""

        def own(split: str) -> Path:
            return self.dataset.images(f"{split}/database").parent

        return find_sets(self.settings(ChosenSets), own, self.dataset.test_queries)

    def of_set(self, each: SetFolders) -> list[ExtractDescriptors]:
        """Return the tasks that describe the database, the same one for all its sets, and the queries of a test set."""
        describe = functools.partial(self.clone, ExtractDescriptors)
        if self.settings(ChosenSets).test_sets is None:  # the data set's own, which may be a part of one body of photos
            return [describe(part=f"test/{role}") for role in ("database", "queries")]
        here = {"test_folder": each.folder, "by_names": each.by_names}
        return [
            describe(part="test/database", **here),
            describe(part="test/queries", test_queries=each.queries, **here),
        ]

    def manifests_of(self, each: SetFolders) -> "list[BuildManifest | SplitDataset]":
        """Return the tasks that make the manifests of the database and the queries of a test set."""
        return [task.manifest() for task in self.of_set(each)]

    def recipe(self) -> Recipe:
        """Return what makes the evaluation; of several test sets, what makes the table of them all."""
        model, image_size = model_of(self)[1], size_of(self)
        evaluation, retrieval = self.settings(EvaluationSettings), self.settings(RetrievalSettings)
        recipes = []
        for each in self.sets():
            database, queries = self.manifests_of(each)
            settings = recipe_settings(evaluation, image_size, retrieval, each.named)
            name, digests = queries.recipe().name, (digests_of(database), digests_of(queries))
            recipes.append(evaluation_recipe(name, model, *digests, settings))
        return recipe_of_sets(recipes)

    def run(self) -> None:
        """Evaluate, and publish predictions and recalls."""
        with working("loading PyTorch and faiss"):
            from evaluation.evaluate_cosplace import ListedSet, evaluate_on_sets

        def listed_set(each: SetFolders) -> ListedSet:
            database, queries = (
                dataclasses.replace(image_list(task), files=files_of(task)) for task in self.manifests_of(each)
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
class WriteReport(StageOfImages):
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
        from evaluation.report.write_report import write_report

        evaluation = self.requires()
        manifests = [each for test_set in evaluation.sets() for each in evaluation.manifests_of(test_set)]
        write_report(
            evaluation.artifact(),
            self.dataset.artifacts_folder,
            self.settings(ReportSettings),
            images_folders={digests_of(each): each.images_folder for each in manifests},
            command=command_of(self),
            on_percentage=self.set_progress_percentage,
        )
