"""The base class of tasks that use a model, given or trained."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import luigi

from data_manifest.errors import UserError
from data_manifest.store.recipe import is_published
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.recipe import ModelDigests
from evaluation.settings import EvaluationSettings, Extraction, ModelSettings, RetrievalSettings
from luigi_tasks.data.manifests import StageOfImages
from luigi_tasks.given_model import pinned_model, with_model
from luigi_tasks.other_models import check_no_other_models
from luigi_tasks.training.train_cosplace import TrainCosPlace
from methods.settings import MethodSettings
from pipeline.execution.process_executor import ProcessExecutor
from training.data.settings import AugmentationSettings
from training.network.settings import MODEL_FILE, NetworkSettings
from training.settings import RuntimeSettings

if TYPE_CHECKING:
    from evaluation.descriptors.chunks.run_jobs import Processes

IMAGES = ("dataset_folder", "train_folder", "photos_folder")  # each gives training images
EXAMPLE = "artifacts/training/<data set>"
Parameters = list[tuple[str, luigi.Parameter[Any]]]


class StageOfModel(StageOfImages):
    """A stage that uses the model given by --model, or else trains one."""

    model: str | None

    @classmethod
    def get_param_values(cls, params: Parameters, args: Any, kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """Return the parameters, completed from the given model."""
        values = with_model(dict(super().get_param_values(params, args, kwargs)), given=kwargs)
        return [(name, parameter.normalize(values[name])) for name, parameter in params]

    def training(self) -> list[TrainCosPlace]:
        """Return the task that trains the model; empty if the model is given.

        Raises:
            UserError: Neither a model nor images to train on are given.
        """
        if self.model:
            return []
        if all(getattr(self, name) is None for name in IMAGES):
            raise UserError(
                f"No model given. Pass one, such as {EXAMPLE}; or --dataset-folder for the model of its images."
            )
        return [self.clone(TrainCosPlace)]

    def check_training(self) -> None:
        """Check that no model is trained by mistake; called from `requires`, so that Luigi schedules nothing then."""
        if not self.settings(ModelSettings).train_new:
            for training in self.training():
                check_no_other_models(training)

    def digests(self) -> ModelDigests:
        """Return the digests and the network of the model."""
        if self.model:
            return self.trained_model().digests
        model = self.trained_model()
        if is_published(model.path.parent):
            return model.digests
        return ModelDigests(model.path.parent.name, "", model.backbone, model.fc_output_dim)

    def trained_model(self) -> TrainedModel:
        """Return the model to load."""
        if self.model:
            return pinned_model(self.model, self.settings(MethodSettings))
        (training,) = self.training()
        network = self.settings(NetworkSettings)
        return TrainedModel(training.artifact() / MODEL_FILE, network.backbone, network.fc_output_dim)

    def extraction(self) -> Extraction:
        """Return how descriptors are extracted."""
        augmentation, evaluation = self.settings(AugmentationSettings), self.settings(EvaluationSettings)
        runtime, precision = self.settings(RuntimeSettings), self.settings(RetrievalSettings).infer_precision
        return evaluation.extraction(augmentation.size, runtime.device, runtime.num_workers, precision)

    @contextlib.contextmanager
    def processes(self) -> Iterator["Processes | None"]:
        """Yield the processes that embed images: --num-processes of this machine, or a cluster's; None for this one."""
        runtime = self.settings(RuntimeSettings)
        if runtime.num_processes == 1:
            with self.executor() as executor:
                yield executor
            return
        from evaluation.descriptors.chunks.process_setup import PRELOAD, check_processes, process_setup

        check_processes(runtime.device, runtime.num_processes)
        set_up = process_setup(runtime.device, runtime.num_processes)
        with ProcessExecutor(runtime.num_processes, set_up, *PRELOAD) as executor:
            yield executor
