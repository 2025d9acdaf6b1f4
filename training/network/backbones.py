"""The registry of backbones, and the dimensions with official weights. Imports no torch."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """One entry of the registry. To add a backbone, add an entry to BACKBONES."""

    torchvision_name: str
    root: str  # the module whose children form the backbone; "" is the model itself
    cut: int  # number of last children that are left out
    channels: int  # of the feature maps
    frozen: tuple[str, ...]  # modules, named as in the backbone's state dict, that only `train_all_layers` trains


def _numbered(count: int, prefix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in range(count))


def _resnet(depth: int, channels: int) -> Backbone:
    """Cut: pooling and fully connected layer. Frozen: all before layer3, which is child 6."""
    return Backbone(f"resnet{depth}", root="", cut=2, channels=channels, frozen=_numbered(6))


def _efficientnet(size: int, channels: int) -> Backbone:
    """Cut: pooling and classifier. Frozen: blocks 0 to 4 of `features`, which is child 0."""
    return Backbone(f"efficientnet_b{size}", root="", cut=2, channels=channels, frozen=_numbered(5, "0."))


def _squeezenet(version: str, frozen: int) -> Backbone:
    """Cut: nothing of `features`. Frozen: its first half, our choice, as no recipe is published."""
    return Backbone(f"squeezenet{version}", root="features", cut=0, channels=512, frozen=_numbered(frozen))


BACKBONES = {
    # Cut: last ReLU and last pooling. Frozen: all but the last five of the 29 remaining layers.
    "VGG16": Backbone("vgg16", root="features", cut=2, channels=512, frozen=_numbered(24)),
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
    "SqueezeNet1_0": _squeezenet("1_0", frozen=6),
    "SqueezeNet1_1": _squeezenet("1_1", frozen=6),
    # Cut: pooling and classifier with its layer norm. Frozen: stem and the first two of four stages, as in ResNets.
    "ConvNeXt_Tiny": Backbone("convnext_tiny", root="", cut=2, channels=768, frozen=_numbered(4, "0.")),
    # Cut: pooling and classifier. Frozen: blocks 0 to 10, up to the first of 112 channels, as in EfficientNet_B0.
    "MobileNet_V3_Large": Backbone("mobilenet_v3_large", root="", cut=2, channels=960, frozen=_numbered(11, "0.")),
}


def _powers_of_two(first: int, last: int) -> tuple[int, ...]:
    return tuple(2**exponent for exponent in range(first.bit_length() - 1, last.bit_length()))


# The values of fc_output_dim for which the authors of CosPlace have published weights.
OFFICIAL_DIMS = {
    "VGG16": _powers_of_two(64, 512),
    "ResNet18": _powers_of_two(32, 512),
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), _powers_of_two(32, 2048)),
}


def official_name(text: str) -> tuple[str, int] | None:
    """Return the backbone and the dimension of a name such as `ResNet50-512`; None if it has another form.

    Case does not matter, `_` is as good as `-`, and the name of the published file is accepted too.
    """
    found = re.fullmatch(r"(\w+?)[-_](\d+)(?:_cosplace(?:\.pth)?)?", text.strip(), re.IGNORECASE)
    names = {name.lower(): name for name in BACKBONES}
    if found is None or found[1].lower() not in names:
        return None
    return names[found[1].lower()], int(found[2])
