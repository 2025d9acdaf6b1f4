"""Settings of a stage: frozen dataclasses that convert and check their values when made.

`"10"`, `10` and `10.0` must give the same setting, because artifacts are reused by a digest of the settings.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from data_manifest.command_line.closest import closest
from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.images.images_folder import ImagesUrl, as_images_folder, is_url

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def setting(
    default: Any,
    help_text: str,
    choices: tuple[str, ...] = (),
    form: Callable[[Any], Any] | None = None,
    added_later: bool = False,
) -> Any:
    """Return a dataclass field with its help text and the values that it accepts.

    Args:
        default: The default value.
        help_text: What the setting does, with its unit.
        choices: The accepted values; any value of the type if empty.
        form: Converts equivalent values to one value, and raises ValueError with the rule that a value breaks.
        added_later: Omit the field from `as_dict` at its default, so that artifacts built before it keep their digests.
    """
    metadata = {"help": help_text, "choices": choices, "form": form, "added_later": added_later}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class of settings: subclasses declare fields with `setting` and override `check`."""

    title: ClassVar[str]  # of the group of flags in a command's help

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = value_of(field, getattr(self, field.name), hints[field.name])
            check_choice(field.name, value, field.metadata.get("choices", ()))
            object.__setattr__(self, field.name, value)
        self.check_values()

    def check_values(self) -> None:
        """Call `check`; override this where a field is called `check`."""
        self.check()

    def check(self) -> None:
        """Raise UserError, with field, value and rule, if the values cannot work."""

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON types."""
        return {
            field.name: _plain(value)
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default or not field.metadata.get("added_later")
        }


def flag_of(name: str) -> str:
    """Return the flag of a setting, as in --fc-output-dim."""
    return f"--{name.replace('_', '-')}"


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise UserError, with the closest choice, if there are choices and a value is none of them."""
    if choices and value not in choices:
        found = closest(str(value), choices)[:1]
        advice = f". Closest: {found[0]}" if found else ""
        raise UserError(f"{name} = {value!r}: choose one of {', '.join(choices)}{advice}")


def value_of(field: dataclasses.Field[Any], value: Any, hint: Any) -> Any:
    """Convert a value to a field's type and form; a choice may be written in any case.

    Raises:
        UserError: The value is invalid for the field.
    """
    typed = normalise(field.name, value, hint)
    choices = field.metadata.get("choices", ())
    typed = next((choice for choice in choices if choice.lower() == str(typed).lower()), typed)
    form = field.metadata.get("form")
    if form is None or typed is None:
        return typed
    try:
        return form(typed)
    except ValueError as error:
        raise UserError(f"{field.name} = {value!r}: {error}") from error


def normalise(name: str, value: Any, hint: Any) -> Any:
    """Convert a value to its annotated type: `"3"` to 3 for int, 1 to 1.0 for float, `""` to None for an optional.

    Raises:
        UserError: The value cannot be converted.
    """
    if isinstance(hint, types.UnionType):
        if value is None or value == "":
            return None
        hint = first_type(hint)  # others, such as int in `ImageSize | int`, are accepted
    if hint is Path and is_url(value):
        raise UserError(f"{name} = {value}: must be on this machine. Only images can be at a URL.")
    try:
        return _CONVERTERS[hint](value)
    except UserError:  # of a URL
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{name} = {value!r}: expected {_EXPECTED[hint]}") from error


def first_type(hint: Any) -> Any:
    """Return the first type of a union, which values are converted to; other types as they are."""
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _plain(value: Any) -> Any:
    if isinstance(value, ImageSize):
        return value.plain
    return str(value) if isinstance(value, Path | ImagesUrl) else value


def _to_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not float(value).is_integer():
        raise ValueError(value)
    try:
        return int(value)  # exact: a float would round large numbers
    except ValueError:
        return int(float(value))


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def _to_str(value: Any) -> str:
    if value is None:
        raise ValueError(value)
    return str(value)


def _to_path(value: Any) -> Path:
    if value == "":  # Path("") would be the working directory
        raise ValueError(value)
    return Path(value)


_CONVERTERS: dict[Any, Any] = {
    **{bool: _to_bool, int: _to_int, float: _to_float, str: _to_str, Path: _to_path},
    **{ImageSize: ImageSize.of, ImagesUrl: as_images_folder},
}
_EXPECTED = {
    **{bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"},
    ImagesUrl: "a path or a URL",
    ImageSize: "a size in pixels, as in 512, or 480x640 for 480 rows of 640 columns",
}
