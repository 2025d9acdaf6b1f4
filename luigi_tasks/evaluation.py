"""From a model and images to descriptors, recalls and a report."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifest.images.image_size import ImageSize
from data_manifest.progress import working
from data_manifest.store.recipe import Recipe, is_published
from evaluation.recipe import (
    ImageDigests,
    ModelDigests,
    descriptors_recipe,
    evaluation_recipe,
    evaluation_settings,
    given_model,
    recipe_of_sets,
    size_for,
)
from evaluation.report.settings import ReportSettings, report_recipe
from evaluation.settings import ChosenSets, EvaluationSettings, Extraction, RetrievalSettings, Threshold
from evaluation.test_sets.set_folders import SetFolders, find_sets
from luigi_tasks.data import BuildManifest, SplitDataset, StageOfImages, files_of
from luigi_tasks.parameters import TRAINING_KINDS, command_of, takes
from luigi_tasks.stage import Stage
from luigi_tasks.training import TrainCosPlace, checked, image_list
from pipeline.dataset_layout import DatasetSettings, PartSettings
from training.data.settings import AugmentationSettings
from training.network.settings import MODEL_FILE, NetworkSettings
from training.settings import RuntimeSettings

if TYPE_CHECKING:
    from evaluation.descriptors.image_list import ImageList
    from evaluation.descriptors.trained_model import TrainedModel

DEFAULTS = NetworkSettings.backbone, NetworkSettings.fc_output_dim
pinned_model = functools.cache(given_model)  # looked up once a process: a given model is read from end to end
pinned_size = functools.cache(size_for)  # and may have to be opened for this


def training_of(stage: Stage) -> list[TrainCosPlace]:
    """Return the task that trains the model, unless it is given; what it is tested on is no matter to it."""
    if stage.settings(NetworkSettings).resume_model:
        return []
    return [stage.clone(TrainCosPlace, test_folder=None, test_queries=DatasetSettings.test_queries)]


def model_of(stage: Stage) -> tuple[Path, ModelDigests]:
    """Return the file of the model that is tested, and what makes its descriptors what they are."""
    network = stage.settings(NetworkSettings)
    if given := network.resume_model:
        return given, pinned_model(given, network.backbone, network.fc_output_dim, DEFAULTS)
    (training,) = training_of(stage)
    folder, asked = training.artifact(), (network.backbone, network.fc_output_dim)
    model = (
        ModelDigests.of(folder / MODEL_FILE, *asked) if is_published(folder) else ModelDigests(folder.name, "", *asked)
    )
    return folder / MODEL_FILE, model


def size_of(stage: Stage) -> ImageSize:
    """Return the size that images are resized to, if they are: of a given model, it may be what its file states."""
    augmentation, given = stage.settings(AugmentationSettings), stage.settings(NetworkSettings).resume_model
    if given:
        return pinned_size(given, stage.settings(EvaluationSettings), augmentation.image_size)
    return augmentation.size


def extraction_of(stage: Stage) -> Extraction:
    """Return how descriptors are extracted."""
    runtime, precision = stage.settings(RuntimeSettings), stage.settings(RetrievalSettings).infer_precision
    evaluation = stage.settings(EvaluationSettings)
    return evaluation.extraction(size_of(stage), runtime.device, runtime.num_workers, precision)


def trained_model(stage: Stage) -> "TrainedModel":
    """Return the model that is tested."""
    from evaluation.descriptors.trained_model import TrainedModel

    path, model = model_of(stage)
    return TrainedModel(path, model.backbone, model.fc_output_dim, stage.settings(NetworkSettings).grayscale)


def list_with_states(manifest: BuildManifest | SplitDataset) -> "ImageList":
    """Return the images of a manifest with the states of their files."""
    return dataclasses.replace(image_list(manifest), states=files_of(manifest))


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

    def recipe(self) -> Recipe:
        """Return what makes the descriptors."""
        manifest = self.manifest()
        return descriptors_recipe(manifest.recipe().name, model_of(self)[1], digests_of(manifest), extraction_of(self))

    def run(self) -> None:
        """Embed the images; an interrupted run resumes at its last chunk, unless files changed."""
        with working("loading PyTorch"):
            from evaluation.descriptors.build_descriptors import build_descriptors
        build_descriptors(
            trained_model(self),
            list_with_states(self.manifest()),
            self.dataset.artifacts_folder,
            extraction_of(self),
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

    def options_of(self, each: SetFolders) -> dict[str, Any]:
        """Return what else decides the evaluation on a test set."""
        retrieval, metres = self.settings(RetrievalSettings), self.settings(EvaluationSettings).positive_dist_threshold
        threshold = Threshold(metres, retrieval.positive_dist_unit)
        options = {"index": retrieval.index, "recall_values": retrieval.ks, "named": each.named}
        return {"threshold": threshold, **options}

    def recipe(self) -> Recipe:
        """Return what makes the evaluation; of several test sets, what makes the table of them all."""
        model, recipes = model_of(self)[1], []
        for each in self.sets():
            database, queries = self.manifests_of(each)
            settings = evaluation_settings(extraction_of(self), **self.options_of(each))
            name, digests = queries.recipe().name, (digests_of(database), digests_of(queries))
            recipes.append(evaluation_recipe(name, model, *digests, settings))
        return recipe_of_sets(recipes)

    def run(self) -> None:
        """Evaluate, and publish predictions and recalls."""
        with working("loading PyTorch and faiss"):
            from evaluation.compare_evaluations import compare_evaluations
            from evaluation.evaluate_cosplace import evaluate_cosplace

        model, artifacts, folders = trained_model(self), self.dataset.artifacts_folder, []
        for each in self.sets():
            database, queries = map(list_with_states, self.manifests_of(each))
            folders.append(
                evaluate_cosplace(
                    *(model, database, queries, artifacts, extraction_of(self)),
                    **self.options_of(each),
                    on_percentage=self.set_progress_percentage,
                )
            )
        compare_evaluations(folders, artifacts)


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
