"""Backbones of timm: any model whose feature map follows the size of its images. Imports timm late: it is optional."""

import contextlib
import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from data_manifest.command_line.closest import closest
from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from training.network.backbones import INSTALL_TIMM, TIMM

# The last 4 of 12 blocks of DINOv2-B are trained in SALAD (Izquierdo and Civera, CVPR 2024; serizba/salad, main.py).
TRAINED_BLOCKS, TRAINED_STAGES = 4, 2  # of ViTs, and of CNNs, as layer3 and layer4 of ResNets
ODD_SIZE = (241, 259)  # a multiple of no patch
ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}  # arguments of models with positional embeddings


@dataclass(frozen=True)
class TimmFacts:
    """The properties of a model of timm, found without its weights."""

    name: str
    multiple: int  # sides of its images are multiples of this many pixels
    channels: int  # of its last feature map
    stages: tuple[tuple[str, ...], ...]  # names of its parameters: stem, then stages or blocks
    trained: int  # number of last stages that are trained by default
    data: Mapping[str, Any]  # timm's data config: mean, std, interpolation
    weights: str  # name and licence of its pretrained weights
    options: Mapping[str, Any]  # arguments that let it take any size


class TimmBackbone(nn.Module):
    """A model of timm, from images to its last feature map; class and register tokens are dropped."""

    def __init__(self, backbone: str, channels: int = 3) -> None:
        super().__init__()
        self.facts = facts_of(backbone)
        self.model = _create(self.facts.name, in_chans=channels, **self.facts.options)

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, channels, h, w] to [b, c, h', w']; sides are resized to the nearest multiple of the patch size."""
        return _last_map(self.model, _resize_to_multiple(images, self.facts.multiple))

    def load_weights(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict of the timm model, or, if it is empty, timm's pretrained weights, downloaded once.

        Raises:
            UserError: The download failed.
            RuntimeError: The state dict is of another model.
        """
        channels = next(each for each in self.model.modules() if isinstance(each, nn.Conv2d)).in_channels
        source = {"pretrained_cfg_overlay": {"state_dict": dict(state)}} if state else {}
        try:
            with torch.random.fork_rng(devices=[]):
                filled = _create(self.facts.name, pretrained=True, in_chans=channels, **source, **self.facts.options)
        except Exception as error:  # the hub's clients raise many types
            if state:
                raise RuntimeError(f"timm:\n{error}") from error
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UserError(
                f"Cannot download the weights {self.facts.weights}: {reason.rstrip('.')}. Give a file of them with "
                "--backbone-weights PATH, or start from random weights with --backbone-weights none."
            ) from error
        self.model.load_state_dict(filled.state_dict())

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass instead of keeping them.

        Raises:
            UserError: The model has batch norms, whose statistics a second pass would change, or cannot do this.
        """
        name = TIMM + self.facts.name
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.model.modules()):
            raise UserError(f"gradient_checkpointing = True: {name} has batch norms. Leave it out.")
        try:
            self.model.set_grad_checkpointing(True)
        except (AssertionError, AttributeError) as error:
            raise UserError(f"gradient_checkpointing = True: {name} does not support it. Leave it out.") from error


@functools.cache
def facts_of(backbone: str) -> TimmFacts:
    """Return the properties of a backbone such as `timm/convnext_tiny`.

    Raises:
        UserError: timm is not installed, has no such model, or the model takes only images of one size.
    """
    try:
        import timm
        from timm.data.config import resolve_model_data_config
    except ImportError as error:
        raise UserError(f"backbone = {backbone}: the package timm is not installed: {INSTALL_TIMM}") from error
    name = backbone.removeprefix(TIMM)
    if not timm.is_model(name):
        advice = "".join(f" Closest: {TIMM}{each}." for each in closest(name, timm.list_models())[:1])
        raise UserError(f"backbone = {backbone}: timm {timm.__version__} has no model of this name.{advice}")
    with torch.device("meta"):  # shapes without values
        known = inspect.signature(type(timm.create_model(name)).__init__).parameters
        options = {option: value for option, value in ANY_SIZE.items() if option in known}
        model = _create(name, **options)
    multiple, channels = _multiple_and_channels(model, backbone)
    is_vit = len({each["reduction"] for each in model.feature_info}) == 1
    weights = "{architecture}.{tag} of timm (licence {license})".format_map({"tag": "default", **model.pretrained_cfg})
    return TimmFacts(
        name,
        multiple,
        channels,
        stages=_stages_of(model),
        trained=TRAINED_BLOCKS if is_vit else TRAINED_STAGES,
        data=resolve_model_data_config(model),
        weights=weights,
        options=options,
    )


def _multiple_and_channels(model: Any, backbone: str) -> tuple[int, int]:
    """Return the multiple of pixels that a model takes, and its channels, from its maps on the meta device."""
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    patch = max(patch) if isinstance(patch, Sequence) else int(patch)
    for multiple, size in ((1, ODD_SIZE), (patch, (16 * patch, 17 * patch))):
        with contextlib.suppress(AssertionError, RuntimeError, ValueError):  # it does not take this size
            return multiple, _last_map(model, torch.empty(1, 3, *size, device="meta")).shape[1]
    raise UserError(f"backbone = {backbone}: it takes only images of one size. Choose one that takes any size.")


def check_image_size(backbone: str, size: ImageSize) -> None:
    """Raise UserError, with the nearest valid sizes, if a backbone of timm does not take training images of a size."""
    if not backbone.startswith(TIMM):
        return
    multiple, sides = facts_of(backbone).multiple, (size.height, size.width)
    if all(side % multiple == 0 for side in sides):
        return
    down, up = (ImageSize(*(step(side, multiple) for side in sides)) for step in (_round_down, _round_up))
    advice = f"{down} or {up}" if min(sides) > multiple else up
    raise UserError(f"image_size = {size}: not a multiple of {multiple}, the patch size of {backbone}. Use {advice}.")


def _round_down(side: int, multiple: int) -> int:
    return side // multiple * multiple


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple


def _create(name: str, **options: Any) -> Any:
    """Return a model of timm without its head and what only the head uses."""
    import timm

    model: Any = timm.create_model(name, num_classes=0, **options)
    model.prune_intermediate_layers(indices=1, prune_norm=False, prune_head=True)
    return model


def _last_map(model: Any, images: Tensor) -> Tensor:
    maps: list[Tensor] = model.forward_intermediates(
        images, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
    )
    return maps[-1]


def _stages_of(model: Any) -> tuple[tuple[str, ...], ...]:
    """Return the names of a model's parameters by stage, as timm groups them: stem, then stages or blocks.

    Parameters that timm puts into no group, such as a last norm, belong to the last stage.
    """
    from timm.models import group_parameters

    rest = {"rest": [("", (99999,))]}  # timm's number for the group before
    groups: dict[int, list[str]] = group_parameters(model, {**model.group_matcher(coarse=True), **rest})
    return tuple(map(tuple, groups.values()))


def _resize_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Return images [b, c, h, w] resized to the nearest multiple in each direction, at least one."""
    if multiple == 1:
        return images
    height, width = ((side + multiple // 2) // multiple for side in images.shape[-2:])
    size = [max(1, height) * multiple, max(1, width) * multiple]
    # Exported and compiled models take any size; resizing to the same size changes nothing.
    if not torch.compiler.is_compiling() and list(images.shape[-2:]) == size:
        return images
    return interpolate(images, size, mode="bilinear")
