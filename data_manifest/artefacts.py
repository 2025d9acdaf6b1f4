"""Artefacts: what a stage makes, published whole, never changed, and known by what made it.

An artefact is a folder `<artifacts>/<stage>/<name>/<digest>/` with its tables and `recipe.json`. The digest covers what
made it, never the bytes that came out. It is built in a staging folder, written through to the disk, and published by
one rename; then the symlink `<artifacts>/<stage>/<name>/current` is swapped by another.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_manifest.durable import fsync
from data_manifest.errors import UserError, writing_in
from data_manifest.progress import working
from data_manifest.schemas import SCHEMA_VERSION
from data_manifest.staging import remove_dead_staging, staging_folder

CURRENT = "current"
RECIPE_FILE = "recipe.json"
DIGEST_LENGTH = 16
logger = logging.getLogger(__name__)


def digest_of(value: Any) -> str:
    """Return a short digest of a JSON value, the same whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes an artefact.

    Args:
        stage: One of `data_manifest.references.STAGES`, as in "groups".
        name: The data set, as in `processed-train`; it tells artefacts apart for people, the digest does it for us.
        version: The version of the stage's code: raised when the same inputs come to give other rows.
        settings: The settings that make the artefact what it is.
        inputs: The digests of what it is made from.
    """

    stage: str
    name: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON knows it."""
        return {**dataclasses.asdict(self), "schema_version": SCHEMA_VERSION}

    @property
    def digest(self) -> str:
        """The artefact's digest; its name is not a part: the same rows under two names are the same rows."""
        return digest_of({key: value for key, value in self.as_dict().items() if key != "name"})

    def stored(self) -> dict[str, Any]:
        """Return the recipe with its digest, as `read_recipe` gives it of a published artefact."""
        return {"digest": self.digest, **self.as_dict()}

    def folder(self, artifacts: Path) -> Path:
        """Return where the artefact lies once it is published."""
        return artifacts / self.stage / self.name / self.digest


def is_published(folder: Path) -> bool:
    """Return whether an artefact is there, whole: it came by one rename, and its recipe with it.

    Raises:
        UserError: The folder cannot be looked into.
    """
    try:
        return (folder / RECIPE_FILE).is_file()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}; choose --artifacts-folder") from error


def read_recipe(folder: Path) -> dict[str, Any]:
    """Return the recipe of a published artefact, with its digest.

    Raises:
        UserError: The folder is no published artefact.
    """
    try:
        recipe: dict[str, Any] = json.loads((folder / RECIPE_FILE).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder} is no published artefact: it has no {RECIPE_FILE}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / RECIPE_FILE} is damaged ({error}): remove {folder} and run again") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{folder / RECIPE_FILE} is no recipe: remove {folder} and run again")
    return recipe


def find_published(artifacts: Path, recipe: Recipe, adopt: Mapping[str, Any] | None = None) -> Path | None:
    """Return a recipe's artefact, made the current one of its name, or None if it is still to be made.

    Args:
        artifacts: Where artefacts are published.
        recipe: What makes it.
        adopt: Take one of another name as well, as there is when the images were moved: it is published under this
            name, by links, with these entries of its summary replaced. For stages whose rows do not tell the name.
    """
    folder = recipe.folder(artifacts)
    if not is_published(folder) and (adopt is None or not _adopt(artifacts, recipe, adopt)):
        return None
    make_current(folder)
    return folder


def _adopt(artifacts: Path, recipe: Recipe, changed: Mapping[str, Any]) -> bool:
    """Publish the artefact that has a recipe's digest under another name under that of the recipe, if there is one."""
    for twin in sorted((artifacts / recipe.stage).glob(f"*/{recipe.digest}")):
        try:
            summary = {**read_recipe(twin).get("summary", {}), **changed}
        except UserError:  # not whole, or damaged
            continue
        gone = contextlib.suppress(shutil.Error, FileNotFoundError)  # it is being removed
        with gone, publishing(artifacts, recipe, summary) as staging:
            leave_out = shutil.ignore_patterns(RECIPE_FILE)
            shutil.copytree(twin, staging, ignore=leave_out, copy_function=link_or_copy, dirs_exist_ok=True)
            (twin / RECIPE_FILE).stat()  # still there, so what was copied is whole
        if is_published(recipe.folder(artifacts)):
            return True
    return False


def link(source: Path, target: Path) -> bool:
    """Give a file a second place by a hard link; return whether it is there, be it from another attempt at this."""
    try:
        os.link(source, target)
    except FileExistsError:
        return True
    except OSError:  # the file is not there, gone meanwhile, or on a file system without links
        return False
    return True


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Have a file at a second place: by a hard link, or where the file system has none, by a copy.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not link(Path(source), Path(target)):
        shutil.copyfile(source, target)


