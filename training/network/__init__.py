"""The network: images to descriptors. The only part of training that evaluation and torch.hub use.

It needs torch and torchvision, and nothing of the tables.
"""

from training.network.images import IMAGENET_MEAN, IMAGENET_STD, normalise, resolve_device
from training.network.model import GeoLocalizationNet
from training.network.weights import build_network, load_network, save_network

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "GeoLocalizationNet",
    "build_network",
    "load_network",
    "normalise",
    "resolve_device",
    "save_network",
]
