"""References to methods: a name, REPO:ENTRY of torch.hub, or FILE.py:FUNCTION. Imports no torch."""

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from methods.named_methods import NAMED_METHODS, name_of

GITHUB = re.compile(r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(?::(?P<ref>[\w./-]+))?")
CALL = re.compile(r"(?P<head>[^(]*?)(?:\((?P<arguments>.*)\))?")  # head and optional arguments
CONSTANTS = {"true": True, "false": False, "none": None}  # as text, "false" would be true
HUB_FORM = "REPO:ENTRY, as in owner/name:entry, or folder:entry(name=value)"
FILE_FORM = "FILE.py:FUNCTION, as in network.py:build"


@dataclass(frozen=True)
class Entry:
    """A function that returns a network, with its arguments."""

    source: str  # a GitHub repository, a folder with hubconf.py, or a Python file
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)  # JSON types
    name: str = ""  # of a named method

    @property
    def is_file(self) -> bool:
        """True if the function is in a Python file of the user, not in a hubconf.py."""
        return self.source.endswith(".py")

    @property
    def github(self) -> re.Match[str] | None:
        """Owner, name and ref of a repository on GitHub; None if the source is on this machine."""
        return None if self.is_file or Path(self.source).is_dir() else GITHUB.fullmatch(self.source)

    @property
    def shown(self) -> str:
        """The name, or source and function without the folders above, for recipes and messages."""
        source = self.source if self.github else Path(self.source).resolve().name
        return self.name or f"{source}:{self.function}"

    @property
    def stated(self) -> dict[str, Any]:
        """The entry in a recipe."""
        source = self.source if self.github else Path(self.source).resolve().name
        return {"source": source, "function": self.function, "arguments": dict(self.arguments)}

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.function}({arguments}) of {self.source}"


def entry_of(reference: str) -> Entry | None:
    """Return the entry that a model's text means; None if it is a path or anything but a method.

    Raises:
        UserError: The text names a method, but is wrong.
    """
    if "/" not in reference and (name := name_of(reference)) is not None:  # ./MegaLoc is a folder
        row = NAMED_METHODS[name]
        return Entry(row.repository, row.entry, row.arguments, name)
    if os.path.exists(reference) or ":" not in reference:  # noqa: PTH110 -- Path drops a last slash
        return None
    head = reference.partition("(")[0]
    return entry_of_file(reference) if re.search(r"\.py:", head) else entry_of_hub(reference)


def entry_of_hub(reference: str) -> Entry:
    """Return the entry of REPO:ENTRY(name=value,...); raises UserError if it is wrong."""
    entry = _parse("hub", reference, HUB_FORM)
    if Path(entry.source).is_dir():
        if not Path(entry.source, "hubconf.py").is_file():
            raise UserError(f"hub = {reference}: no hubconf.py in the folder {entry.source}.")
    elif not GITHUB.fullmatch(entry.source):
        raise UserError(f"hub = {reference}: {entry.source} is neither a folder nor owner/name of a GitHub repository.")
    return entry


def entry_of_file(reference: str) -> Entry:
    """Return the entry of FILE.py:FUNCTION(name=value,...); raises UserError if it is wrong."""
    entry = _parse("method_module", reference, FILE_FORM)
    if not entry.is_file:
        raise UserError(f"method_module = {reference}: {entry.source} is not a Python file. Expected {FILE_FORM}.")
    if not Path(entry.source).is_file():
        raise UserError(f"method_module = {reference}: no file {entry.source}.")
    return entry


def _parse(setting: str, reference: str, form: str) -> Entry:
    found = CALL.fullmatch(reference.strip())
    source, colon, function = found["head"].strip().rpartition(":") if found else ("", "", "")
    if found is None or not (source and colon and function.isidentifier()):
        raise UserError(f"{setting} = {reference}: expected {form}.")
    try:
        return Entry(source, function, _arguments(found["arguments"] or ""))
    except (SyntaxError, ValueError) as error:
        message = f"{setting} = {reference}: the arguments are not name=value, separated by commas."
        raise UserError(message) from error


def _arguments(text: str) -> dict[str, Any]:
    """Return the arguments of `name=value,...`; a bare word is a text, except for true, false and none."""
    call = ast.parse(f"f({text})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args or any(each.arg is None for each in call.keywords):
        raise ValueError(text)
    return {str(each.arg): _value(each.value) for each in call.keywords}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return CONSTANTS.get(node.id, node.id)
    return ast.literal_eval(node)
