"""A folder for the Hugging Face Hub: weights, configuration, and a card with the measured recalls."""

import json
from collections.abc import Sequence
from pathlib import Path

from data_manifest.store.recipe import is_published, read_recipe
from data_manifest.tables import read_table
from evaluation.descriptors.trained_model import TrainedModel
from training.network.model import GeoLocalizationNet
from training.network.safetensors_file import write_safetensors
from training.network.settings import SAFETENSORS_FILE

CARD, TRAINING_CARD, CONFIG = "README.md", "model_card.md", "config.json"
TASK, LIBRARY = "image-feature-extraction", "cosplace"


def write_hf_folder(
    model: TrainedModel, network: GeoLocalizationNet, folder: Path, evaluations: Sequence[Path]
) -> None:
    """Write `model.safetensors`, `config.json` and `README.md`, as `hf upload` takes them."""
    write_safetensors(network, folder / SAFETENSORS_FILE)
    (folder / CONFIG).write_text(json.dumps(_config(network), indent=2) + "\n")
    own = model.path.parent / TRAINING_CARD
    body = own.read_text() if own.is_file() else _body(network)
    (folder / CARD).write_text(f"---\n{_head(model, evaluations)}\n---\n\n{body}")


def _config(network: GeoLocalizationNet) -> dict[str, object]:
    return {
        **{"library_name": LIBRARY, "backbone": network.name, "fc_output_dim": network.fc_output_dim},
        "preprocessing": network.preprocessing.stated(),
    }


def _head(model: TrainedModel, evaluations: Sequence[Path]) -> str:
    """Return the card's metadata as YAML; recalls are those of the model's evaluations in the artifacts folder."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=row["test_set"],
            dataset_name=row["test_set"],
            metric_type="recall",
            metric_name=f"R@{row['k']}",
            metric_value=round(row["recall"], 2),
        )
        for each in evaluations
        for row in read_table(each, "recalls").drop_nulls("recall").to_dicts()  # null without ground truth
    ]
    training = model.path.parent
    data_sets = [str(read_recipe(training)["name"])] if is_published(training) else []
    name = f"{model.backbone.rpartition('/')[2]}-{model.fc_output_dim}"
    data = ModelCardData(
        model_name=name,
        library_name=LIBRARY,
        pipeline_tag=TASK,
        license="other",
        tags=["visual-place-recognition", *(f"trained-on:{each}" for each in data_sets)],
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _body(network: GeoLocalizationNet) -> str:
    title = f"{network.name} with {network.fc_output_dim}-dimensional descriptors"
    return f"# {title}\n\nA CosPlace network. Check the licences of its training images and initial weights.\n"
