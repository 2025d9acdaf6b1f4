"""The Luigi tasks: `luigi --module workflows TrainCosPlace --dataset-folder sf-xl/processed`.

A task is a label on a plain function of `pipeline`, `training` or `evaluation`, and is complete when that function's
artifact is published. What takes seconds to import (torch, faiss) is imported where it is used.
"""

from luigi_tasks.configuration import check_configuration, warn_of_unread_sections
from luigi_tasks.data import BuildGroups, BuildManifest, CropPanoramas, SplitDataset, VerifyImages
from luigi_tasks.evaluation import EvaluateCosPlace, ExtractDescriptors, WriteReport
from luigi_tasks.training import TrainCosPlace, TrainSeeds

check_configuration()
warn_of_unread_sections()

__all__ = [
    "BuildGroups",
    "BuildManifest",
    "CropPanoramas",
    "EvaluateCosPlace",
    "ExtractDescriptors",
    "SplitDataset",
    "TrainCosPlace",
    "TrainSeeds",
    "VerifyImages",
    "WriteReport",
]
