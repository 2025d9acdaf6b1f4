"""The Luigi tasks: `luigi --module workflows TrainCosPlace --dataset-folder sf-xl/processed`.

Each task labels a plain function of `pipeline`, `training` or `evaluation`, and is complete when the artifact of that
function is published. torch and faiss take seconds to import, so they are imported where they are used.
"""

from luigi_tasks.configuration import check_configuration
from luigi_tasks.data.groups import BuildGroups, PackGroups
from luigi_tasks.data.manifests import BuildManifest, SplitDataset, VerifyImages
from luigi_tasks.data.panoramas import CropPanoramas
from luigi_tasks.evaluation import EvaluateCosPlace, ExtractDescriptors, WriteReport
from luigi_tasks.export import ExportModel
from luigi_tasks.training.train_cosplace import TrainCosPlace
from luigi_tasks.training.train_seeds import TrainSeeds

check_configuration()

__all__ = [
    "BuildGroups",
    "BuildManifest",
    "CropPanoramas",
    "EvaluateCosPlace",
    "ExportModel",
    "ExtractDescriptors",
    "PackGroups",
    "SplitDataset",
    "TrainCosPlace",
    "TrainSeeds",
    "VerifyImages",
    "WriteReport",
]
