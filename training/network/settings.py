"""Settings of the network, and where model files are. Imports no torch."""

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from training.network.backbones import BACKBONES, INSTALL_TIMM, TIMM, backbone_name

IMAGENET, RANDOM = "imagenet", "none"  # values of backbone_weights that are not paths
MODEL_FILE, BEST_MODEL = "model.pth", "best_model.pth"  # of a published model, and of a run
SAFETENSORS_FILE, ONNX_FILE = "model.safetensors", "model.onnx"  # of exported models
CURRENT = "current"  # as in data_manifest.store, which torch.hub cannot import
logger = logging.getLogger(__name__)


def model_file(path: Path) -> Path:
    """Return the file that a path means: the path itself, or the one in the folder of a model, run or export.

    The folder above published models means the current one.

    Raises:
        ValueError: The folder contains no model.
    """
    if not path.is_dir():
        return path
    for name in (MODEL_FILE, BEST_MODEL, SAFETENSORS_FILE, ONNX_FILE):
        for file in (path / name, path / CURRENT / name):
            if file.is_file():
                return file
    raise ValueError(f"no model in this folder: neither {MODEL_FILE} (finished training) nor {BEST_MODEL} (run)")


def require(holds: bool, settings: Settings, field: str, rule: str) -> None:
    """Raise UserError, with the field, its value and the rule, unless the rule holds."""
    if not holds:
        raise UserError(f"{field} = {getattr(settings, field)}: {rule}")


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """The network, and its initial weights."""

    title = "Network"

    backbone: str = setting(
        "ResNet18",
        f"backbone of the network: {', '.join(BACKBONES)}, or timm/<name> for a model of the package timm",
        form=backbone_name,
    )
    fc_output_dim: int = setting(512, "descriptor dimension")
    train_all_layers: bool = setting(False, "also train the backbone's early layers, instead of freezing them")
    backbone_weights: str = setting(
        "imagenet",
        "initial backbone weights: imagenet (downloaded; of a timm backbone, timm's default), none (random), or the "
        "path of a torchvision or timm state dict",
    )
    resume_model: Path | None = setting(
        None,
        "trained model to start from or evaluate: a weights file, or the folder of a model or run",
        form=model_file,
    )
    grayscale: bool = setting(
        False,
        "train on grayscale images with one input channel; colour weights are summed over the channels",
        added_later=True,
    )
    train_blocks: int | None = setting(
        None,
        "train only the backbone's last stages, of a ViT blocks, this many; none: as published (ResNets 2, ViTs 4)",
        added_later=True,
    )

    def check(self) -> None:
        """Raise UserError for invalid values, or if timm is missing."""
        require(self.fc_output_dim > 0, self, "fc_output_dim", "give 1 or more")
        require(bool(self.backbone_weights), self, "backbone_weights", "give imagenet, none, or a path")
        require(self.train_blocks is None or self.train_blocks >= 0, self, "train_blocks", "give 0 or more")
        agree = self.train_blocks is None or not self.train_all_layers
        require(agree, self, "train_blocks", "but train_all_layers is set; give only one of the two")
        found = not self.backbone.startswith(TIMM) or importlib.util.find_spec("timm") is not None
        require(found, self, "backbone", f"the package timm is not installed: {INSTALL_TIMM}")

    @property
    def channels(self) -> int:
        """The number of image channels."""
        return 1 if self.grayscale else 3

    def warn_if_unwise(self) -> None:
        """Warn of valid settings that are probably a mistake."""
        if self.resume_model is None and self.backbone_weights == RANDOM and not self.train_all_layers:
            logger.warning("backbone_weights = none without train_all_layers: frozen early layers stay random")
