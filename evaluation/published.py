"""Published recalls of CosPlace, in percent, to stand beside ours.

Sources differ by up to 3 points for one model, so each figure names its own. All count a database image within 25
metres as a positive (10 frames on Nordland), over all queries.
"""

from dataclasses import dataclass

EIGENPLACES = "EigenPlaces paper, tables"
AUTHORS = "CosPlace's authors, issue 13"
AUTHORS_SMALL = "CosPlace's authors, issue 38"


@dataclass(frozen=True)
class Published:
    """A published figure: recalls by k of a model on a test set."""

    backbone: str
    fc_output_dim: int
    test_set: str
    recalls: dict[int, float]
    source: str


_R1_SETS = (
    *("sf-xl-v1", "sf-xl-v2", "pitts30k", "pitts250k", "tokyo247", "msls-val"),
    *("st-lucia", "nordland", "amstertime", "eynsham"),
)
_R1 = {
    ("VGG16", 512): (65.9, 83.1, 88.4, 89.7, 81.9, 82.6, 95.3, 58.5, 38.7, 88.3),
    ("ResNet50", 128): (69.1, 86.5, 89.0, 89.6, 81.0, 85.5, 98.7, 54.7, 39.9, 88.6),
    ("ResNet50", 512): (76.7, 89.0, 90.2, 91.7, 89.5, 86.9, 99.1, 66.5, 46.4, 89.9),
    ("ResNet50", 2048): (76.4, 88.8, 90.9, 92.3, 87.3, 87.4, 99.6, 71.9, 47.7, 90.0),
}
_R1_TO_R20 = {
    ("VGG16", 512, "pitts250k", AUTHORS): (89.7, 96.4, 97.7, 98.4),
    ("VGG16", 512, "pitts30k", AUTHORS): (88.5, 94.5, 95.7, 96.7),
    ("VGG16", 512, "tokyo247", AUTHORS): (82.8, 90.0, 93.3, 95.8),
    ("VGG16", 512, "msls-val", AUTHORS): (79.5, 87.2, 89.5, 91.5),
    ("ResNet101", 2048, "pitts250k", AUTHORS): (91.8, 97.5, 98.6, 98.9),
    ("ResNet101", 2048, "pitts30k", AUTHORS): (90.4, 95.7, 96.7, 97.4),
    ("ResNet101", 2048, "tokyo247", AUTHORS): (88.6, 95.9, 96.5, 96.5),
    ("ResNet101", 2048, "msls-val", AUTHORS): (86.6, 92.0, 93.4, 94.7),
    ("ResNet18", 512, "st-lucia", AUTHORS_SMALL): (98.8, 99.7, 99.9, 100.0),
    ("ResNet18", 512, "sf-xl-small-v1", AUTHORS_SMALL): (67.7, 77.8, 81.8, 85.0),
}
PUBLISHED = (
    *(
        Published(backbone, dim, test_set, {1: recall}, EIGENPLACES)
        for (backbone, dim), recalls in _R1.items()
        for test_set, recall in zip(_R1_SETS, recalls, strict=True)
    ),
    *(
        Published(backbone, dim, test_set, dict(zip((1, 5, 10, 20), recalls, strict=True)), source)
        for (backbone, dim, test_set, source), recalls in _R1_TO_R20.items()
    ),
)


def published_recalls(test_set: str, backbone: str, fc_output_dim: int) -> list[Published]:
    """Return what was published of a network, its backbone and the length of its descriptors, on a test set."""
    wanted = (test_set, backbone, fc_output_dim)
    return [each for each in PUBLISHED if (each.test_set, each.backbone, each.fc_output_dim) == wanted]
