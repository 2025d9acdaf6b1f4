"""A trained model: a file of weights and its network. torch is imported late, as it takes seconds."""

import dataclasses
import functools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.store.files import modified_ns
from data_manifest.store.recipe import CURRENT, is_published, read_recipe
from evaluation.recipe import ModelDigests
from training.network.backbones import official_name
from training.network.settings import MODEL_FILE, model_file

if TYPE_CHECKING:
    from evaluation.descriptors.onnx_network import OnnxNetwork
    from training.network.model import GeoLocalizationNet

ONNX_SUFFIX = ".onnx"


@dataclass(frozen=True)
class TrainedModel:
    """A file of weights and its network."""

    path: Path  # a state dict: `model.pth` of a training, or official weights; or an exported ONNX file
    backbone: str
    fc_output_dim: int
    grayscale: bool = False
    image_size: ImageSize | None = None  # of the training images, if known

    @cached_property
    def digests(self) -> ModelDigests:
        """Digests that identify the model in a recipe."""
        return ModelDigests.of(self.path, self.backbone, self.fc_output_dim)

    @cached_property
    def network(self) -> "GeoLocalizationNet | OnnxNetwork":
        """The network with the preprocessing that its file states, loaded on first use.

        Raises:
            UserError: The file cannot be read, or holds another network.
        """
        if self.path.suffix == ONNX_SUFFIX:
            return load_onnx(self.path, modified_ns(self.path))
        from training.network.weights import load_network

        return load_network(self.path, self.backbone, self.fc_output_dim)

    def without_network(self) -> "TrainedModel":
        """Return the model for another process, which loads the network itself."""
        return dataclasses.replace(self, path=self.path.absolute())


def find_model(given: Path | str) -> TrainedModel:
    """Return the model of a folder of a training, run or export, a weights or ONNX file, or an official name.

    The folder above published trainings, `artifacts/training/<data set>`, means the current one. Official weights, of
    names such as `ResNet50-512`, are downloaded once.

    Raises:
        UserError: There is no such model, or its network cannot be identified.
    """
    path = Path(given)
    if not path.exists():
        return _official(str(given))
    folder = path.parent if path.name == MODEL_FILE else path
    for training in (folder, folder / CURRENT):
        if _is_training(training):
            return _of_training(training.resolve())
    try:
        file = model_file(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}. Give the folder of a training or a weights file.") from error
    if file.suffix == ONNX_SUFFIX:
        return _exported(file)
    from training.network.weights import identify_model

    network, image_size = identify_model(file)
    return TrainedModel(file, network.backbone, network.fc_output_dim, network.channels == 1, image_size)


@functools.cache
def load_onnx(path: Path, modified_ns: int) -> "OnnxNetwork":
    """Return the network of an exported ONNX file, last modified at a time; reading it takes a while."""
    from evaluation.descriptors.onnx_network import OnnxNetwork

    return OnnxNetwork(path)


def _exported(file: Path) -> TrainedModel:
    network = load_onnx(file, modified_ns(file))
    name, dimensions, preprocessing = network.stated["name"], network.stated["fc_output_dim"], network.trained_with
    return TrainedModel(file, name, int(dimensions), preprocessing.channels == 1, preprocessing.image_size)


def _is_training(folder: Path) -> bool:
    """Return whether a folder is a published training; exported models have recipes too."""
    return is_published(folder) and (folder / MODEL_FILE).is_file() and read_recipe(folder)["stage"] == "training"


def _of_training(folder: Path) -> TrainedModel:
    settings = read_recipe(folder)["settings"]
    size = settings.get("image_size")
    return TrainedModel(
        folder / MODEL_FILE,
        settings["backbone"],
        settings["fc_output_dim"],
        settings.get("grayscale", False),
        size and ImageSize.of(size),
    )


def _official(name: str) -> TrainedModel:
    found = official_name(name)
    if found is None:
        kinds = "the folder of a training, a weights file, or an official name such as ResNet50-512"
        raise UserError(f"{name}: no such file or folder, and no official model. Give {kinds}.")
    from training.network.downloads import official_file

    return TrainedModel(official_file(*found), *found)
