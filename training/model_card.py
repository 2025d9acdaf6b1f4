"""The model card next to a model file: its use, metrics, data, recipe and licence, in Markdown."""

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.store.recipe import Recipe
from data_manifest.tables import best_epoch
from training.network.backbones import TIMM
from training.network.settings import IMAGENET, MODEL_FILE, RANDOM
from training.network.timm_backbone import facts_of

CARD_FILE = "model_card.md"
LIBRARIES = ("torch", "torchvision", "Pillow", "polars", "pyarrow")
LICENCE = (
    "The code that made this model is under the MIT licence. This does not cover the weights: they derive from the "
    "training images, whose licence may forbid some uses of them, and from"
)


def write_model_card(folder: Path, recipe: Recipe, metrics: pl.DataFrame, made: str) -> None:
    """Write the card into the folder of a model that is about to be published."""
    (folder / CARD_FILE).write_text(model_card(recipe, metrics, made))


def model_card(recipe: Recipe, metrics: pl.DataFrame, made: str) -> str:
    """Return the card; `metrics`, the table METRICS, is empty for an untrained network, `made` a line on its origin."""
    settings = dict(recipe.settings)
    grouping, validation = settings.pop("grouping"), settings.pop("validation")
    title = f"{settings['backbone']} with {settings['fc_output_dim']}-dimensional descriptors"
    state = "initial weights" if metrics.is_empty() else "trained with CosPlace"
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    sets = {f"digest of validation {role}": digest for role, digest in recipe.inputs["validation"].items()}
    parts = {
        f"# {title}, {state} on {recipe.name}": f"{made[:1].upper()}{made[1:]}.",
        "## Use": _usage(settings, "is meant for" if metrics.is_empty() else "was trained on"),
        "## Metrics": _metrics(metrics),
        "## Data": _table("data", {"data set": recipe.name, "digest of groups": recipe.inputs["groups"], **sets}),
        "## Recipe": _table("setting", settings),
        "### Groups": _table("setting", grouping),
        "### Validation": _table("setting", validation),
        "## Versions": _table("library", {"Python": platform.python_version(), **libraries}),
        "## Licence": f"{LICENCE} {_origin(settings)}. Check those licences before you use or pass on the model.",
    }
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in parts.items()) + "\n"


def _usage(settings: Mapping[str, Any], used: str) -> str:
    colours = "grayscale, [b, 1, h, w]" if settings.get("grayscale") else "RGB, [b, 3, h, w]"
    return (
        f"`{MODEL_FILE}` is a state dict that also states its preprocessing. It {used} images of "
        f"{settings['image_size']} pixels (rows x columns, or the side of a square), {colours}, "
        "normalised by its preprocessing. Other sizes work too. In the project's folder:\n\n"
        "```python\n"
        "import torch\n"
        "from PIL import Image\n\n"
        f'network = torch.hub.load(".", "load_model", "PATH/{MODEL_FILE}", source="local")\n'
        'descriptor = network(network.preprocessing(Image.open("photo.jpg")))\n'
        "```"
    )


def _metrics(metrics: pl.DataFrame) -> str:
    if metrics.is_empty():
        return "None: these are the initial weights."
    best = best_epoch(metrics).row(0, named=True)
    recalls = {f"R@{k}, %": f"{best[f'recall_{k}']:.1f}" for k in (1, 5, 10, 20) if best[f"recall_{k}"] is not None}
    rows = {"epoch": f"{best['epoch'] + 1} of {len(metrics)}", "loss": f"{best['loss']:.3f}", **recalls}
    which = "best epoch" if best["recall_1"] else "last epoch, because no epoch has an R@1 above 0"
    return f"Of the {which}, on the validation set; a test set's recalls may differ.\n\n" + _table("metric", rows)


def _origin(settings: Mapping[str, Any]) -> str:
    if settings["resume_model"] is not None:
        return f"the model that training started from (a file with the digest {settings['resume_model']})"
    if settings["backbone_weights"] == IMAGENET and settings["backbone"].startswith(TIMM):
        return f"the weights {facts_of(settings['backbone']).weights}, which training started from"
    if settings["backbone_weights"] == IMAGENET:
        return "torchvision's ImageNet weights, which training started from"
    if settings["backbone_weights"] == RANDOM:
        return "nothing else: training started from random weights"
    return f"the backbone weights that training started from (a file with the digest {settings['backbone_weights']})"


def _table(first: str, rows: Mapping[str, Any]) -> str:
    def line(cells: Iterable[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line((first, "value")), "|---|---|", *(line(row) for row in rows.items())])
