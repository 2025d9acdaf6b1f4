"""The task from one training per seed to the spread of their recalls."""

from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.recipe import Recipe
from luigi_tasks.data.manifests import StageOfImages
from luigi_tasks.parameters import takes
from luigi_tasks.training.train_cosplace import TRAINING_KINDS, TrainCosPlace
from training.settings import SeedsSettings, TrainingSettings
from training.train_seeds import publish_seeds, seeds_recipe


@takes(*TRAINING_KINDS, SeedsSettings)
class TrainSeeds(StageOfImages):
    """Train once per seed, and publish the mean and standard deviation of the validation recalls."""

    def requires(self) -> list[TrainCosPlace]:
        if self.settings(TrainingSettings).epochs_num == 0:
            raise UserError("epochs_num = 0: untrained networks have no validation recalls. Give 1 or more.")
        return list(self.trainings().values())

    def trainings(self) -> dict[int, TrainCosPlace]:
        return {seed: self.clone(TrainCosPlace, seed=seed) for seed in self.settings(SeedsSettings).numbers}

    def models(self) -> dict[int, Path]:
        return {seed: training.artifact() for seed, training in self.trainings().items()}

    def recipe(self) -> Recipe:
        return seeds_recipe(self.models())

    def run(self) -> None:
        publish_seeds(self.artifacts_folder, self.models())
