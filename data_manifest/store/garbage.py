"""Remove artifacts that nothing needs, what killed processes left behind, and unfinished links.

Needed are the current artifacts and everything that a kept artifact, a training run or a running build was made from.
Files shared with other artifacts by hard links stay. `runs/` and the caches `.listings` and `.checks` are not touched.
A command that starts during a gc and reads an artifact that is not current may fail; it works when run again.

JSON keys: artifacts_folder, dry_run, removed [what (artifact, staging, link), path, bytes, freed (bytes; 0 for files
that are used elsewhere)], freed (total), kept [path, why], notes (what to check by hand).
"""

import os
import shutil
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.files import fsync, modified_ns
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, is_published
from data_manifest.store.references import STAGES, Artifact, User, read_artifacts, read_users
from data_manifest.store.staging import REMOVED, STAGING, dead_staging, new_name, remove_dead_staging

DEFAULT_STAGES = ("crops", "manifest", "checks", "verified", "groups")  # packs may be the only copy of their images
MAX_LINK_AGE_SECONDS = 3600  # swapping a link takes a moment
Inode = tuple[int, int]


def collect_garbage(
    artifacts: Path, stages: tuple[str, ...] = DEFAULT_STAGES, keep_newest: int = 0, dry_run: bool = False
) -> dict[str, Any]:
    """Remove what nothing needs, and return a report with the keys documented in this module.

    Only artifacts of the given stages are removed, and of each stage and name the newest `keep_newest` are kept.

    Raises:
        UserError: A stage is unknown, a recipe cannot be read, or something cannot be removed.
    """
    for stage in stages:
        if stage not in STAGES:
            raise UserError(f"--stages {','.join(stages)}: unknown stage {stage!r}. Choose from {', '.join(STAGES)}.")
    if keep_newest < 0:
        raise UserError(f"--keep-newest {keep_newest}: give 0 or more.")
    users, published = read_users(artifacts), read_artifacts(artifacts)  # in this order: a build may end in between
    kept = reasons_to_keep(published, users, stages, keep_newest)
    links: Counter[Inode] = Counter()
    removed = [*_leftovers(artifacts, links)]
    removed += [_removal("artifact", each.folder, links) for each in published if each.folder not in kept]
    if not dry_run:
        removed = [row for row in removed if _remove(row["what"], Path(row["path"]), artifacts)]
        remove_dead_staging(artifacts)
    return {
        "artifacts_folder": str(artifacts),
        "dry_run": dry_run,
        "removed": removed,
        "freed": sum(row["freed"] for row in removed),
        "kept": [{"path": str(folder), "why": kept[folder]} for folder in sorted(kept)],
        "notes": [*_notes(published, artifacts)],
    }


def reasons_to_keep(
    published: list[Artifact], users: list[User], stages: tuple[str, ...], keep_newest: int = 0
) -> dict[Path, str]:
    """Return the folders of the artifacts to keep, each with the reason."""
    by_digest = defaultdict[str, list[Artifact]](list)
    for artifact in published:
        by_digest[artifact.folder.name].append(artifact)
    kept: dict[Path, str] = {}
    pending = [*_wanted(published, stages, keep_newest), *_inputs(users, by_digest)]
    while pending:
        artifact, reason = pending.pop(0)
        if artifact.folder not in kept:
            kept[artifact.folder] = reason
            pending += _inputs([artifact], by_digest)
    return kept


def _wanted(published: list[Artifact], stages: tuple[str, ...], keep_newest: int) -> Iterator[tuple[Artifact, str]]:
    """Yield the artifacts to keep for their own sake."""
    without_current = _without_current(published)
    newest_first = sorted(published, key=lambda each: (-modified_ns(each.folder), each.folder.name))
    seen: Counter[Path] = Counter()
    for each in newest_first:
        parent = each.folder.parent
        if is_current(each.folder):
            yield each, "current"
        elif parent in without_current:
            yield each, "nothing is current there"
        elif parent.parent.name not in stages:
            yield each, "not of the given stages"
        elif modified_ns(each.folder / RECIPE_FILE) > modified_ns(parent / CURRENT):  # about to become current
            yield each, "newer than the current one"
        elif seen[parent] < keep_newest:
            yield each, "among the newest"
        seen[parent] += 1


def _inputs(users: Iterable[User], by_digest: dict[str, list[Artifact]]) -> Iterator[tuple[Artifact, str]]:
    for user in users:
        for digest in sorted(user.inputs):
            yield from ((artifact, f"used by {user.label}") for artifact in by_digest.get(digest, ()))


def is_current(folder: Path) -> bool:
    """Return whether `current` leads to an artifact."""
    try:
        return (folder.parent / CURRENT).readlink() == Path(folder.name)
    except OSError:
        return False


def _without_current(published: list[Artifact]) -> list[Path]:
    """Return the folders of a stage and name without a valid `current`, as after a copy that lost the links."""
    links = {each.folder.parent / CURRENT for each in published}
    return sorted(link.parent for link in links if not (link.is_symlink() and is_published(link)))


def _leftovers(artifacts: Path, links: Counter[Inode]) -> Iterator[dict[str, Any]]:
    """Yield the staging folders of dead processes and links that were never finished."""
    for folder in dead_staging(artifacts):
        yield _removal("staging", folder, links)
    for link in sorted(artifacts.glob(f"[!.]*/*/.{CURRENT}.*")):
        modified = modified_ns(link)
        if link.is_symlink() and modified and time.time() - modified / 1e9 > MAX_LINK_AGE_SECONDS:
            yield {"what": "link", "path": str(link), "bytes": 0, "freed": 0}


def _removal(what: str, folder: Path, links: Counter[Inode]) -> dict[str, Any]:
    """Return a row of the report; `links` counts the removed hard links of each file so far."""
    size = freed = 0
    for file in (Path(parent, name) for parent, _, names in os.walk(folder) for name in names):
        try:
            state = file.lstat()
        except FileNotFoundError:  # another process removes it too
            continue
        if stat.S_ISREG(state.st_mode):
            size += state.st_size
            links[state.st_dev, state.st_ino] += 1
            freed += state.st_size if links[state.st_dev, state.st_ino] == state.st_nlink else 0
    return {"what": what, "path": str(folder), "bytes": size, "freed": freed}


def _remove(what: str, path: Path, artifacts: Path) -> bool:
    """Remove a folder or a link; return False if it has become current or another process removed it."""
    if what == "link":
        path.unlink(missing_ok=True)
        return True
    folder = path
    if what == "artifact":
        if is_current(path):  # since it was read
            return False
        folder = artifacts / STAGING / new_name(REMOVED)
        try:
            folder.parent.mkdir(exist_ok=True)
            path.rename(folder)  # so that no reader finds a half-removed artifact
            for changed in (path.parent, folder.parent):
                fsync(changed)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UserError(f"{path}: cannot be removed: {error.strerror}") from error
    shutil.rmtree(folder, ignore_errors=True)  # another process may remove it too
    if folder.exists():
        raise UserError(f"{folder}: cannot be removed completely. Remove it by hand.")
    return True


def _notes(published: list[Artifact], artifacts: Path) -> Iterator[str]:
    """Yield what was kept although it may be useless."""
    for parent in _without_current(published):
        yield f"kept: {parent} has no current artifact. Run its stage again."
    for stage in STAGES:
        for folder in sorted((artifacts / stage).glob("*/[!.]*")):
            if folder.is_dir() and not folder.is_symlink() and not is_published(folder):
                yield f"kept: {folder} is an incomplete artifact. Remove it by hand."
