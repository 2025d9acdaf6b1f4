"""A method of others as a network of this project: checked descriptors of unit length."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from data_manifest.command_line.closest import closest_or
from data_manifest.errors import UserError, first_line
from data_manifest.images.image_size import ImageSize
from data_manifest.store.recipe import DIGEST_LENGTH
from evaluation.descriptors.open_image import SizeRule
from methods.entry import Entry
from methods.named_methods import NAMED_METHODS
from methods.settings import MethodSettings
from training.network.preprocessing import Preprocessing

PROBE_SIDE = 224  # pixels of the image that the dimension is found with
STATED = ("mean", "std", "interpolation", "image_size", "multiple_of")  # keys of a network's own `preprocessing`


class MethodNetwork(nn.Module):
    """Maps normalised images [b, 3, h, w] to descriptors [b, dim] of unit length.

    The search compares by the inner product, so descriptors of any length are divided by their norm.
    """

    def __init__(self, module: nn.Module, name: str, preprocessing: Preprocessing, size_rule: SizeRule) -> None:
        super().__init__()
        self.module, self.name = module.eval(), name
        self.preprocessing, self.size_rule = preprocessing, size_rule
        self.dimensions: int | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return the descriptors of images.

        Raises:
            UserError: The method fails on images of this size, or returns anything but one descriptor per image.
        """
        height, width = images.shape[-2:]
        size = f"{width} x {height} pixels"
        try:
            outputs = self.module(images)
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # code of others raises any type
            raise UserError(
                f"{self.name} fails on images of {size}: {first_line(error)}. Give another --input-size, or the "
                "--input-multiple that it takes."
            ) from error
        descriptors = outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs
        expected = [len(images), self.dimensions or "dimensions"]
        if not isinstance(descriptors, Tensor) or descriptors.ndim != 2 or len(descriptors) != len(images):
            raise UserError(f"{self.name} returns {_shown(descriptors)} for {len(images)} images, not {expected}.")
        if self.dimensions not in (None, descriptors.shape[1]):
            raise UserError(
                f"{self.name} returns {_shown(descriptors)} for images of {size}, not {expected}: its dimension "
                "depends on their size. Give --input-size."
            )
        norms: Tensor = torch.linalg.vector_norm(descriptors.float(), dim=1, keepdim=True)
        return descriptors.float() / norms  # of a zero it is not finite, which is reported

    def stated(self) -> dict[str, Any]:
        """Return the preprocessing as JSON types."""
        exact = self.size_rule.exact
        return {
            **{"mean": list(self.preprocessing.mean), "std": list(self.preprocessing.std)},
            "interpolation": self.preprocessing.interpolation,
            "image_size": exact and exact.plain,
            "multiple_of": self.size_rule.multiple_of,
        }

    @torch.inference_mode()
    def find_dimensions(self) -> int:
        """Return the dimension of the descriptors, from one noise image; remember it to check others.

        Raises:
            UserError: The method fails, or its descriptor is not finite or zero.
        """
        width, height = self.size_rule.size_of(PROBE_SIDE, PROBE_SIDE)
        pixels = torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(0))
        descriptors = self(self.preprocessing.normalise(pixels))
        if not descriptors.isfinite().all():
            raise UserError(
                f"{self.name} returns a descriptor that is zero or not finite for a {width} x {height} image."
            )
        self.dimensions = descriptors.shape[1]
        return self.dimensions


def wrap(module: nn.Module, entry: Entry, settings: MethodSettings) -> MethodNetwork:
    """Return the network of a loaded module, with its preprocessing.

    Sizes are those of the settings, else those of the named method, else those that the module's attribute
    `preprocessing`, a dictionary, states.

    Raises:
        UserError: The attribute is invalid.
    """
    preprocessing, sizes = _preprocessing(module, entry)
    size_rule = SizeRule(settings.input_size or sizes.exact, settings.input_multiple or sizes.multiple_of)
    return MethodNetwork(module, entry.shown, preprocessing, size_rule)


def digest_of_weights(module: nn.Module) -> str:
    """Return a digest of the names, shapes and values of a network's state dict."""
    content = hashlib.sha256()
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor):
            content.update(f"{name} {value.dtype} {list(value.shape)};".encode())
            content.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:  # a module's extra state
            content.update(f"{name} {value!r};".encode())
    return content.hexdigest()[:DIGEST_LENGTH]


def _preprocessing(module: nn.Module, entry: Entry) -> tuple[Preprocessing, SizeRule]:
    if entry.name:
        row = NAMED_METHODS[entry.name]
        return Preprocessing(interpolation=row.interpolation), SizeRule(row.image_size, row.multiple_of)
    stated = getattr(module, "preprocessing", None)
    return _from_stated(stated, entry.shown) if isinstance(stated, Mapping) else (Preprocessing(), SizeRule())


def _from_stated(stated: Mapping[str, Any], name: str) -> tuple[Preprocessing, SizeRule]:
    for key in stated:
        if key not in STATED:
            raise UserError(f"{name}: preprocessing has no key {key}. {closest_or(str(key), STATED, '')}".rstrip())
    usual, multiple_of = Preprocessing().stated(), stated.get("multiple_of", 1)
    size = stated.get("image_size")
    found = Preprocessing.from_stated({**usual, **stated, "image_size": None})
    try:
        exact = ImageSize(*map(int, size)) if isinstance(size, tuple | list) else size and ImageSize.of(size)
        if int(multiple_of) < 1 or (exact and min(exact.height, exact.width) < 1) or found.channels != 3:
            raise ValueError(stated)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: invalid preprocessing: {dict(stated)}") from error
    return found, SizeRule(exact or None, int(multiple_of))


def _shown(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
