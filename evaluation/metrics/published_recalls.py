"""Published recalls of CosPlace's models, by network and test set.

Sources differ by up to 3 points for one model, so each recall names its source.
"""

from dataclasses import dataclass

ISSUE_13, ISSUE_38, EIGENPLACES = "gmberton/CosPlace#13", "gmberton/CosPlace#38", "EigenPlaces paper"
KS = (1, 5, 10, 20)
EIGENPLACES_SETS = (
    *("sf-xl-v1", "sf-xl-v2", "pitts30k", "pitts250k", "tokyo247", "msls-val", "st-lucia", "nordland", "amstertime"),
    "eynsham",
)


@dataclass(frozen=True)
class Published:
    """A published recall, in percent."""

    backbone: str
    fc_output_dim: int
    test_set: str
    k: int
    recall: float
    source: str


def _recalls(backbone: str, dim: int, test_set: str, source: str, *recalls: float) -> list[Published]:
    pairs = zip(KS, recalls, strict=False)
    return [Published(backbone, dim, test_set, k, recall, source) for k, recall in pairs]


def _eigenplaces(backbone: str, dim: int, *recalls: float) -> list[Published]:
    pairs = zip(EIGENPLACES_SETS, recalls, strict=True)
    return [Published(backbone, dim, name, 1, recall, EIGENPLACES) for name, recall in pairs]


PUBLISHED = (
    *_recalls("VGG16", 512, "pitts250k", ISSUE_13, 89.7, 96.4, 97.7, 98.4),
    *_recalls("VGG16", 512, "pitts30k", ISSUE_13, 88.5, 94.5, 95.7, 96.7),
    *_recalls("VGG16", 512, "tokyo247", ISSUE_13, 82.8, 90.0, 93.3, 95.8),
    *_recalls("VGG16", 512, "msls-val", ISSUE_13, 79.5, 87.2, 89.5, 91.5),
    *_recalls("ResNet101", 2048, "pitts250k", ISSUE_13, 91.8, 97.5, 98.6, 98.9),
    *_recalls("ResNet101", 2048, "pitts30k", ISSUE_13, 90.4, 95.7, 96.7, 97.4),
    *_recalls("ResNet101", 2048, "tokyo247", ISSUE_13, 88.6, 95.9, 96.5, 96.5),
    *_recalls("ResNet101", 2048, "msls-val", ISSUE_13, 86.6, 92.0, 93.4, 94.7),
    *_recalls("ResNet18", 512, "st-lucia", ISSUE_38, 98.8, 99.7, 99.9, 100.0),
    *_eigenplaces("VGG16", 512, 65.9, 83.1, 88.4, 89.7, 81.9, 82.6, 95.3, 58.5, 38.7, 88.3),
    *_eigenplaces("ResNet50", 128, 69.1, 86.5, 89.0, 89.6, 81.0, 85.5, 98.7, 54.7, 39.9, 88.6),
    *_eigenplaces("ResNet50", 512, 76.7, 89.0, 90.2, 91.7, 89.5, 86.9, 99.1, 66.5, 46.4, 89.9),
    *_eigenplaces("ResNet50", 2048, 76.4, 88.8, 90.9, 92.3, 87.3, 87.4, 99.6, 71.9, 47.7, 90.0),
)


def published_recalls(backbone: str, fc_output_dim: int, test_set: str, k: int) -> list[Published]:
    """Return the published recalls of a network on a named test set, those of CosPlace's authors first."""
    wanted = (backbone, fc_output_dim, test_set, k)
    return [each for each in PUBLISHED if (each.backbone, each.fc_output_dim, each.test_set, each.k) == wanted]
