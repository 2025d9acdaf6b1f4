"""What makes an evaluation the one it is. Imports neither torch nor faiss."""

from pathlib import Path

from data_manifest.artefacts import Recipe, digest_of_file, is_published, read_recipe
from evaluation.settings import EvaluationSettings

VERSION = 1


def evaluation_recipe(
    name: str,
    model_digest: str,
    database_digest: str,
    queries_digest: str,
    settings: EvaluationSettings,
    image_size: int,
) -> Recipe:
    """Return what makes an evaluation: a model, two lists of images, the threshold and the size of the images.

    `image_size` counts only where images are resized to it.
    """
    decisive = {
        "positive_dist_threshold": settings.positive_dist_threshold,
        "resized_to": image_size if settings.resize_test_imgs else None,
    }
    inputs = {"model": model_digest, "database": database_digest, "queries": queries_digest}
    return Recipe("evaluation", name, VERSION, decisive, inputs)


def model_digest(model: Path) -> str:
    """Return the digest of a published model, or of the content of any other file of weights.

    Raises:
        UserError: There is no such file.
    """
    if is_published(model.parent):
        return str(read_recipe(model.parent)["digest"])
    return digest_of_file(model)
