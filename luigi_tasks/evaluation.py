"""Tasks from a model and images to descriptors, recalls and a report."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifest.progress import working
from data_manifest.store.recipe import Recipe, read_recipe
from evaluation.recipe import (
    ImageDigests,
    descriptors_recipe,
    evaluation_recipe,
    evaluation_settings,
    recipe_of_sets,
)
from evaluation.report.settings import ReportSettings, report_recipe
from evaluation.settings import (
    ChosenEvaluation,
    ChosenSets,
    EvaluationSettings,
    ModelSettings,
    RetrievalSettings,
    Threshold,
)
from evaluation.test_sets.set_folders import SetFolders, find_sets
from luigi_tasks.data.manifests import Manifest, check_first_images, files_of
from luigi_tasks.given_model import with_evaluation
from luigi_tasks.parameters import command_of, takes
from luigi_tasks.stage import Stage
from luigi_tasks.stage_of_model import Parameters, StageOfModel
from luigi_tasks.training.train_cosplace import TRAINING_KINDS, image_list
from methods.settings import MethodSettings
from pipeline.dataset_layout import PartSettings
from pipeline.groups.settings import GroupSettings
from pipeline.verification.settings import VerifiedSettings, VerifySettings
from training.network.settings import NetworkSettings
from training.settings import ChosenGroups, TrainingSettings

if TYPE_CHECKING:
    from evaluation.descriptors.image_list import ImageList

TRAINING_ONLY = [  # of no effect with a given model
    field.name
    for kind in (GroupSettings, ChosenGroups, NetworkSettings, TrainingSettings, VerifiedSettings, VerifySettings)
    for field in dataclasses.fields(kind)
] + ["packs"]


def digests_of(manifest: Manifest) -> ImageDigests:
    """Return the digests of a manifest and of the states of its image files."""
    return ImageDigests(manifest.recipe().digest, files_of(manifest).digest)


def pinned_images(manifest: Manifest) -> "ImageList":
    """Return the images of a manifest with the states of their files."""
    return dataclasses.replace(image_list(manifest), states=files_of(manifest))


@takes(*TRAINING_KINDS, ModelSettings, MethodSettings, RetrievalSettings, PartSettings)
class ExtractDescriptors(StageOfModel):
    """Extract descriptors of a part of the data set with the trained model, or with --model."""

    part: str

    def requires(self) -> list[Stage]:
        self.check_training()
        return [self.manifest(), *self.training()]

    def manifest(self) -> Manifest:
        return self.manifest_of(self.part)

    def recipe(self) -> Recipe:
        manifest = self.manifest()
        return descriptors_recipe(manifest.recipe().name, self.digests(), digests_of(manifest), self.extraction())

    def run(self) -> None:
        with working("loading PyTorch"):
            from evaluation.descriptors.build_descriptors import build_descriptors
        model, images = self.trained_model(), pinned_images(self.manifest())
        with self.processes() as executor:
            report = self.set_progress_percentage
            build_descriptors(
                model, images, self.artifacts_folder, self.extraction(), on_percentage=report, executor=executor
            )


@takes(*TRAINING_KINDS, ModelSettings, MethodSettings, RetrievalSettings, ChosenSets)
class EvaluateCosPlace(StageOfModel):
    """Evaluate the trained model, or --model, on the test set, or on --test-sets."""

    def requires(self) -> list[Stage]:
        self.check_training()
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
        given = {"test_folder": each.folder, "by_names": each.by_names, "without_positions": not each.has_positions}
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
        model, recipes = self.digests(), []
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


@takes(*TRAINING_KINDS, ModelSettings, MethodSettings, RetrievalSettings, ChosenSets, ChosenEvaluation, ReportSettings)
class WriteReport(StageOfModel):
    """Write an HTML page on the data, the groups, the training and the evaluation, with pictures."""

    evaluation: Path | None

    @classmethod
    def get_param_values(cls, params: Parameters, args: Any, kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """Return the parameters, completed from the given model or evaluation."""
        return list(with_evaluation(dict(super().get_param_values(params, args, kwargs)), given=kwargs).items())

    def requires(self) -> list[EvaluateCosPlace]:
        return [] if self.evaluation else [self.clone(EvaluateCosPlace)]

    def recipe(self) -> Recipe:
        chosen = self.evaluation
        evaluation = read_recipe(chosen) if chosen else self.clone(EvaluateCosPlace).recipe().stored()
        return report_recipe(evaluation["name"], evaluation["digest"], self.settings(ReportSettings))

    def run(self) -> None:
        from evaluation.report.write_report import write_report

        tasks = self.requires()
        manifests = [each for task in tasks for test_set in task.sets() for each in task.manifests_of(test_set)]
        write_report(
            self.evaluation or tasks[0].artifact(),
            self.artifacts_folder,
            self.settings(ReportSettings),
            images_folders={digests_of(each): each.images_folder for each in manifests},
            command=command_of(self, leave_out=TRAINING_ONLY if self.model or self.evaluation else ()),
            on_percentage=self.set_progress_percentage,
        )
