"""The evaluation stage: from a model and two manifests to published predictions and recalls."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from data_manifest import schemas
from data_manifest.artefacts import publishing, read_recipe
from data_manifest.tables import write_table
from evaluation.evaluate import ImageList, evaluate
from evaluation.recipe import evaluation_recipe, model_digest
from evaluation.settings import EvaluationSettings
from training.network import load_network, resolve_device


def evaluate_cosplace(
    model: Path,
    backbone: str,
    fc_output_dim: int,
    database: ImageList,
    queries: ImageList,
    artifacts: Path,
    settings: EvaluationSettings | None = None,
    *,
    image_size: int = 512,
    device: str = "auto",
    num_workers: int = 8,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Evaluate a file of weights on a test set, and return the folder of the published predictions and recalls.

    Args:
        model: A state dict: `model.pth` of a training, or official weights.
        backbone: The network that it is for, as in ResNet50.
        fc_output_dim: The length of its descriptors.
        database: The reference images.
        queries: The images to localise.
        artifacts: Where artefacts are published.
        settings: The threshold in metres, whether to resize, the batch size.
        image_size: The shorter side in pixels, if images are resized.
        device: Where the network runs; auto is a GPU if there is one.
        num_workers: Processes that load images.
        on_percentage: Told of the progress.

    Raises:
        UserError: The weights are not those of such a network, a list is empty, or an image cannot be opened.
    """
    settings = settings or EvaluationSettings()
    asked, against = read_recipe(queries.manifest_folder), read_recipe(database.manifest_folder)
    inputs = model_digest(model), against["digest"], asked["digest"]
    recipe = evaluation_recipe(asked["name"], *inputs, settings, image_size)
    found = evaluate(
        load_network(model, backbone, fc_output_dim),
        database,
        queries,
        settings,
        image_size=image_size,
        device=resolve_device(device),
        num_workers=num_workers,
        on_percentage=on_percentage,
    )
    with publishing(artifacts, recipe, {"made": str(found)}) as staging:
        write_table(found.predictions, staging / "predictions" / "predictions.parquet", schemas.PREDICTIONS)
        write_table(found.recalls_table(asked["name"]), staging / "recalls" / "recalls.parquet", schemas.RECALLS)
    return recipe.folder(artifacts)


def validator(
    database: ImageList,
    queries: ImageList,
    settings: EvaluationSettings | None = None,
    *,
    image_size: int = 512,
    device: str = "auto",
    num_workers: int = 8,
) -> Callable[[nn.Module], dict[int, float]]:
    """Return a function that gives the recalls of a network, in percent by k: what training validates with."""

    def validate(network: nn.Module) -> dict[int, float]:
        return evaluate(
            network,
            database,
            queries,
            settings or EvaluationSettings(),
            image_size=image_size,
            device=resolve_device(device),
            num_workers=num_workers,
        ).recalls

    return validate
