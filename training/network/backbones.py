"""The registry of backbones, and the dimensions with official weights. Imports no torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from data_manifest.command_line.closest import closest

TIMM = "timm/"  # prefix of names of timm's models
INSTALL_TIMM = "pip install 'cosplace-pipeline[timm]'"


@dataclass(frozen=True)
class Backbone:
    """One entry of the registry. To add a backbone, add an entry to BACKBONES."""

    torchvision_name: str
    root: str  # the module whose children form the backbone; "" is the model itself
    cut: int  # number of last children that are left out
    channels: int  # of the feature maps
    stages: tuple[str, ...]  # the first module of each stage, named as in the backbone's state dict
    trained: int  # number of last stages that are trained by default; all modules before them are frozen


def _numbered(numbers: Iterable[int], prefix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in numbers)


def _resnet(depth: int, channels: int) -> Backbone:
    """Cut: pooling and fully connected layer. Stages: layer1 to layer4, which are children 4 to 7."""
    return Backbone(f"resnet{depth}", root="", cut=2, channels=channels, stages=_numbered(range(4, 8)), trained=2)


def _efficientnet(size: int, channels: int) -> Backbone:
    """Cut: pooling and classifier. Stages: 1 to 7 of `features`, which is child 0."""
    stages = _numbered(range(1, 8), "0.")
    return Backbone(f"efficientnet_b{size}", root="", cut=2, channels=channels, stages=stages, trained=3)


def _squeezenet(version: str, stages: tuple[int, ...]) -> Backbone:
    """Cut: nothing of `features`. Stages: between poolings. Trained: our choice, as no recipe is published."""
    return Backbone(f"squeezenet{version}", root="features", cut=0, channels=512, stages=_numbered(stages), trained=2)


BACKBONES = {
    # Cut: last ReLU and last pooling. Stages: between poolings.
    "VGG16": Backbone("vgg16", "features", cut=2, channels=512, stages=_numbered((0, 5, 10, 17, 24)), trained=1),
    "ResNet18": _resnet(18, 512),
    "ResNet50": _resnet(50, 2048),
    "ResNet101": _resnet(101, 2048),
    "ResNet152": _resnet(152, 2048),
    "EfficientNet_B0": _efficientnet(0, 1280),
    "EfficientNet_B1": _efficientnet(1, 1280),
    "EfficientNet_B2": _efficientnet(2, 1408),
    "EfficientNet_B3": _efficientnet(3, 1536),
    "EfficientNet_B4": _efficientnet(4, 1792),
    "EfficientNet_B5": _efficientnet(5, 2048),
    "EfficientNet_B6": _efficientnet(6, 2304),
    "EfficientNet_B7": _efficientnet(7, 2560),
    "SqueezeNet1_0": _squeezenet("1_0", (3, 7, 12)),
    "SqueezeNet1_1": _squeezenet("1_1", (3, 6, 9)),
    # Cut: pooling and classifier with its layer norm. Stages begin with their downsampling; trained as in ResNets.
    "ConvNeXt_Tiny": Backbone("convnext_tiny", "", 2, 768, stages=_numbered((1, 2, 4, 6), "0."), trained=2),
    # Cut: pooling and classifier. Stages: equal channels; trained from 112 channels on, as in EfficientNet_B0.
    "MobileNet_V3_Large": Backbone(
        "mobilenet_v3_large", root="", cut=2, channels=960, stages=_numbered((1, 2, 4, 7, 11, 13), "0."), trained=2
    ),
}


def _powers_of_two(first: int, last: int) -> tuple[int, ...]:
    return tuple(2**exponent for exponent in range(first.bit_length() - 1, last.bit_length()))


# The values of fc_output_dim for which the authors of CosPlace have published weights.
OFFICIAL_DIMS = {
    "VGG16": _powers_of_two(64, 512),
    "ResNet18": _powers_of_two(32, 512),
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), _powers_of_two(32, 2048)),
}


def backbone_name(text: str) -> str:
    """Return the name of a backbone: a key of BACKBONES in any case, or `timm/` and the name of a model of timm.

    Raises:
        ValueError: The name is neither.
    """
    if text.lower().startswith(TIMM) and len(text) > len(TIMM):
        return TIMM + text[len(TIMM) :]
    names = {name.lower(): name for name in BACKBONES}
    if text.lower() not in names:
        found = closest(text, BACKBONES)
        known = f"closest: {', '.join(found)}" if found else f"choose one of {', '.join(BACKBONES)}"
        raise ValueError(f"{known}, or timm/<name>")
    return names[text.lower()]


def official_name(text: str) -> tuple[str, int] | None:
    """Return the backbone and the dimension of a name such as `ResNet50-512`; None if it has another form.

    Case does not matter, `_` is as good as `-`, and the name of the published file is accepted too.
    """
    found = re.fullmatch(r"(\w+?)[-_](\d+)(?:_cosplace(?:\.pth)?)?", text.strip(), re.IGNORECASE)
    names = {name.lower(): name for name in BACKBONES}
    if found is None or found[1].lower() not in names:
        return None
    return names[found[1].lower()], int(found[2])
