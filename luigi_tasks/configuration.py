"""Checks of the configuration files: sections, names and values that Luigi would ignore or fail on."""

import configparser
import difflib
import functools
import logging
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import luigi
from luigi.task_register import Register

from data_manifest.errors import UserError
from luigi_tasks.parameters import CONFIG_SECTION, PLACES

# Luigi's sections that have no class, or one in a module that is imported later.
LUIGI_SECTIONS = (
    *("retcode", "cors", "resources", "logging", "task_history", "batch_notifier", "prometheus", "datadog"),
    *("artifactory", "azureblob", "bigquery", "dataproc", "dockerconfig", "elasticsearch", "gcs", "hadoop"),
    *("hadoopcli", "hdfs", "hive", "kubernetes", "mongodb", "mssql", "mysql", "OpenPai", "pig", "postgres"),
    *("presto", "pyspark", "redis", "redshift", "s3", "salesforce", "sge", "spark", "sqlalchemy", "webhdfs"),
)
OUR_SECTIONS = sorted({section for section, _ in PLACES.values()})
STAGE_SECTIONS = ("training", "evaluation", "groups", "manifest")  # unknown sections that were meant for this pipeline
NEAR, NEAR_SECTION = 0.6, 0.8  # least ratios of difflib: cosplce and cosplace have 0.93, task and dask 0.75
CONFIG_PATH = "LUIGI_CONFIG_PATH"
logger = logging.getLogger(__name__)


def check_configuration() -> None:
    """Check the sections, names and values of the configuration files that concern this pipeline.

    Raises:
        UserError: A file is missing or unreadable, a value cannot be expanded, or a value would be ignored: it has an
            unknown name, or is in a section that was meant for this pipeline.
    """
    if (path := os.environ.get(CONFIG_PATH)) and not Path(path).is_file():
        raise UserError(f"{CONFIG_PATH} = {path}: no such file. Correct or unset the variable.")
    for path in _paths():
        _lines(path)
    sections = _names_by_section()
    _check_default_section(sections)
    for section, names in sections.items():
        if section in OUR_SECTIONS:
            _check_names(section, names)
        elif not _is_luigis(section) and (meant := _section_meant(section, names)):
            raise UserError(f"{_place(section)} is not read. Parameters go in [{meant}].")
    _check_values()


def warn_of_unread_sections() -> None:
    """Log a warning for each section that neither this pipeline nor Luigi reads."""
    for section in _names_by_section():
        if section not in OUR_SECTIONS and not _is_luigis(section):
            closest = nearest(section, luigi_sections(), NEAR_SECTION)
            advice = f"Closest: [{closest[0]}]." if closest else f"Our parameters go in [{CONFIG_SECTION}]."
            logger.warning("WARNING: %s is read by neither Luigi nor this pipeline. %s", _place(section), advice)


@functools.cache  # Luigi walks all classes each time
def luigi_sections() -> set[str]:
    """Return the sections that Luigi reads: one for each of its Config classes, and those without a class."""
    classes = (Register.get_task_cls(name) for name in Register.task_names())
    return {each.__name__ for each in classes if issubclass(each, luigi.Config)} | set(LUIGI_SECTIONS)


def _is_luigis(section: str) -> bool:
    return section.replace("-", "_") in luigi_sections()  # older files have dashes


def task_names() -> list[str]:
    """Return the names of this pipeline's tasks."""
    classes = (Register.get_task_cls(name) for name in Register.task_names())
    return [each.__name__ for each in classes if getattr(each, "kinds", ())]


def nearest(word: str, known: Collection[str], least: float = NEAR) -> list[str]:
    """Return the known words that are like a word, the nearest first; case and punctuation do not count."""
    by_letters = {_letters(each): each for each in known}
    return [by_letters[each] for each in difflib.get_close_matches(_letters(word), by_letters, cutoff=least)]


def _letters(word: str) -> str:
    return re.sub(r"[\W_]", "", word).lower()


