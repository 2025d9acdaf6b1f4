"""Networks for torch.hub, which needs torch and torchvision for them and nothing else.

    network = torch.hub.load(REPOSITORY, "get_trained_model", backbone="ResNet50", fc_output_dim=2048)
    network = torch.hub.load(REPOSITORY, "load_model", "artifacts/training/sf-xl-processed-train/current")

REPOSITORY is owner/name on GitHub, or a folder, with source="local". Both networks are on the CPU and in evaluation
mode; they map images [b, 3, h, w], ImageNet-normalised, to descriptors [b, fc_output_dim] of unit length.
`network.preprocessing(image)` makes such an input of one of Pillow's images.
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
    """Return a network with the official weights, downloaded once and then kept where torch.hub keeps its files.

    Args:
        backbone: VGG16, ResNet18, ResNet50, ResNet101 or ResNet152.
        fc_output_dim: Length of a descriptor: a power of two, from 64 to 512 for VGG16, from 32 to 512 for ResNet18,
            from 32 to 2048 for the others; "2048" and 2048.0 are accepted too.
        release_url: Where the files lie; another for those who keep copies of their own.
        progress: Whether a download shows its progress.

    Raises:
        ValueError: There are no such weights (the message lists those that exist), or the download failed.
    """
    return _weights.load_official(backbone, fc_output_dim, release_url, progress)


def load_model(path: str) -> _model.GeoLocalizationNet:
    """Return a trained network of one's own; which one it is, is found in its file.

    Args:
        path: A file of weights, as in `model.pth`, or the folder of a published model or of a run.

    Raises:
        ValueError: The file cannot be read, or is not a network of a known backbone.
    """
    return _weights.load_model(path)
