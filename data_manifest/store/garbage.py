"""Remove what nothing needs: old artifacts, what dead processes left, and links that were never finished.

Needed is what is current, and the inputs, over any number of steps, of all that is kept, of training runs, and of
builds that are running. What cannot be read is kept, with all that may be its input, and told of. Files that several
artifacts share by hard links stay for the others. `runs/` and the caches `.listings` and `.checks` are left alone.

An artifact is first renamed out of its place, so that no reader finds half of one. Then what is needed is worked out
once more: what has become current meanwhile, or the input of a build, is renamed back. The rest is deleted. What a gc
that is killed leaves, the next one removes, or the next build.

Not known are the inputs of a command that has begun and written nothing yet, unless they are current. Should they be
removed in that moment, the command ends with an error, with nothing half-made, and works when it is run again.
`--keep-newest 2` keeps the artifact before the current one as well, for those who still read it.

JSON keys: artifacts_folder, dry_run, removed [what (artifact, staging, link), path, bytes, freed (bytes; 0 for files
that something else holds)], freed (all of them), kept [path, why], notes (what should be looked at by hand).
"""

import contextlib
import os
import shutil
import stat
import time
from collections import Counter
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.inspect.bars import table
from data_manifest.store.files import format_bytes
from data_manifest.store.fsync import fsync
from data_manifest.store.needed import Rules, places_without_current, reasons_to_keep
from data_manifest.store.recipe import CURRENT, is_published
from data_manifest.store.references import REMOVED, STAGES, Artifact, User, read_artifacts, read_users
from data_manifest.store.staging import STAGING, dead_staging, locked_name, remove_dead_staging

DEFAULT_STAGES = ("crops", "manifest", "checks", "verified", "groups")
LINK_UNFINISHED_AFTER_SECONDS = 3600  # it takes a moment to swap a link
Inode = tuple[int, int]


def remove_garbage(
    artifacts: Path, stages: tuple[str, ...] = DEFAULT_STAGES, keep_newest: int = 0, dry_run: bool = False
) -> dict[str, Any]:
    """Remove what nothing needs, and return what that was, under the keys that this module documents.

    Args:
        artifacts: Where artifacts are published.
        stages: Artifacts of these stages may be removed.
        keep_newest: How many artifacts of each stage and name to keep at least, the newest first.
        dry_run: Remove nothing, and return what would be.

    Raises:
        UserError: There is no such stage, or something cannot be removed.
    """
    rules = _rules(stages, keep_newest)
    users, published = read_users(artifacts), read_artifacts(artifacts)  # a build that ends meanwhile is in both
    kept = reasons_to_keep(published, users, rules)
    unneeded = [each for each in published if each.folder not in kept]
    gone: Counter[Inode] = Counter()
    removed = _litter(artifacts, dry_run, gone)
    if dry_run:
        removed += [_removal("artifact", each.folder, each.folder, gone) for each in unneeded]
    else:
        removed += _remove(unneeded, artifacts, rules)
    return {
        "artifacts_folder": str(artifacts),
        "dry_run": dry_run,
        "removed": removed,
        "freed": sum(removal["freed"] for removal in removed),
        "kept": [{"path": str(folder), "why": kept[folder]} for folder in sorted(kept)],
        "notes": _notes(published, users, artifacts),
    }


def _rules(stages: tuple[str, ...], keep_newest: int) -> Rules:
    for stage in stages:
        if stage not in STAGES:
            raise UserError(f"--stages {','.join(stages)}: {stage!r} is none of {', '.join(STAGES)}")
    if keep_newest < 0:
        raise UserError(f"--keep-newest {keep_newest}: how many artifacts of each name to keep, from 0 up")
    return Rules(stages, keep_newest)


def _litter(artifacts: Path, dry_run: bool, gone: Counter[Inode]) -> list[dict[str, Any]]:
    """Remove dead staging folders and unfinished links."""
    removed = []
    for folder in dead_staging(artifacts):
        removed.append(_removal("staging", folder, folder, gone))
        if not dry_run:
            _delete(folder)
            gone.clear()
    if not dry_run:
        remove_dead_staging(artifacts)  # their locks
    for link in sorted(artifacts.glob(f"[!.]*/*/.{CURRENT}.*")):
        if _is_unfinished(link):
            removed.append({"what": "link", "path": str(link), "bytes": 0, "freed": 0})
            if not dry_run:
                link.unlink(missing_ok=True)
    return removed


