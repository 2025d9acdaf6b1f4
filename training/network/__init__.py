"""The network: images to descriptors. The only part of training that evaluation and torch.hub use.

It needs torch and torchvision, and nothing of the tables.
"""

from training.network.downloads import RELEASE_URL
from training.network.images import IMAGENET_MEAN, IMAGENET_STD, normalise, resolve_device
from training.network.model import GeoLocalizationNet
from training.network.preprocessing import Preprocessing, preprocessing_of
from training.network.weights import (
    build_network,
    load_model,
    load_network,
    load_official,
    save_network,
    stated_image_size,
)
from training.settings import MODEL_FILE

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MODEL_FILE",
    "RELEASE_URL",
    "GeoLocalizationNet",
    "Preprocessing",
    "build_network",
    "load_model",
    "load_network",
    "load_official",
    "normalise",
    "preprocessing_of",
    "resolve_device",
    "save_network",
    "stated_image_size",
]
