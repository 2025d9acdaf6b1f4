"""Networks for torch.hub; requires only torch and torchvision.

    network = torch.hub.load(REPOSITORY, "get_trained_model", backbone="ResNet50", fc_output_dim=2048)
    network = torch.hub.load(REPOSITORY, "load_model", "artifacts/training/sf-xl-processed-train/current")

REPOSITORY is owner/name on GitHub, or a folder, with source="local". Both networks are on the CPU and in evaluation
mode; they map images [b, 3, h, w], ImageNet-normalised, to descriptors [b, fc_output_dim] of unit length.
`network.preprocessing(image)` turns a Pillow image into such an input.
"""

from training.network import downloads as _downloads
from training.network import model as _model
from training.network import weights as _weights

dependencies = ["torch", "torchvision"]


def get_trained_model(
    backbone: str = "ResNet50",
    fc_output_dim: int | float | str = 2048,
    release_url: str = _downloads.RELEASE_URL,
    progress: bool = True,
) -> _model.GeoLocalizationNet:
    """Return a network with the official weights, downloaded once into torch.hub's cache.

    Args:
        backbone: VGG16, ResNet18, ResNet50, ResNet101 or ResNet152.
        fc_output_dim: Descriptor dimension: a power of two, from 64 to 512 for VGG16, from 32 to 512 for ResNet18,
            from 32 to 2048 for the others; "2048" and 2048.0 are accepted too.
        release_url: Address of the files, if you host copies.
        progress: Show a progress bar.

    Raises:
        ValueError: No such weights were published (the message lists all), or the download failed.
    """
    return _weights.load_official(backbone, fc_output_dim, release_url, progress)


def load_model(path: str) -> _model.GeoLocalizationNet:
    """Return your trained network; backbone and dimension are found in the file.

    Args:
        path: A weights file such as `model.pth`, or the folder of a published model or run.

    Raises:
        ValueError: The file cannot be read, or contains no network of a known backbone.
    """
    return _weights.load_model(path)
