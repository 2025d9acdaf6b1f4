"""`cosplace config`: a configuration file with every setting, its default and its help."""

import argparse
import textwrap
from pathlib import Path

from cosplace.commands import TASKS
from data_manifest.errors import UserError

WIDTH = 118  # characters of a comment
HEAD = """\
# Settings of cosplace and of luigi --module workflows. The command line overrides them.
# cosplace takes this file by --config FILE; both read luigi.cfg in the working directory.
"""


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cosplace config`."""
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="new file [the terminal]")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the file, or print its text.

    Raises:
        UserError: The file exists, or cannot be written.
    """
    if options.file is None:
        print(config_text(), end="")
        return
    try:
        with options.file.open("x") as file:
            file.write(config_text())
    except FileExistsError:
        raise UserError(f"{options.file} exists. Choose another name, or remove it.") from None
    except OSError as error:
        raise UserError(f"{options.file} cannot be written: {error.strerror}.") from error


def config_text() -> str:
    """Return the text of a configuration file in which every setting has its default."""
    import workflows  # noqa: F401 -- registers the tasks
    from luigi_tasks.parameters import SettingParameter, parameters_of

    parameters: dict[str, SettingParameter] = {}
    for task in ("TrainCosPlace", *TASKS.values()):
        parameters = {**parameters_of(task), **parameters}
    sections: dict[str, dict[str, list[str]]] = {}
    for parameter in parameters.values():
        section, name = parameter.place
        value = parameter.serialize(parameter.field.default).replace("%", "%%")
        text = str(parameter.description).replace("%%", "%")
        comment = textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines = [*comment, f"{name} = {value}".rstrip()]
        sections.setdefault(section, {}).setdefault(parameter.title, []).extend(lines)
    return HEAD + "\n".join(map(_section_text, sections, sections.values()))


def _section_text(section: str, groups: dict[str, list[str]]) -> str:
    texts = [f"\n# {title}\n" + "\n".join(lines) + "\n" for title, lines in groups.items()]
    return f"\n[{section}]\n" + "".join(texts)
