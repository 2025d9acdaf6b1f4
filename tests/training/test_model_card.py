"""The model card."""

import importlib.metadata
from typing import Any

import polars as pl
import pytest

from data_manifest import schemas
from data_manifest.images.image_size import ImageSize
from data_manifest.store.recipe import Recipe
from training.data.settings import AugmentationSettings
from training.model_card import model_card
from training.network.settings import NetworkSettings
from training.recipe import decisive_settings
from training.settings import TrainingSettings

INPUTS = {"groups": "0123456789abcdef", "validation": {"database": "fedcba9876543210", "queries": "0"}}
ROWS = [
    {"epoch": epoch, "loss": 20.0 - epoch, "recall_1": recall, "recall_5": recall + 10, "recall_10": None}
    for epoch, recall in enumerate((40.0, 61.25, 55.0))
]


def _card(rows: list[dict[str, Any]], **network: Any) -> str:
    settings = decisive_settings(
        NetworkSettings(**{"backbone": "ResNet50", "fc_output_dim": 128, **network}),
        AugmentationSettings(ImageSize(480, 640)),
        TrainingSettings(),
    )
    settings |= {"grouping": {"M": 10.0, "years": "2013|2015"}, "validation": {"positive_dist_threshold": 25.0}}
    empty = dict.fromkeys(schemas.METRICS.names)
    metrics = pl.DataFrame(
        [{**empty, **row} for row in rows], schema=pl.DataFrame(schemas.METRICS.empty_table()).schema
    )
    return model_card(
        Recipe("training", "city-train", 1, settings, INPUTS), metrics, "best epoch 2 of 3, validation R@1 61.2"
    )


def test_card_has_recipe_metrics_and_versions() -> None:
    card = _card(ROWS)
    assert card.startswith(
        "# ResNet50 with 128-dimensional descriptors, trained with CosPlace on city-train\n\nBest epoch 2 of 3"
    )
    for row in (
        *("| digest of groups | 0123456789abcdef |", "| digest of validation database | fedcba9876543210 |"),
        *("| M | 10.0 |", "| image_size | 480x640 |", "| lr | 1e-05 |", "| positive_dist_threshold | 25.0 |"),
        *("| epoch | 2 of 3 |", "| loss | 19.000 |", "| R@1, % | 61.2 |", "| R@5, % | 71.2 |"),
        *(f"| {name} | {importlib.metadata.version(name)} |" for name in ("torch", "torchvision")),
    ):
        assert f"\n{row}\n" in card, row
    assert "R@10" not in card, "there is no R@10"
    assert "480x640 pixels" in card
    assert "| years | 2013\\|2015 |" in card, "a bar would start another column"


@pytest.mark.parametrize(
    ("network", "origin"),
    [
        ({}, "torchvision's ImageNet weights"),
        ({"backbone_weights": "none"}, "training started from random weights"),
        ({"resume_model": __file__}, "the model that training started from (a file with the digest "),
        ({"backbone_weights": __file__}, "the backbone weights that training started from (a file with the digest "),
    ],
)
def test_licence_note_names_the_origin_of_the_weights(network: dict[str, Any], origin: str) -> None:
    (note,) = [line for line in _card(ROWS, **network).splitlines() if "MIT licence" in line]
    assert origin in note


def test_card_of_an_untrained_grayscale_network() -> None:
    card = _card([], grayscale=True)
    assert "None: these are the initial weights." in card
    assert "grayscale, [b, 1, h, w]" in card
    assert card.startswith("# ResNet50 with 128-dimensional descriptors, initial weights on city-train\n")
    assert "It is meant for images of 480x640 pixels" in card
    assert "trained" not in card.partition("## Data")[0]
