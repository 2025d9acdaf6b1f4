"""Luigi parameters generated from the settings classes, which hold their defaults, help texts and types.

All parameters are read from the section [cosplace] of the configuration, whichever task they belong to.
"""

import dataclasses
import re
import shlex
import typing
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import luigi
from luigi.task_register import Register

from data_manifest.settings import Settings, first_type, flag_of, value_of

CONFIG_SECTION = "cosplace"
MAX_SHOWN_CHOICES = 6  # in short descriptions
OTHER_PLACES = {"dask_scheduler": ("dask", "scheduler")}  # section and name of parameters of other sections
INSIGNIFICANT = (  # parameters that never change an artifact, so that they do not make another task
    *("rescan", "device", "num_workers", "num_processes", "augmentation_device", "compile", "max_skipped_share"),
    *("infer_batch_size", "dask_scheduler", "checkpoint_minutes", "checkpoint_iterations", "tensorboard"),
    *("cudnn_benchmark", "gradient_checkpointing", "shard_classifier", "train_new", "trust_repo"),
    *("cache_folder", "cache_gb"),
)
PLACES: dict[str, tuple[str, str]] = {}  # section and name in the configuration of each parameter that a task takes
TaskKind = TypeVar("TaskKind", bound=luigi.Task)


class SettingParameter(luigi.Parameter[Any]):
    """A field of a settings class as a Luigi parameter, with the title of its group in the help."""

    def __init__(self, field: dataclasses.Field[Any], hint: Any, title: str) -> None:
        default = "none" if field.default is None else str(field.default).lower() if hint is bool else field.default
        choices = f"; one of {', '.join(field.metadata['choices'])}" if field.metadata["choices"] else ""
        section, name = self.place = OTHER_PLACES.get(field.name, (CONFIG_SECTION, field.name))
        super().__init__(
            default=field.default,
            description=f"{field.metadata['help']} [{default}{choices}]".replace("%", "%%"),
            config_path={"section": section, "name": name},
            significant=field.name not in INSIGNIFICANT,
        )
        self.field, self.hint, self.title = field, hint, title

    @property
    def short_description(self) -> str:
        """The first part of the description, for help that fits on one screen."""
        text = re.split(r"[;:] |\. ", self.field.metadata["help"])[0].replace("%", "%%")
        default, choices = self.field.default, self.field.metadata["choices"]
        others = [choice for choice in choices if choice != default] if len(choices) <= MAX_SHOWN_CHOICES else []
        default_text = f"{default}; or {', '.join(others)}" if others else f"{default}"
        return text if default is None or default is False else f"{text} [{default_text}]"

    @property
    def type(self) -> Any:
        """The type of a value that is not none."""
        return first_type(self.hint)

    @property
    def flag_options(self) -> dict[str, Any]:
        """Options of the argument parser that make `--train-all-layers` mean `--train-all-layers true`."""
        return {"nargs": "?", "const": "true"} if self.hint is bool else {}

    def parse(self, x: Any) -> Any:
        """Return the value of a text from the command line or a configuration file."""
        return value_of(self.field, x, self.hint)

    normalize = parse  # makes 10 and 10.0 one task

    def serialize(self, x: Any) -> str:
        """Return a value as a text that `parse` understands."""
        return "" if x is None else str(x)

    def _parser_kwargs(self, param_name: str, task_name: str | None = None) -> dict[str, Any]:  # type: ignore[override]
        return {**super()._parser_kwargs(param_name, task_name), **self.flag_options}


def parameters_of(task: str) -> dict[str, SettingParameter]:
    """Return the parameters of a task, in the order of its settings classes."""
    return dict(Register.get_task_cls(task).get_params())


def _parameters_from(kind: type[Settings]) -> dict[str, SettingParameter]:
    hints = typing.get_type_hints(kind)
    return {field.name: SettingParameter(field, hints[field.name], kind.title) for field in dataclasses.fields(kind)}


def takes(*kinds: type[Settings], insignificant: Collection[str] = ()) -> Callable[[type[TaskKind]], type[TaskKind]]:
    """Give a task the parameters of these settings classes; insignificant ones do not make another task."""

    def decorate(task: type[TaskKind]) -> type[TaskKind]:
        task.kinds = kinds  # type: ignore[attr-defined]
        for kind in kinds:
            for name, parameter in _parameters_from(kind).items():
                assert not callable(getattr(task, name, None)), f"{task.__name__}: parameter {name} hides a method"
                parameter.significant &= name not in insignificant
                setattr(task, name, parameter)
                parameter.__set_name__(task, name)  # Python calls it only in a class body
                PLACES[name] = parameter.place
        return task

    return decorate


def words_of(name: str, text: str) -> list[str]:
    """Return a parameter and its value as words of a command line."""
    flag = flag_of(name)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def command_of(task: luigi.Task, leave_out: Collection[str] = ()) -> str:
    """Return the command line of a task, with every parameter that is not at its default or left out."""
    words = ["luigi", "--module", "workflows", task.task_family]
    for name, parameter in task.get_params():
        value = getattr(task, name)
        if value != parameter.field.default and name not in leave_out:
            words += words_of(name, parameter.serialize(value))
    return shlex.join(words)
