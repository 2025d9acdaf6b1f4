"""The task that exports a model."""

import functools
from typing import Any

from data_manifest.progress import working
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from evaluation.descriptors.trained_model import TrainedModel, find_model
from export.export_model import export_model, export_recipe
from export.settings import ExportSettings
from luigi_tasks.given_model import artifacts_of
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from luigi_tasks.stage_of_model import Parameters
from pipeline.dataset_layout import ArtifactsSettings

pinned_export = functools.cache(find_model)  # may load or download it


@takes(ExportSettings, ArtifactsSettings)
class ExportModel(Stage):
    """Write a trained model for other programs: ONNX, safetensors, torch, or a folder for Hugging Face."""

    model: str

    @classmethod
    def get_param_values(cls, params: Parameters, args: Any, kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """Return the parameters; by default the artifacts folder is that of the model's training."""
        values = dict(super().get_param_values(params, args, kwargs))
        if values["model"] is not None:
            model = pinned_export(values["model"]).path
            recipe = read_recipe(model.parent) if is_published(model.parent) else {}
            values |= artifacts_of(model, recipe, values)
        return list(values.items())

    def given(self) -> TrainedModel:
        return pinned_export(self.model)

    def recipe(self) -> Recipe:
        return export_recipe(self.given(), self.artifacts_folder, self.settings(ExportSettings))

    def run(self) -> None:
        with working("exporting the model"):
            export_model(self.given(), self.artifacts_folder, self.settings(ExportSettings))
