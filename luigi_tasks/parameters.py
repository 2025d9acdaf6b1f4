"""Luigi parameters generated from the settings classes, which hold their defaults, help texts and types.

All parameters are read from the section [cosplace] of the configuration, whichever task they belong to.
"""

import dataclasses
import shlex
import typing
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import luigi

from data_manifest.settings import Settings, value_of

CONFIG_SECTION = "cosplace"
OTHER_PLACES = {"dask_scheduler": ("dask", "scheduler")}  # section and name of parameters of other sections
INSIGNIFICANT = (  # parameters that never change an artifact, so that they do not make another task
    *("rescan", "device", "num_workers", "num_processes", "augmentation_device", "compile", "max_skipped_share"),
    *("infer_batch_size", "dask_scheduler", "checkpoint_minutes", "checkpoint_iterations", "tensorboard"),
    *("cudnn_benchmark", "train_new"),
)
PLACES: dict[str, tuple[str, str]] = {}  # section and name in the configuration of each parameter that a task takes
TaskKind = TypeVar("TaskKind", bound=luigi.Task)


class SettingParameter(luigi.Parameter[Any]):
    """A field of a settings class as a Luigi parameter."""

    def __init__(self, field: dataclasses.Field[Any], hint: Any) -> None:
        default = "none" if field.default is None else str(field.default).lower() if hint is bool else field.default
        choices = f"; one of {', '.join(field.metadata['choices'])}" if field.metadata["choices"] else ""
        section, name = self.place = OTHER_PLACES.get(field.name, (CONFIG_SECTION, field.name))
        super().__init__(
            default=field.default,
            description=f"{field.metadata['help']} [{default}{choices}]".replace("%", "%%"),
            config_path={"section": section, "name": name},
            significant=field.name not in INSIGNIFICANT,
        )
        self.field, self.hint = field, hint

    def parse(self, x: Any) -> Any:
        """Return the value of a text from the command line or a configuration file."""
        return value_of(self.field, x, self.hint)

    normalize = parse  # makes 10 and 10.0 one task

    def serialize(self, x: Any) -> str:
        """Return a value as a text that `parse` understands."""
        return "" if x is None else str(x)

    def _parser_kwargs(self, param_name: str, task_name: str | None = None) -> dict[str, Any]:  # type: ignore[override]
        """Accept `--train-all-layers` for `--train-all-layers true`."""
        flag = {"nargs": "?", "const": "true"} if self.hint is bool else {}
        return {**super()._parser_kwargs(param_name, task_name), **flag}


def _parameters_of(kind: type[Settings]) -> dict[str, SettingParameter]:
    hints = typing.get_type_hints(kind)
    return {field.name: SettingParameter(field, hints[field.name]) for field in dataclasses.fields(kind)}


def takes(*kinds: type[Settings], insignificant: Collection[str] = ()) -> Callable[[type[TaskKind]], type[TaskKind]]:
    """Give a task the parameters of these settings classes; insignificant ones do not make another task."""

    def decorate(task: type[TaskKind]) -> type[TaskKind]:
        task.kinds = kinds  # type: ignore[attr-defined]
        for kind in kinds:
            for name, parameter in _parameters_of(kind).items():
                assert not callable(getattr(task, name, None)), f"{task.__name__}: parameter {name} hides a method"
                parameter.significant &= name not in insignificant
                setattr(task, name, parameter)
                parameter.__set_name__(task, name)  # Python calls it only in a class body
                PLACES[name] = parameter.place
        return task

    return decorate


def command_of(task: luigi.Task, leave_out: Collection[str] = ()) -> str:
    """Return the command line of a task, with every parameter that is not at its default or left out."""
    words = ["luigi", "--module", "workflows", task.task_family]
    for name, parameter in task.get_params():
        value = getattr(task, name)
        if value != parameter.field.default and name not in leave_out:
            option, text = f"--{name.replace('_', '-')}", parameter.serialize(value)
            words += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return shlex.join(words)
