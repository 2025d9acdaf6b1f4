"""The artifact that a path means: its folder, `current`, the folder that holds `current`, or a table in it."""

from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, is_published, read_recipe

SHOWN = 5
KEYS = {"stage", "name", "digest", "settings", "summary"}


def find_artifact(path: Path) -> Path:
    """Return the folder of the artifact that a path means, links followed: what is read stays one artifact.

    Raises:
        UserError: There is no such path, or it means no artifact.
    """
    if not path.exists():
        there = next(parent for parent in (*path.parents, Path()) if parent.exists())
        raise UserError(f"{path}: there is no such file or folder{_hint(there, str(there))}")
    found = path.resolve()
    for folder in (found, found / CURRENT, found.parent, found.parent.parent):  # a table's folder; a file in it
        if is_published(folder):
            return folder.resolve()
    raise UserError(f"{path} is no published artifact{_hint(path)}")


def _hint(path: Path, where: str = "it") -> str:
    """Return what might have been meant: the current artifacts below."""
    below = sorted(link for pattern in ("*", "*/*") for link in path.glob(f"{pattern}/{CURRENT}") if is_published(link))
    more = f", and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
    return f"; in {where} there are {', '.join(str(link.parent) for link in below[:SHOWN])}{more}" if below else ""


def read_recipe_of(artifact: Path, command: str, stages: tuple[str, ...]) -> dict[str, Any]:
    """Return the recipe of an artifact that a command is asked about.

    Raises:
        UserError: It is of a stage that the command does not know, or damaged.
    """
    recipe = read_recipe(artifact)
    if not isinstance(recipe, dict) or not recipe.keys() >= KEYS:
        raise UserError(f"{artifact / RECIPE_FILE} is no recipe: remove {artifact} and run again")
    if recipe["stage"] not in stages:
        raise UserError(f"{artifact} is of the stage {recipe['stage']}: {command} looks into {' and '.join(stages)}")
    return recipe
