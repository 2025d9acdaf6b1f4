"""The registry of backbones, and which of them have official weights. Nothing here imports torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """One entry of the registry: how a torchvision model becomes a backbone. A new backbone is one more entry.

    The backbone is the children of the module `root` ("" is the model itself) without the last `cut` of them.
    Unless all layers are trained, the modules in `frozen` are not; they are named as in the backbone's own state dict.
    """

    torchvision_name: str
    root: str
    cut: int
    channels: int
    frozen: tuple[str, ...]


def _numbered(count: int, prefix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in range(count))


def _resnet(depth: int, channels: int) -> Backbone:
    """Cut: pooling and fully connected layer. Frozen: all before layer3, which is child 6."""
    return Backbone(f"resnet{depth}", root="", cut=2, channels=channels, frozen=_numbered(6))


def _efficientnet(size: int, channels: int) -> Backbone:
    """Cut: pooling and classifier. Frozen: blocks 0 to 4 of `features`, which is child 0."""
    return Backbone(f"efficientnet_b{size}", root="", cut=2, channels=channels, frozen=_numbered(5, "0."))


def _convnext(size: str, channels: int) -> Backbone:
    """Cut: pooling and classifier, with its layer norm. Frozen: all before the third of four stages, as in ResNets.

    `features`, child 0, is the stem, the first stage, and then twice three: the halving before a stage, and the stage.
    """
    return Backbone(f"convnext_{size}", root="", cut=2, channels=channels, frozen=_numbered(4, "0."))


def _mobilenet_v3_large() -> Backbone:
    """Cut: pooling and classifier. Frozen: blocks 0 to 10 of `features`, which is child 0.

    Training begins with the first block of 112 channels, as it does in EfficientNet_B0, which is built of the same
    kind of blocks.
    """
    return Backbone("mobilenet_v3_large", root="", cut=2, channels=960, frozen=_numbered(11, "0."))


def _squeezenet(version: str, frozen: int) -> Backbone:
    """Cut: nothing of `features`. Frozen: its first half; no published recipe says, so this is our choice."""
    return Backbone(f"squeezenet{version}", root="features", cut=0, channels=512, frozen=_numbered(frozen))


BACKBONES = {
    # Cut: last ReLU and last pooling. Frozen: all but the last five of the 29 layers that are kept.
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
    "ConvNeXt_Tiny": _convnext("tiny", 768),
    "MobileNet_V3_Large": _mobilenet_v3_large(),
}


def _powers_of_two(first: int, last: int) -> tuple[int, ...]:
    return tuple(2**exponent for exponent in range(first.bit_length() - 1, last.bit_length()))


# The values of fc_output_dim for which the authors of CosPlace have published weights.
OFFICIAL_DIMS = {
    "VGG16": _powers_of_two(64, 512),
    "ResNet18": _powers_of_two(32, 512),
    "ResNet50": _powers_of_two(32, 2048),
    "ResNet101": _powers_of_two(32, 2048),
    "ResNet152": _powers_of_two(32, 2048),
}