@contextlib.contextmanager
def publishing(artifacts: Path, recipe: Recipe, summary: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Give a staging folder to fill; on success publish it as the recipe's artefact and make that the current one.

    `summary` may be filled while the folder is; it ends in `recipe.json` beside the recipe, outside the digest. Where
    another process published the same artefact first, its work stands and ours is dropped.

    Raises:
        UserError: The artefacts folder cannot be written, or is full.
    """
    with writing_in(artifacts):
        with staging_folder(artifacts) as staging:
            _write_recipe(recipe.stored(), staging)  # says, while the build lasts, what it needs
            yield staging
            _write_recipe({**recipe.stored(), "summary": dict(summary or {})}, staging)
            with working(f"publishing {recipe.stage} {recipe.name}"):
                _publish(staging, recipe.folder(artifacts))
        make_current(recipe.folder(artifacts))
        remove_dead_staging(artifacts)


def _write_recipe(content: Mapping[str, Any], folder: Path) -> None:
    unfinished = folder / f".{RECIPE_FILE}"
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(folder / RECIPE_FILE)


def _publish(staging: Path, target: Path) -> None:
    for path in (*staging.rglob("[!.]*"), staging):
        fsync(path)
    for unfinished in staging.rglob(".*"):  # of writers that were killed
        unfinished.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(target)
    except OSError as error:
        if is_published(target):  # by another process, whose work stands
            pass
        elif target.exists():
            raise UserError(f"{target} is in the way: it is no whole artefact; remove it and run again") from error
        elif error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # what was there has been removed meanwhile
            staging.rename(target)
        else:
            raise
    fsync(target.parent)


def make_current(folder: Path) -> None:
    """Have `current` beside a published artefact lead to it; where that cannot be written, it is warned of."""
    link = folder.parent / CURRENT
    if link.is_symlink() and link.readlink() == Path(folder.name):
        return
    unfinished = folder.parent / f".{CURRENT}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        unfinished.symlink_to(folder.name)
        unfinished.replace(link)
    except OSError as error:
        with contextlib.suppress(OSError):  # not made, where nothing can be written
            unfinished.unlink()
        logger.warning("%s cannot be made to lead to %s: %s", link, folder.name, error.strerror)


def artefacts_of(artifacts: Path, recipe: Recipe, any_name: bool = False) -> list[Path]:
    """Return the published artefacts of a recipe's stage and name, or of any name, the newest first."""
    found = (artifacts / recipe.stage).glob("*/*") if any_name else recipe.folder(artifacts).parent.glob("*")
    published = [path for path in found if is_published(path) and not path.is_symlink()]
    return sorted(published, key=lambda path: -modified_ns(path))


def recipes_of(artifacts: Path, recipe: Recipe, any_name: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give what `artefacts_of` does with the recipes; what is damaged, or gone by now, is passed over."""
    for path in artefacts_of(artifacts, recipe, any_name):
        try:
            stored = read_recipe(path)
        except UserError:
            continue
        yield path, stored


def find_by_digest(artifacts: Path, digest: str, *stages: str) -> Path | None:
    """Return the published artefact of one of some stages, under whatever name it lies; None if it is not there."""
    found = (path for stage in stages for path in sorted((artifacts / stage).glob(f"*/{digest}")))
    return next(filter(is_published, found), None)


def modified_ns(path: Path) -> int:
    """Return when a file, a folder or a link itself was modified; 0 if it is gone, as another process may see to."""
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def describe(folder: Path) -> str:
    """Return one line on a published artefact: what it is, what is in it, its size on the disk, where it lies."""
    recipe = read_recipe(folder)
    size = format_bytes(bytes_in(folder))
    return f"{recipe['stage']} {recipe['name']}: {recipe['summary']['made']}; {size} in {folder}"


def bytes_in(folder: Path) -> int:
    """Return how many bytes the files in a folder and below have together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def disk_usage(folder: Path) -> tuple[int, int]:
    """Return how many bytes the disk of a folder has, and how many are free; the folder need not be there yet.

    Some network file systems do not tell: then both are 0.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    usage = shutil.disk_usage(there)
    return usage.total, usage.free


def format_bytes(count: float) -> str:
    """Return a number of bytes for people to read, as in 48.2 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.1f} TB"


def list_artefacts(artifacts: Path) -> list[Path]:
    """Return the folders of all published artefacts, sorted by path."""
    recipes = artifacts.glob(f"[!.]*/*/*/{RECIPE_FILE}")
    return sorted(recipe.parent for recipe in recipes if not recipe.parent.is_symlink())


def list_current(artifacts: Path) -> list[Path]:
    """Return the folders that each `current` leads to, sorted by path."""
    links = (link for link in artifacts.glob(f"[!.]*/*/{CURRENT}") if link.is_symlink())
    return sorted(link.parent / link.readlink() for link in links if is_published(link))


def digest_of_file(path: Path) -> str:
    """Return a digest of a file's content.

    Raises:
        UserError: There is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
