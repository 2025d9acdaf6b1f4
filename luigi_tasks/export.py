"""The task that exports a model."""

import functools

from data_manifest.progress import working
from data_manifest.store.recipe import Recipe
from evaluation.descriptors.trained_model import TrainedModel, find_model
from export.export_model import export_model, export_recipe
from export.settings import ExportSettings
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from pipeline.dataset_layout import ArtifactsSettings

pinned_export = functools.cache(find_model)  # may load or download it


@takes(ExportSettings, ArtifactsSettings)
class ExportModel(Stage):
    """Write a trained model for other programs: ONNX, safetensors, torch, or a folder for Hugging Face."""

    model: str

    def given(self) -> TrainedModel:
        return pinned_export(self.model)

    def recipe(self) -> Recipe:
        return export_recipe(self.given(), self.artifacts_folder, self.settings(ExportSettings))

    def run(self) -> None:
        with working("exporting the model"):
            export_model(self.given(), self.artifacts_folder, self.settings(ExportSettings))