def _is_unfinished(link: Path) -> bool:
    try:
        state = link.lstat()
    except FileNotFoundError:  # it has just become `current`
        return False
    return stat.S_ISLNK(state.st_mode) and time.time() - state.st_mtime > LINK_UNFINISHED_AFTER_SECONDS


def _remove(unneeded: list[Artifact], artifacts: Path, rules: Rules) -> list[dict[str, Any]]:
    """Take artifacts out of their places, put back what turns out to be needed, and delete the rest."""
    with contextlib.ExitStack() as locks:
        taken = [(each, trash) for each in unneeded if (trash := _take_out(each.folder, artifacts, locks))]
        return _put_back_or_delete(taken, artifacts, rules)


def _put_back_or_delete(taken: list[tuple[Artifact, Path]], artifacts: Path, rules: Rules) -> list[dict[str, Any]]:
    users = read_users(artifacts)
    published = [*read_artifacts(artifacts), *(each for each, _ in taken)]
    needed = reasons_to_keep(published, users, Rules(rules.stages)) if taken else {}
    removed = []
    for artifact, trash in taken:
        if artifact.folder in needed and _put_back(trash, artifact.folder):
            continue
        removed.append(_removal("artifact", artifact.folder, trash, Counter()))
        _delete(trash)
    return removed


def _take_out(folder: Path, artifacts: Path, locks: contextlib.ExitStack) -> Path | None:
    """Rename an artifact out of its place; return where it is now, or None if another process was faster.

    Until `locks` are let go, other processes, of whatever container, leave it alone there.
    """
    try:
        (artifacts / STAGING).mkdir(exist_ok=True)
        trash = locks.enter_context(locked_name(artifacts / STAGING, REMOVED))
        folder.rename(trash)
        for changed in (folder.parent, trash.parent):  # no power failure leaves half an artifact in its place
            fsync(changed)
        return trash
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{folder} cannot be removed: {error.strerror}") from error


def _put_back(trash: Path, folder: Path) -> bool:
    try:
        trash.rename(folder)
    except OSError:  # it has been made anew meanwhile
        return False
    return True


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # another process may be at it too
    if folder.exists():
        raise UserError(f"{folder} cannot be removed whole: remove it by hand")


def _removal(what: str, shown: Path, folder: Path, gone: Counter[Inode]) -> dict[str, Any]:
    """Return a line of the report; `gone` counts, by inode, the links that would be gone with what is before it."""
    size = freed = 0
    for file in (Path(parent, name) for parent, _, names in os.walk(folder) for name in names):
        try:
            state = file.lstat()
        except FileNotFoundError:  # another process is removing it too
            continue
        if stat.S_ISREG(state.st_mode):
            size += state.st_size
            gone[state.st_dev, state.st_ino] += 1
            freed += state.st_size if gone[state.st_dev, state.st_ino] == state.st_nlink else 0
    return {"what": what, "path": str(shown), "bytes": size, "freed": freed}


def _notes(published: list[Artifact], users: list[User], artifacts: Path) -> list[str]:
    """Return what gc left alone, though it may be of no use, because nothing says so."""
    unclear = [f"kept: {each.problem}" for each in published if each.problem]
    unclear += [f"kept: all that may be its input, for {each.problem}" for each in users if each.problem]
    places = places_without_current(published)
    lost = [f"kept: {place} has no current artifact: run its stage again to have one" for place in places]
    halves = [
        f"kept: {folder} is no whole artifact: remove it by hand"
        for stage in STAGES
        for folder in sorted((artifacts / stage).glob("*/[!.]*"))
        if folder.is_dir() and not folder.is_symlink() and not is_published(folder)
    ]
    return [*unclear, *lost, *halves]


def show_garbage(facts: dict[str, Any]) -> str:
    """Return what was removed as text."""
    dry_run, removed = facts["dry_run"], facts["removed"]
    header = ("would be removed" if dry_run else "removed", "", "size", "frees" if dry_run else "freed")
    rows = [(each["what"], each["path"], format_bytes(each["bytes"]), format_bytes(each["freed"])) for each in removed]
    verb = "would be freed" if dry_run else "freed"
    count = len(facts["kept"])
    kept = f"{count:,} artifact{'s' if count != 1 else ''} kept"
    lines = [*table([header, *rows], left=(0, 1)), f"{format_bytes(facts['freed'])} {verb}, {kept}"]
    if not removed:
        lines = [f"nothing to remove, {kept}"]
    return "\n".join([*lines, *facts["notes"]])
