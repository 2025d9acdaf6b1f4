"""The model that is asked: a file of weights, and the network that they are for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.recipe import CURRENT, is_published, read_recipe
from evaluation.recipe import Model
from training.network.identify import describe, identify
from training.network.model import GeoLocalizationNet
from training.network.settings import MODEL_FILE
from training.network.weights import load_network, read_model


@dataclass(frozen=True)
class TrainedModel:
    """A file of weights.

    Args:
        path: A state dict: `model.pth` of a training, or official weights.
        backbone: The network that it is for, as in ResNet50.
        fc_output_dim: The length of its descriptors.
        grayscale: Whether it must be one for images in shades of grey; which it is, the weights show.
    """

    path: Path
    backbone: str
    fc_output_dim: int
    grayscale: bool = False

    @cached_property
    def facts(self) -> Model:
        """What makes its descriptors what they are."""
        return Model.of(self.path, self.backbone, self.fc_output_dim)

    @cached_property
    def network(self) -> GeoLocalizationNet:
        """The network, loaded when it is needed first, with the preprocessing that its file states.

        Raises:
            UserError: The file cannot be read, or holds another network.
        """
        network = load_network(self.path, self.backbone, self.fc_output_dim)
        if self.grayscale and network.preprocessing.channels != 1:
            raise UserError(
                f"grayscale: {self.path} is for images in colour; leave --grayscale out, or train with it first"
            )
        return network


def find_model(path: Path, backbone: str | None = None, fc_output_dim: int | None = None) -> TrainedModel:
    """Return the model that a path means: a published training, or a file of weights.

    Args:
        path: The folder of a training artifact, as in `artifacts/training/<data set>/current`, or the folder above it,
            or a file.
        backbone: The network that a file is for; a published training says so itself, and most files show it.
        fc_output_dim: The length of its descriptors; likewise.

    Raises:
        UserError: There is no model, or nothing says what network it is for.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; give a model.pth or the folder of a training")
    given = path.parent if path.name == MODEL_FILE else path
    for folder in (given, given / CURRENT):
        if is_published(folder) and (folder / MODEL_FILE).is_file():
            settings = read_recipe(folder)["settings"]
            return TrainedModel(folder.resolve() / MODEL_FILE, settings["backbone"], settings["fc_output_dim"])
    if path.is_dir():
        raise UserError(f"{path} is not the folder of a training: it has no {MODEL_FILE} with a recipe beside it")
    if backbone is None or fc_output_dim is None:
        state = read_model(path)
        found = identify(state)
        if found is None:
            raise UserError(f"{path} seems to hold {describe(state)}; give a file of a CosPlace network")
        backbone, fc_output_dim = backbone or found.backbone, fc_output_dim or found.fc_output_dim
    return TrainedModel(path, backbone, fc_output_dim)
