"""Luigi parameters made from the settings classes: one home of defaults, help texts and types.

All are read from the section [cosplace] of the configuration, whichever task they are given to.
"""

import dataclasses
import shlex
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import luigi
from luigi.util import inherits

from data_manifest.settings import Settings, value_of
from evaluation.report.settings import ReportSettings
from evaluation.settings import ChosenSets, EvaluationSettings, RetrievalSettings
from pipeline.dataset_layout import DatasetSettings, PartSettings
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.split_manifest import SplitSettings
from pipeline.panoramas.settings import CropFolders, CropSettings
from pipeline.sources.settings import SourceSettings
from pipeline.verification.settings import CheckSettings, VerifiedSettings, VerifySettings
from training.data.settings import AugmentationSettings
from training.network.settings import NetworkSettings
from training.settings import ChosenGroups, RuntimeSettings, SeedsSettings, TrainingSettings

CONFIG_SECTION = "cosplace"
ELSEWHERE = {"dask_scheduler": ("dask", "scheduler")}  # section and name of parameters that are not in that section
UNIMPORTANT = (  # never change what is made
    *("rescan", "device", "num_workers", "num_processes", "augmentation_device", "compile", "max_skipped_share"),
    *("infer_batch_size", "dask_scheduler", "checkpoint_minutes", "checkpoint_iterations", "tensorboard"),
    "cudnn_benchmark",
)
TRAINING_KINDS: tuple[type[Settings], ...] = (
    *(DatasetSettings, SourceSettings, SplitSettings, GroupSettings, ChosenGroups, NetworkSettings),
    *(AugmentationSettings, TrainingSettings, EvaluationSettings, RuntimeSettings, ClusterSettings),
    *(VerifiedSettings, VerifySettings),
)
KINDS: tuple[type[Settings], ...] = (
    *(PartSettings, ChosenSets, RetrievalSettings, CheckSettings, CropFolders, CropSettings, ReportSettings),
    SeedsSettings,
    *TRAINING_KINDS,
)
TaskKind = TypeVar("TaskKind", bound=luigi.Task)


def place_of(parameter: str) -> tuple[str, str]:
    """Return the section and the name that a parameter has in the configuration."""
    return ELSEWHERE.get(parameter, (CONFIG_SECTION, parameter))


PLACES = {field.name: place_of(field.name) for kind in KINDS for field in dataclasses.fields(kind)}


class SettingParameter(luigi.Parameter[Any]):
    """A field of a settings class as a Luigi parameter, with its default, its help text and its type."""

    def __init__(self, field: dataclasses.Field[Any], hint: Any) -> None:
        shown = "none" if field.default is None else str(field.default).lower() if hint is bool else field.default
        choices = f"; one of {', '.join(field.metadata['choices'])}" if field.metadata["choices"] else ""
        section, name = place_of(field.name)
        super().__init__(
            default=field.default,
            description=f"{field.metadata['help']} [{shown}{choices}]".replace("%", "%%"),
            config_path={"section": section, "name": name},
            significant=field.name not in UNIMPORTANT,
        )
        self.field, self.hint = field, hint

    def parse(self, x: Any) -> Any:
        """Return a command line's or configuration's text as a value."""
        return value_of(self.field, x, self.hint)

    normalize = parse  # 10 and 10.0 are one task

    def serialize(self, x: Any) -> str:
        """Return a value as text that `parse` understands."""
        return "" if x is None else str(x)

    def _parser_kwargs(self, param_name: str, task_name: str | None = None) -> dict[str, Any]:  # type: ignore[override]
        """Let `--train-all-layers` mean `--train-all-layers true`."""
        flag = {"nargs": "?", "const": "true"} if self.hint is bool else {}
        return {**super()._parser_kwargs(param_name, task_name), **flag}


def parameters_of(settings: type[Settings]) -> type[luigi.Task]:
    """Return a holder of a Luigi parameter for each field of a settings class.

    Its name must not begin as a parameter does: argparse takes --N for short of --NetworkSettings...
    """
    hints = typing.get_type_hints(settings)
    members = {field.name: SettingParameter(field, hints[field.name]) for field in dataclasses.fields(settings)}
    return type(f"ParametersOf{settings.__name__}", (luigi.Task,), members)


HOLDERS = {kind: parameters_of(kind) for kind in KINDS}


def takes(*kinds: type[Settings]) -> Callable[[type[TaskKind]], type[TaskKind]]:
    """Give a task the parameters of settings classes, which it keeps in `kinds`."""

    def decorate(task: type[TaskKind]) -> type[TaskKind]:
        hidden = {field.name for kind in kinds for field in dataclasses.fields(kind)} & vars(task).keys()
        assert not hidden, f"{task.__name__}: methods hide parameters: {hidden}"
        task.kinds = kinds  # type: ignore[attr-defined]
        inheriting: type[TaskKind] = inherits(*(HOLDERS[kind] for kind in kinds))(task)
        return inheriting

    return decorate


def command_of(task: luigi.Task) -> str:
    """Return the command line that asks for a task, with every parameter that is not at its default."""
    words = ["luigi", "--module", "workflows", task.task_family]
    for name, parameter in task.get_params():
        value = getattr(task, name)
        if value != parameter.field.default:
            option, said = f"--{name.replace('_', '-')}", parameter.serialize(value)
            words += [f"{option}={said}"] if said.startswith("-") else [option, said]
    return shlex.join(words)
