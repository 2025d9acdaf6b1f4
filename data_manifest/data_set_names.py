"""Names of data sets among the artifacts: each name belongs to one folder of images.

`<artifacts>/.names/<name>.json` records the folder, and one of its files by which it is recognized after a move.
"""

import dataclasses
import itertools
import json
import logging
import os
import uuid
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.references import LIST_SUFFIX

CLAIMS = ".names"
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Claim:
    """The folder that owns a name.

    Args:
        folder: Its real path, symlinks resolved.
        witness: One of its files, relative to it; None if it has none.
        state: Size in bytes and modification time in nanoseconds of that file.
    """

    folder: str
    witness: str | None
    state: tuple[int, int] | None

    def allows(self, folder: Path) -> bool:
        """Return whether a real folder may use the name: it owns it, or is the owner, moved."""
        return self.folder == str(folder) or self._has_moved_to(folder)

    def _has_moved_to(self, folder: Path) -> bool:
        if self.witness is None or os.path.lexists(self.folder):
            return False
        return _state_of(folder / self.witness) == self.state


def find_name(name: str, folder: Path, artifacts: Path) -> str:
    """Return the name of a folder of images among the artifacts: `name`, unless another folder owns it.

    Then it is `name-2`, `name-3` and so on. Nothing is recorded.

    Raises:
        UserError: The record of a name is damaged.
    """
    return _find(name, _real(folder), artifacts)[0]


def claim_name(name: str, folder: Path, artifacts: Path) -> str:
    """Return what `find_name` gives, and record that the folder owns this name.

    Nothing is recorded of a folder that is not there and has no list of images, nor in an artifacts folder that cannot
    be written.

    Raises:
        UserError: The record of a name is damaged.
    """
    real = _real(folder)
    is_there = real.is_dir() or Path(f"{real}{LIST_SUFFIX}").is_file()
    found, owner = _find(name, real, artifacts)
    if not is_there or (owner is not None and owner.folder == str(real)):
        return found
    try:
        if not _record(found, real, artifacts, over=owner):  # another process claimed it first
            return claim_name(name, folder, artifacts)
    except OSError:  # what is made there fails later, with a message
        return found
    if found != name:
        logger.info("%s gets the name %s: another folder is called %s", real, found, name)
    return found


def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))


def _find(name: str, real: Path, artifacts: Path) -> tuple[str, Claim | None]:
    """Return the first name that a folder may use, and its owner, if it has one."""
    numbered = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    owners = ((each, _owner_of(each, artifacts)) for each in numbered)
    return next((each, owner) for each, owner in owners if owner is None or owner.allows(real))


def first_file(folder: Path) -> Path | None:
    """Return a file in a folder or below it, hidden ones left out; None if there is none."""
    with os.scandir(folder) as entries:
        for entry in (each for each in entries if not each.name.startswith(".")):
            found = first_file(Path(entry.path)) if entry.is_dir() else Path(entry.path)
            if found is not None:
                return found
    return None


def _owner_of(name: str, artifacts: Path) -> Claim | None:
    path = _path_of(name, artifacts)
    try:
        stored = json.loads(path.read_text())
        return Claim(stored["folder"], stored["witness"], stored["state"] and tuple(stored["state"]))
    except OSError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove it and run again.") from error


def _record(name: str, real: Path, artifacts: Path, over: Claim | None) -> bool:
    """Write a claim, whole at once; return False if another process has claimed the name since."""
    witness = first_file(real) if real.is_dir() else None
    claim = Claim(str(real), None, None)
    if witness is not None:
        claim = Claim(str(real), str(witness.relative_to(real)), _state_of(witness))
    path = _path_of(name, artifacts)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{uuid.uuid4().hex}.unfinished")
    unfinished.write_text(json.dumps(dataclasses.asdict(claim)))
    try:
        if over is None and not _link_new(unfinished, path):
            return False
        if over is not None:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def _link_new(source: Path, target: Path) -> bool:
    """Give a file a second name, unless there is one of that name; return whether it was given."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if target.exists():
            return False
        source.replace(target)
    return True


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _path_of(name: str, artifacts: Path) -> Path:
    return artifacts / CLAIMS / f"{name}.json"
