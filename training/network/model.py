"""The network: a backbone and the aggregation, with the state-dict keys of the official models."""

import dataclasses
import itertools
from typing import Any

import torchvision
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from training.network.backbones import BACKBONES, TIMM
from training.network.layers import build_aggregation
from training.network.preprocessing import BILINEAR, INTERPOLATIONS, Preprocessing
from training.network.timm_backbone import TimmBackbone, TimmFacts

STATEMENT = "cosplace"  # key of the network's description in the metadata of its state dict


def kept_children(backbone: str) -> dict[str, nn.Module]:
    """Return the children of a torchvision model, with random weights, that form the backbone.

    They are keyed by their names in the torchvision model, as in "layer3" or "features.24".
    """
    entry = BACKBONES[backbone]
    root = torchvision.models.get_model(entry.torchvision_name, weights=None).get_submodule(entry.root)
    prefix = f"{entry.root}." if entry.root else ""
    children = [(prefix + name, child) for name, child in root.named_children()]
    return dict(children[: len(children) - entry.cut])


class GeoLocalizationNet(nn.Module):
    """Images to descriptors. Keys of the state dict: `backbone.<i>...`, `aggregation.1.p`, `aggregation.3.weight`.

    The state dict contains only tensors, like those of the official models; its metadata describe the network and its
    preprocessing.

    Args:
        name: A key of `training.network.backbones.BACKBONES`, or `timm/` and the name of a model of timm.
        fc_output_dim: Descriptor dimension.
        channels: Image channels: 3 for colour, 1 for grayscale.
    """

    def __init__(self, name: str, fc_output_dim: int, channels: int = 3) -> None:
        super().__init__()
        self.name, self.fc_output_dim = name, fc_output_dim
        self.preprocessing = Preprocessing().of_channels(channels)
        self.backbone: nn.Sequential | TimmBackbone
        if name.startswith(TIMM):
            self.backbone = TimmBackbone(name, channels)
            self.preprocessing = _timm_preprocessing(self.backbone.facts).of_channels(channels)
            num_features = self.backbone.facts.channels
        else:
            self.backbone = nn.Sequential(*kept_children(name).values())
            if channels != 3:
                replace_stem(self.backbone, channels)
            num_features = BACKBONES[name].channels
        self.aggregation = build_aggregation(num_features, fc_output_dim)
        self.register_state_dict_post_hook(_state)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, channels, h, w], float32, normalised, to descriptors [b, fc_output_dim] of unit length."""
        descriptors: Tensor = self.aggregation(self.backbone(images))
        return descriptors

    def set_image_size(self, image_size: ImageSize | None) -> None:
        """Set the size of the training images, which the model file states."""
        self.preprocessing = dataclasses.replace(self.preprocessing, image_size=image_size)


def _state(network: nn.Module, tensors: Any, prefix: str, metadata: dict[str, Any]) -> None:
    """Add the network's description, as plain values, to its state dict's metadata."""
    assert isinstance(network, GeoLocalizationNet)
    metadata[STATEMENT] = {
        "backbone": network.name,
        "fc_output_dim": network.fc_output_dim,
        "preprocessing": network.preprocessing.stated(),
    }


def _timm_preprocessing(facts: TimmFacts) -> Preprocessing:
    """Return the preprocessing of timm's data config; other interpolations than ours become bilinear."""
    interpolation = facts.data["interpolation"]
    mean, std = (tuple(map(float, facts.data[name])) for name in ("mean", "std"))
    return Preprocessing(mean, std, interpolation=interpolation if interpolation in INTERPOLATIONS else BILINEAR)


def stem_of(backbone: nn.Module) -> str:
    """Return the name of the first convolution."""
    names: list[str] = [name for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    return names[0]


def replace_stem(backbone: nn.Sequential, channels: int) -> None:
    """Replace the first convolution by a random one with `channels` input channels."""
    name = stem_of(backbone)
    old = backbone.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]  # pairs, but typed as tuples of any length
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    backbone.set_submodule(name, new)


def freeze_early_layers(network: GeoLocalizationNet, train_blocks: int | None = None) -> None:
    """Freeze the backbone's parameters before its last `train_blocks` stages or blocks; None is the default.

    Frozen batch norms stay in train mode, and so follow the training images, as in the published models.

    Raises:
        UserError: The backbone has fewer stages.
    """
    stages, trained = stages_of(network)
    trained = trained if train_blocks is None else train_blocks
    if trained >= len(stages):
        raise UserError(
            f"train_blocks = {trained}: {network.name} has {len(stages) - 1}. Give 0 to {len(stages) - 1}, or "
            "--train-all-layers to train the layers before them too."
        )
    for name in itertools.chain.from_iterable(stages[: len(stages) - trained]):
        network.backbone.get_parameter(name).requires_grad_(False)


def checkpoint_gradients(network: GeoLocalizationNet) -> None:
    """Recompute the backbone's activations in the backward pass, to save memory.

    Raises:
        UserError: The backbone is not one of timm, or cannot do this.
    """
    if not isinstance(network.backbone, TimmBackbone):
        raise UserError(f"gradient_checkpointing = True: {network.name} is not a timm backbone. Leave it out.")
    network.backbone.checkpoint_gradients()


def stages_of(network: GeoLocalizationNet) -> tuple[list[list[str]], int]:
    """Return the names of the backbone's parameters by stage, the stem first, and how many stages train by default."""
    backbone = network.backbone
    if isinstance(backbone, TimmBackbone):
        return [[f"model.{name}" for name in stage] for stage in backbone.facts.stages], backbone.facts.trained
    entry, stages = BACKBONES[network.name], list[list[str]]([[]])
    starts = [f"{start}." for start in entry.stages]
    for name, _ in backbone.named_parameters():
        if starts and name.startswith(starts[0]):
            starts.pop(0)
            stages.append([])
        stages[-1].append(name)
    return stages, entry.trained
