"""Find published artifacts: by path, by recipe, by digest, or all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.files import modified_ns
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, is_published, read_recipe

MAX_SHOWN = 5
KEYS = {"stage", "name", "digest", "settings", "summary"}


def find_artifact(path: Path) -> Path:
    """Return the folder of the artifact that a path means, symlinks resolved.

    Args:
        path: The artifact's folder, `current`, the folder that holds `current`, or a table in the artifact.

    Raises:
        UserError: The path does not exist, or means no artifact.
    """
    if not path.exists():
        existing = next(parent for parent in (*path.parents, Path()) if parent.exists())
        raise UserError(f"{path}: no such file or folder{_hint(existing, str(existing))}")
    resolved = path.resolve()
    for folder in (resolved, resolved / CURRENT, resolved.parent, resolved.parent.parent):
        if is_published(folder):
            return folder.resolve()
    raise UserError(f"{path} is not a published artifact{_hint(path)}")


def _hint(path: Path, where: str = "it") -> str:
    """Return the current artifacts in a folder, for an error message."""
    below = sorted(link for pattern in ("*", "*/*") for link in path.glob(f"{pattern}/{CURRENT}") if is_published(link))
    more = f", and {len(below) - MAX_SHOWN} more" if len(below) > MAX_SHOWN else ""
    return f"; in {where} there are {', '.join(str(link.parent) for link in below[:MAX_SHOWN])}{more}" if below else ""


def read_recipe_of(artifact: Path, command: str, stages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the recipe of an artifact that a command works on; any stage will do if none is named.

    Raises:
        UserError: The command does not know the artifact's stage, or the recipe is damaged.
    """
    recipe = read_recipe(artifact)
    if not recipe.keys() >= KEYS:
        raise UserError(f"{artifact / RECIPE_FILE} is not a recipe: remove {artifact} and run again")
    if stages and recipe["stage"] not in stages:
        raise UserError(f"{artifact} is of the stage {recipe['stage']}: {command} needs {' or '.join(stages)}")
    return recipe


def find_artifacts(artifacts: Path, stage: str, name: str | None = None) -> list[Path]:
    """Return the published artifacts of a stage and a name, or of any name, newest first."""
    folders = (artifacts / stage).glob("*/*") if name is None else (artifacts / stage / name).glob("*")
    published = [path for path in folders if is_published(path) and not path.is_symlink()]
    return sorted(published, key=lambda path: -modified_ns(path))


def find_recipes(artifacts: Path, stage: str, name: str | None = None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the artifacts that `find_artifacts` returns with their recipes; damaged ones are skipped."""
    for path in find_artifacts(artifacts, stage, name):
        try:
            stored = read_recipe(path)
        except UserError:
            continue
        yield path, stored


def find_by_digest(artifacts: Path, digest: str, *stages: str) -> Path | None:
    """Return the published artifact of one of the stages with a digest, under any name; None if there is none."""
    folders = (path for stage in stages for path in sorted((artifacts / stage).glob(f"*/{digest}")))
    return next(filter(is_published, folders), None)


def list_artifacts(artifacts: Path) -> list[Path]:
    """Return the folders of all published artifacts, sorted by path."""
    recipes = artifacts.glob(f"[!.]*/*/*/{RECIPE_FILE}")
    return sorted(recipe.parent for recipe in recipes if not recipe.parent.is_symlink())


def list_current(artifacts: Path) -> list[Path]:
    """Return the folders that each `current` leads to, sorted by path."""
    links = (link for link in artifacts.glob(f"[!.]*/*/{CURRENT}") if link.is_symlink())
    return sorted(link.parent / link.readlink() for link in links if is_published(link))
