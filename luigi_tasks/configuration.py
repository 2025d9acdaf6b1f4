"""Checks of the configuration files: names, sections and values that Luigi would ignore or fail on."""

import configparser
import difflib
import logging
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import luigi

from data_manifest.command_line.closest import closest, letters_of
from data_manifest.errors import UserError
from luigi_tasks.command_line import task_names
from luigi_tasks.parameters import CONFIG_SECTION, PLACES

OUR_SECTIONS = (CONFIG_SECTION, "dask")
STAGES = ("training", "evaluation", "groups", "manifest")
LUIGI_SECTIONS = ("core", "worker", "scheduler", "retcode", "resources", "execution_summary", "logging", "task_history")
MIN_SIMILARITY = 0.8  # of names of sections
CONFIG_PATH = "LUIGI_CONFIG_PATH"
logger = logging.getLogger(__name__)


def check_configuration() -> None:
    """Check the configuration files, and warn of misspelled sections of Luigi.

    Raises:
        UserError: A file is missing or unreadable, a value cannot be expanded, or a parameter would be ignored because
            of its name or section.
    """
    if (path := os.environ.get(CONFIG_PATH)) and not Path(path).is_file():
        raise UserError(f"{CONFIG_PATH} = {path}: no such file. Correct or unset the variable.")
    for file in _files():
        _read_lines(file)
    configuration = luigi.configuration.get_config()
    in_toml = getattr(configuration, "data", None)
    defaults = {} if in_toml else configuration.defaults()
    sections = in_toml or {section: configuration.options(section) for section in configuration.sections()}
    names = {section: [name for name in options if name not in defaults] for section, options in sections.items()}
    for section in names:
        if section in OUR_SECTIONS:
            _check_names(section, names[section])
        elif section != "resources" and (meant := _section_meant(section, names[section])):
            raise UserError(f"{_place(section)} is not read. Parameters go in [{meant}].")
        elif similar := _similar_section(section):
            logger.warning("WARNING: %s is not read. Closest: [%s].", _place(section), similar)
    if not in_toml:
        _check_defaults(configuration, names)
        _check_values(configuration, names)


def _similar_section(section: str) -> str | None:
    """Return the section of Luigi that an unknown section may be meant for."""
    name = section.replace("-", "_")  # both are read
    found = [] if name in LUIGI_SECTIONS else difflib.get_close_matches(name, LUIGI_SECTIONS, 1, MIN_SIMILARITY)
    return found[0] if found else None


def _check_names(section: str, names: Iterable[str]) -> None:
    for name in names:
        if (section, name) not in PLACES.values():
            found = [name] if name in PLACES else closest(name, PLACES)
            its_section, its_name = PLACES[found[0]] if found else ("", "")
            advice = (
                f" Closest: {its_name if its_section == section else f'[{its_section}] {its_name}'}." if found else ""
            )
            raise UserError(f"{_place(section, name)}: no such parameter.{advice}")


def _section_meant(section: str, names: Collection[str]) -> str | None:
    """Return the section of ours that an unknown one was meant to be, or None if it belongs to Luigi or others."""
    for ours in OUR_SECTIONS:
        if ours in letters_of(section) or closest(section, [ours], MIN_SIMILARITY):
            return ours
    is_like_a_task = letters_of(section) in STAGES or closest(section, task_names(), MIN_SIMILARITY)
    return CONFIG_SECTION if is_like_a_task or (names and set(names) <= PLACES.keys()) else None


def _check_defaults(configuration: configparser.ConfigParser, names: dict[str, list[str]]) -> None:
    """Check that [DEFAULT] has no parameters, which would be ignored in a file without [cosplace]."""
    values = [_raw(configuration, section, name) for section in names for name in names[section]]
    referenced = set(re.findall(r"%\((.+?)\)s", "\n".join(values)))
    for name in configuration.defaults():
        if name not in referenced and closest(name, PLACES, MIN_SIMILARITY):
            raise UserError(f"{_place('DEFAULT', name)} is not supported. Parameters go in [{CONFIG_SECTION}].")


def _check_values(configuration: configparser.ConfigParser, names: dict[str, list[str]]) -> None:
    """Check that all values can be expanded, those of [DEFAULT] first."""
    for section in names.keys() & {*OUR_SECTIONS, "core"}:
        for name in (*configuration.defaults(), *names[section]):
            try:
                configparser.ConfigParser.get(configuration, section, name)
            except configparser.InterpolationError as error:
                place = _place(section if name in names[section] else "DEFAULT", name)
                raw = _raw(configuration, section, name)
                raise UserError(f"{place} = {raw}: {_explain(error, raw)}") from None


def _raw(configuration: configparser.ConfigParser, section: str, name: str) -> str:
    return configparser.ConfigParser.get(configuration, section, name, raw=True)


def _explain(error: configparser.InterpolationError, raw: str) -> str:
    if isinstance(error, configparser.InterpolationSyntaxError):
        return "write %% for a percent sign."
    if isinstance(error, configparser.InterpolationMissingOptionError):
        return f"{error.reference} is not set."
    missing = [name for name in re.findall(r"\$\{(.+?)\}", raw) if name not in os.environ]
    return f"the environment variable {missing[0]} is not set." if missing else error.message


def _place(section: str, name: str = "") -> str:
    """Return where a section or a name was last set, as in `luigi.cfg, line 3: [cosplace] M`."""
    what = f"[{section}] {name}".rstrip()
    for file in reversed(_files()):
        is_inside = False
        for number, line in enumerate(_read_lines(file), 1):
            header = configparser.ConfigParser.SECTCRE.match(line.strip())
            is_inside = header["header"] == section if header else is_inside
            if is_inside and (re.match(rf"\s*{re.escape(name)}\s*[=:]", line) if name else header):
                return f"{file}, line {number}: {what}"
    return what


def _files() -> list[str]:
    """Return the configuration files that Luigi reads, in its order: later ones win."""
    return [path for path in luigi.configuration.get_config()._config_paths if Path(path).exists()]


def _read_lines(file: str) -> list[str]:
    """Return the lines of a file; raises UserError if it cannot be read, which Luigi would ignore."""
    try:
        return Path(file).read_text(errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
