"""Settings of the network, and the files that hold a trained model. Nothing here imports torch."""

import logging
from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from training.network.backbones import BACKBONES

IMAGENET, RANDOM = "imagenet", "none"  # values of backbone_weights that are no paths
MODEL_FILE, BEST_MODEL = "model.pth", "best_model.pth"  # of a published model, and of a run
CURRENT = "current"  # the name that artifacts have for it, in a module that torch.hub cannot import
logger = logging.getLogger(__name__)


def model_file(path: Path) -> Path:
    """Return the file of weights that a path means: itself, or that in the folder of a published model or of a run.

    The folder above published models means the current one.

    Raises:
        ValueError: It is a folder without one.
    """
    if not path.is_dir():
        return path
    for file in (path / MODEL_FILE, path / BEST_MODEL, path / CURRENT / MODEL_FILE):
        if file.is_file():
            return file
    raise ValueError(f"this folder holds no model: neither {MODEL_FILE}, of a training that is done, nor {BEST_MODEL}")


def require(holds: bool, settings: Settings, field: str, rule: str) -> None:
    """Check a condition on a setting.

    Raises:
        UserError: It does not hold; the message has the field, its value and the rule.
    """
    if not holds:
        raise UserError(f"{field} = {getattr(settings, field)}: {rule}")


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """Which network, and the weights it starts from."""

    backbone: str = setting("ResNet18", "convolutional network to take descriptors from", choices=tuple(BACKBONES))
    fc_output_dim: int = setting(512, "length of a descriptor, in numbers")
    train_all_layers: bool = setting(False, "train the early layers of the backbone too, instead of freezing them")
    backbone_weights: str = setting(
        "imagenet",
        "weights that the backbone starts from: imagenet (downloaded by torchvision), none (random), "
        "or the path of a state dict of the torchvision model",
    )
    resume_model: Path | None = setting(
        None,
        "trained model to start from, or to evaluate: a file, as official weights are, or the folder of a model or run",
        form=model_file,
    )
    grayscale: bool = setting(
        False,
        "train on images in shades of grey, by a network of one input channel; weights for colour are added up",
        added_later=True,
    )

    def check(self) -> None:
        """Raise UserError for a descriptor without numbers or weights without a name."""
        require(self.fc_output_dim > 0, self, "fc_output_dim", "a descriptor needs more than 0 numbers")
        require(bool(self.backbone_weights), self, "backbone_weights", "give imagenet, none, or a path")

    @property
    def channels(self) -> int:
        """How many channels the images have that the network takes."""
        return 1 if self.grayscale else 3

    def warn_if_unwise(self) -> None:
        """Warn of settings that work, but hardly as they are meant."""
        if self.resume_model is None and self.backbone_weights == RANDOM and not self.train_all_layers:
            logger.warning("backbone_weights = none: early layers stay random, because train_all_layers is not set")
