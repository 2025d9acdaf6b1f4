"""A trained model: a file of weights and its network."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.recipe import CURRENT, is_published, read_recipe
from evaluation.recipe import ModelDigests
from training.network.identify import describe, identify
from training.network.model import GeoLocalizationNet
from training.network.settings import MODEL_FILE
from training.network.weights import load_network, read_model


@dataclass(frozen=True)
class TrainedModel:
    """A file of weights and its network."""

    path: Path  # a state dict: `model.pth` of a training, or official weights
    backbone: str
    fc_output_dim: int
    grayscale: bool = False  # reject weights for colour images

    @cached_property
    def digests(self) -> ModelDigests:
        """Digests that identify the model in a recipe."""
        return ModelDigests.of(self.path, self.backbone, self.fc_output_dim)

    @cached_property
    def network(self) -> GeoLocalizationNet:
        """The network with the preprocessing that its file states, loaded on first use.

        Raises:
            UserError: The file cannot be read, or holds another network.
        """
        network = load_network(self.path, self.backbone, self.fc_output_dim)
        if self.grayscale and network.preprocessing.channels != 1:
            raise UserError(f"{self.path} is a model for colour images. Leave out --grayscale, or train with it first")
        return network


def find_model(path: Path, backbone: str | None = None, fc_output_dim: int | None = None) -> TrainedModel:
    """Return the model at a path: the folder of a training, such as `artifacts/training/<data set>`, or a file.

    Backbone and dimension are needed only for a file whose weights do not show them.

    Raises:
        UserError: There is no model, or its network cannot be identified.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder. Give a model.pth or the folder of a training")
    training = path.parent if path.name == MODEL_FILE else path
    for folder in (training, training / CURRENT):
        if is_published(folder) and (folder / MODEL_FILE).is_file():
            settings = read_recipe(folder)["settings"]
            return TrainedModel(folder.resolve() / MODEL_FILE, settings["backbone"], settings["fc_output_dim"])
    if path.is_dir():
        raise UserError(f"{path} is not a training: no {MODEL_FILE} with a recipe in it. Give the folder of a training")
    if backbone is None or fc_output_dim is None:
        state = read_model(path)
        found = identify(state)
        if found is None:
            raise UserError(f"{path} seems to hold {describe(state)}. Give a file of a CosPlace network")
        backbone, fc_output_dim = backbone or found.backbone, fc_output_dim or found.fc_output_dim
    return TrainedModel(path, backbone, fc_output_dim)