def _section_meant(section: str, names: Collection[str]) -> str | None:
    """Return our section that an unknown one was meant to be, by its name or the names in it, or None."""
    for ours in OUR_SECTIONS:
        if ours in _letters(section) or nearest(section, [ours], NEAR_SECTION):
            return ours
    is_like_a_task = nearest(section, (*task_names(), *STAGE_SECTIONS), NEAR_SECTION)
    return CONFIG_SECTION if is_like_a_task or (names and set(names) <= PLACES.keys()) else None


def _check_names(section: str, names: Collection[str]) -> None:
    for name in names:
        if (section, name) not in PLACES.values():
            raise UserError(f"{_place(section, name)}: no such parameter.{_closest_parameter(name, section)}")


def _closest_parameter(name: str, section: str) -> str:
    found = [PLACES[name]] if name in PLACES else [PLACES[each] for each in nearest(name, PLACES)]
    if not found:
        return ""
    its_section, its_name = found[0]
    return f" Closest: {its_name}." if its_section == section else f" Closest: [{its_section}] {its_name}."


def _check_default_section(sections: Mapping[str, Collection[str]]) -> None:
    """Check that [DEFAULT] has no parameters: they would be ignored unless [cosplace] exists too."""
    values = (_raw(section, name) for section, names in sections.items() for name in names)
    used = set(re.findall(r"%\((.+?)\)s", "\n".join(values)))
    for name in luigi.configuration.get_config().defaults():
        if name not in used and nearest(name, PLACES, NEAR_SECTION):
            raise UserError(f"{_place('DEFAULT', name)} is not supported. Parameters go in [{CONFIG_SECTION}].")


def _check_values() -> None:
    """Check that references in the values can be resolved: a single % starts one."""
    configuration = luigi.configuration.get_config()
    for section in configuration.sections():  # none in TOML, which has no references
        if section not in OUR_SECTIONS and not _is_luigis(section):
            continue
        defaults = configuration.defaults()
        for name in sorted(configuration.options(section), key=lambda name: name not in defaults):
            try:
                configparser.ConfigParser.get(configuration, section, name)
            except configparser.InterpolationError as error:
                place, raw = _place("DEFAULT" if name in defaults else section, name), _raw(section, name)
                raise UserError(f"{place} = {raw}: {_unresolved(error, raw)}") from None


def _unresolved(error: configparser.InterpolationError, raw: str) -> str:
    """Return why the references in a value cannot be resolved."""
    if isinstance(error, configparser.InterpolationSyntaxError):
        return "write %% for a percent sign."
    if isinstance(error, configparser.InterpolationMissingOptionError):
        return f"{error.reference} is not set."
    missing = [name for name in re.findall(r"\$\{(.+?)\}", raw) if name not in os.environ]
    return f"the environment variable {missing[0]} is not set." if missing else error.message


def _raw(section: str, name: str) -> str:
    """Return a value as it is in the file."""
    configuration = luigi.configuration.get_config()
    if in_toml := getattr(configuration, "data", None):
        return str(in_toml[section][name])
    return configparser.ConfigParser.get(configuration, section, name, raw=True)


def _names_by_section() -> dict[str, list[str]]:
    """Return the names in each section, without those of [DEFAULT]."""
    configuration = luigi.configuration.get_config()
    if in_toml := getattr(configuration, "data", None):
        return {section: list(values) for section, values in in_toml.items()}
    defaults = configuration.defaults()
    return {
        section: [name for name in configuration.options(section) if name not in defaults]
        for section in configuration.sections()
    }


def _place(section: str, name: str = "") -> str:
    """Return where a section, or a name in it, was set last, as in `luigi.cfg, line 3: [cosplace] M`."""
    what = f"[{section}] {name}".rstrip()
    for path in reversed(_paths()):
        inside = False
        for number, line in enumerate(_lines(path), 1):
            header = configparser.ConfigParser.SECTCRE.match(line.strip())
            inside = header["header"] == section if header else inside
            is_name = re.match(rf"\s*{re.escape(name)}\s*[=:]", line) if name else header
            if inside and is_name:
                return f"{path}, line {number}: {what}"
    return what


def _paths() -> list[str]:
    """Return the configuration files that Luigi reads, those that win last."""
    return [path for path in luigi.configuration.get_config()._config_paths if Path(path).exists()]


def _lines(path: str) -> list[str]:
    """Return the lines of a configuration file: Luigi passes over one that it cannot read.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
