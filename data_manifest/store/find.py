"""Find published artifacts: by recipe, by digest, or all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.files import bytes_in, format_bytes, modified_ns
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, Recipe, is_published, read_recipe


def find_artifacts(artifacts: Path, recipe: Recipe, any_name: bool = False) -> list[Path]:
    """Return the published artifacts of a recipe's stage and name, or of any name, the newest first."""
    found = (artifacts / recipe.stage).glob("*/*") if any_name else recipe.folder(artifacts).parent.glob("*")
    published = [path for path in found if is_published(path) and not path.is_symlink()]
    return sorted(published, key=lambda path: -modified_ns(path))


def find_recipes(artifacts: Path, recipe: Recipe, any_name: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give what `find_artifacts` does with the recipes; what is damaged, or gone by now, is passed over."""
    for path in find_artifacts(artifacts, recipe, any_name):
        try:
            stored = read_recipe(path)
        except UserError:
            continue
        yield path, stored


def find_by_digest(artifacts: Path, digest: str, *stages: str) -> Path | None:
    """Return the published artifact of one of some stages, under whatever name it lies; None if it is not there."""
    found = (path for stage in stages for path in sorted((artifacts / stage).glob(f"*/{digest}")))
    return next(filter(is_published, found), None)


def list_artifacts(artifacts: Path) -> list[Path]:
    """Return the folders of all published artifacts, sorted by path."""
    recipes = artifacts.glob(f"[!.]*/*/*/{RECIPE_FILE}")
    return sorted(recipe.parent for recipe in recipes if not recipe.parent.is_symlink())


def list_current(artifacts: Path) -> list[Path]:
    """Return the folders that each `current` leads to, sorted by path."""
    links = (link for link in artifacts.glob(f"[!.]*/*/{CURRENT}") if link.is_symlink())
    return sorted(link.parent / link.readlink() for link in links if is_published(link))


def describe(folder: Path) -> str:
    """Return one line on a published artifact: what it is, what is in it, its size on the disk, where it lies."""
    recipe = read_recipe(folder)
    size = format_bytes(bytes_in(folder))
    return f"{recipe['stage']} {recipe['name']}: {recipe['summary']['made']}; {size} in {folder}"
