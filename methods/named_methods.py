"""The methods of others that have names here: where torch.hub finds them, and what they take. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_manifest.command_line.closest import closest_or, letters_of
from data_manifest.images.image_size import ImageSize

SEE_REPOSITORY = "see its repository"  # where the licence could not be confirmed


@dataclass(frozen=True)
class NamedMethod:
    """A published method: its torch.hub entry, preprocessing, licence, and the source of its published recalls.

    All take RGB images with ImageNet's mean and standard deviation.
    """

    repository: str  # on GitHub
    entry: str  # function of its hubconf.py
    dimensions: int  # of its descriptors, as published
    licence: str  # of the repository
    paper: str  # source of the published recalls
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the entry
    image_size: ImageSize | None = None  # of all images; None keeps each image's own size
    multiple_of: int = 1  # pixels; sides are rounded to it
    interpolation: str = "bilinear"  # or bicubic


_RESNET50 = {"backbone": "ResNet50", "fc_output_dim": 2048}
_DINOV2_SIZE = ImageSize(322, 322)  # 23 patches of 14 pixels
_BOQ = ("amaralibey/Bag-of-Queries", "get_trained_boq")
_BOQ_PAPER = "https://arxiv.org/abs/2405.07364"

NAMED_METHODS = {
    "CosPlace": NamedMethod(
        *("gmberton/CosPlace", "get_trained_model", 2048, SEE_REPOSITORY, "https://arxiv.org/abs/2204.02287"),
        arguments=_RESNET50,
    ),
    "EigenPlaces": NamedMethod(
        *("gmberton/EigenPlaces", "get_trained_model", 2048, "MIT", "https://arxiv.org/abs/2308.10832"),
        arguments=_RESNET50,
    ),
    "SALAD": NamedMethod(
        *("serizba/salad", "dinov2_salad", 8448, SEE_REPOSITORY, "https://arxiv.org/abs/2311.15937"),
        image_size=_DINOV2_SIZE,
        multiple_of=14,
    ),
    "BoQ-ResNet50": NamedMethod(
        *(*_BOQ, 16384, "MIT", _BOQ_PAPER),
        arguments={"backbone_name": "resnet50", "output_dim": 16384},
        image_size=ImageSize(384, 384),
        interpolation="bicubic",
    ),
    "BoQ-DINOv2": NamedMethod(
        *(*_BOQ, 12288, "MIT", _BOQ_PAPER),
        arguments={"backbone_name": "dinov2", "output_dim": 12288},
        image_size=_DINOV2_SIZE,
        multiple_of=14,
        interpolation="bicubic",
    ),
    "MegaLoc": NamedMethod(
        *("gmberton/MegaLoc", "get_trained_model", 8448, "MIT", "https://arxiv.org/abs/2502.17237"),
        image_size=_DINOV2_SIZE,
        multiple_of=14,
    ),
}


def name_of(word: str) -> str | None:
    """Return the name of a method from a word in any case and punctuation, or None if it has no such name."""
    return {letters_of(name): name for name in NAMED_METHODS}.get(letters_of(word))


def checked_name(word: str) -> str:
    """Return the name of a method from a word; raises ValueError, with the closest and all names, if there is none."""
    if (name := name_of(word)) is not None:
        return name
    names = ", ".join(NAMED_METHODS)
    raise ValueError(f"no such method. {closest_or(word, NAMED_METHODS, '')} Known: {names}.".replace("  ", " "))
