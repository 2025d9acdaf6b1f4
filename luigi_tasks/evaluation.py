"""Tasks from a model and images to descriptors, recalls and a report."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from luigi_tasks.data import Manifest, StageOfImages, files_of
from luigi_tasks.parameters import command_of, takes
from luigi_tasks.stage import Stage
from luigi_tasks.training import TRAINING_KINDS, TrainCosPlace, check_first_images, image_list
from pipeline.dataset_layout import DatasetSettings, PartSettings
from training.data.settings import AugmentationSettings
from training.network.settings import MODEL_FILE, NetworkSettings
from training.settings import RuntimeSettings

if TYPE_CHECKING:
    from evaluation.descriptors.image_list import ImageList
    from evaluation.descriptors.trained_model import TrainedModel

DEFAULTS = NetworkSettings.backbone, NetworkSettings.fc_output_dim
pinned_model = functools.cache(given_model)  # reads the whole file of a given model
pinned_size = functools.cache(size_for)  # may load it


class StageOfModel(StageOfImages):
    """A stage that tests the trained model, or the one given by --resume-model."""

    def training(self) -> list[TrainCosPlace]:
        """Return the task of the model, whatever it is tested on; empty if the model is given."""
        if self.settings(NetworkSettings).resume_model:
            return []
        return [self.clone(TrainCosPlace, test_folder=None, test_queries=DatasetSettings.test_queries)]

    def model(self) -> tuple[Path, ModelDigests]:
        """Return the file of the model, and its digests and network."""
        network = self.settings(NetworkSettings)
        if given := network.resume_model:
            return given, pinned_model(given, network.backbone, network.fc_output_dim, DEFAULTS)
        (training,) = self.training()
        file, asked = training.artifact() / MODEL_FILE, (network.backbone, network.fc_output_dim)
        digests = (
            ModelDigests.of(file, *asked) if is_published(file.parent) else ModelDigests(file.parent.name, "", *asked)
        )
        return file, digests

    def trained_model(self) -> "TrainedModel":
        """Return the model to load."""
        from evaluation.descriptors.trained_model import TrainedModel

        path, model = self.model()
        return TrainedModel(path, model.backbone, model.fc_output_dim, self.settings(NetworkSettings).grayscale)

    def extraction(self) -> Extraction:
        """Return how descriptors are extracted; a given model may state its image size."""
        augmentation, evaluation = self.settings(AugmentationSettings), self.settings(EvaluationSettings)
        given, size = self.settings(NetworkSettings).resume_model, augmentation.size
        if given:
            size = pinned_size(given, evaluation, augmentation.image_size)
        runtime, precision = self.settings(RuntimeSettings), self.settings(RetrievalSettings).infer_precision
        return evaluation.extraction(size, runtime.device, runtime.num_workers, precision)


def digests_of(manifest: Manifest) -> ImageDigests:
    """Return the digests of a manifest and of the states of its image files."""
    return ImageDigests(manifest.recipe().digest, files_of(manifest).digest)


def pinned_images(manifest: Manifest) -> "ImageList":
    """Return the images of a manifest with the states of their files."""
    return dataclasses.replace(image_list(manifest), states=files_of(manifest))


@takes(*TRAINING_KINDS, RetrievalSettings, PartSettings)
class ExtractDescriptors(StageOfModel):
    """Extract descriptors of a part of the data set with the trained model, or with --resume-model."""

    part: str

    def requires(self) -> list[Stage]:
        return [self.manifest(), *self.training()]

    def manifest(self) -> Manifest:
        return self.manifest_of(self.part)

    def recipe(self) -> Recipe:
        manifest = self.manifest()
        return descriptors_recipe(manifest.recipe().name, self.model()[1], digests_of(manifest), self.extraction())

    def run(self) -> None:
        with working("loading PyTorch"):
            from evaluation.descriptors.build_descriptors import build_descriptors
        build_descriptors(
            self.trained_model(),
            pinned_images(self.manifest()),
            self.artifacts_folder,
            self.extraction(),
            on_percentage=self.set_progress_percentage,
        )


@takes(*TRAINING_KINDS, RetrievalSettings, ChosenSets)
class EvaluateCosPlace(StageOfModel):
    """Evaluate the trained model, or --resume-model, on the test set, or on --test-sets."""

    def requires(self) -> list[Stage]:
        descriptors = [task for each in self.sets() for task in self.descriptors_of(each)]
        check_first_images([task.manifest() for task in descriptors])
        return [*self.training(), *descriptors]

    def sets(self) -> list[SetFolders]:
        """Return the folders of the test sets."""
        chosen = self.settings(ChosenSets)
        return find_sets(
            chosen, lambda split: self.dataset.images(f"{split}/database").parent, self.dataset.test_queries
        )

    def descriptors_of(self, each: SetFolders) -> list[ExtractDescriptors]:
        """Return the tasks of the descriptors of a test set's database, which sets may share, and queries."""
        if self.settings(ChosenSets).test_sets is None:  # the data set's own, which may be split from photos
            return [self.clone(ExtractDescriptors, part=f"test/{role}") for role in ("database", "queries")]
        given = {"test_folder": each.folder, "by_names": each.by_names}
        database = self.clone(ExtractDescriptors, part="test/database", **given)
        return [database, self.clone(ExtractDescriptors, part="test/queries", test_queries=each.queries, **given)]

    def manifests_of(self, each: SetFolders) -> list[Manifest]:
        """Return the tasks of the manifests of a test set's database and queries."""
        return [task.manifest() for task in self.descriptors_of(each)]

    def options_of(self, each: SetFolders) -> dict[str, Any]:
        """Return the threshold, index and recall values of a test set."""
        retrieval, metres = self.settings(RetrievalSettings), self.settings(EvaluationSettings).positive_dist_threshold
        threshold = Threshold(metres, retrieval.positive_dist_unit)
        options = {"index": retrieval.index, "recall_values": retrieval.ks, "named": each.named}
        return {"threshold": threshold, **options}

    def recipe(self) -> Recipe:
        model, recipes = self.model()[1], []
        for each in self.sets():
            database, queries = self.manifests_of(each)
            settings = evaluation_settings(self.extraction(), **self.options_of(each))
            name, digests = queries.recipe().name, (digests_of(database), digests_of(queries))
            recipes.append(evaluation_recipe(name, model, *digests, settings))
        return recipe_of_sets(recipes)

    def run(self) -> None:
        with working("loading PyTorch and faiss"):
            from evaluation.compare_evaluations import compare_evaluations
            from evaluation.evaluate_cosplace import evaluate_cosplace

        model, folders = self.trained_model(), []
        for each in self.sets():
            database, queries = map(pinned_images, self.manifests_of(each))
            options = {**self.options_of(each), "on_percentage": self.set_progress_percentage}
            folders.append(
                evaluate_cosplace(model, database, queries, self.artifacts_folder, self.extraction(), **options)
            )
        compare_evaluations(folders, self.artifacts_folder)


@takes(*TRAINING_KINDS, RetrievalSettings, ChosenSets, ReportSettings)
class WriteReport(Stage):
    """Write an HTML page on the data, the groups, the training and the evaluation, with pictures."""

    def requires(self) -> EvaluateCosPlace:
        evaluation: EvaluateCosPlace = self.clone(EvaluateCosPlace)
        return evaluation

    def recipe(self) -> Recipe:
        evaluation = self.requires().recipe()
        return report_recipe(evaluation.name, evaluation.digest, self.settings(ReportSettings))

    def run(self) -> None:
        from evaluation.report.write_report import write_report

        evaluation = self.requires()
        manifests = [each for test_set in evaluation.sets() for each in evaluation.manifests_of(test_set)]
        write_report(
            evaluation.artifact(),
            self.artifacts_folder,
            self.settings(ReportSettings),
            images_folders={digests_of(each): each.images_folder for each in manifests},
            command=command_of(self),
            on_percentage=self.set_progress_percentage,
        )
