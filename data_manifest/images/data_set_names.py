"""Names of data sets among the artifacts: each name belongs to one folder of images.

`<artifacts>/.names/<name>.json` records the folder, and one of its files by which it is recognized after a move.
"""

import contextlib
import dataclasses
import itertools
import json
import logging
import os
import re
import unicodedata
import uuid
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.file_states import stat_file
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, as_images_folder, is_missing, is_system_folder
from data_manifest.store.recipe import digest_of
from data_manifest.store.references import LIST_SUFFIX

CLAIMS = ".names"
MAX_NAME_BYTES = 180  # file systems take 255, and the parts of a split get a suffix
PARTS = ("train", "val/database", "val/queries", "test/database", "test/queries")
SF_XL_PREFIX = "@"  # of file names in the form of SF-XL
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Claim:
    """The folder that a name belongs to."""

    folder: str  # symlinks resolved
    witness: str | None  # relative path of one of its files, which identifies it after a move
    state: tuple[int, int] | None  # bytes and modification time in nanoseconds of that file
    identity: str  # digest of the above when the data set was first seen; kept when the folder moves

    def allows(self, folder: ImagesFolder) -> bool:
        """Return whether the name belongs to a folder, given by its real path or URL, perhaps after a move."""
        return self.folder == str(folder) or self.has_moved_to(folder)

    def has_moved_to(self, folder: ImagesFolder) -> bool:
        """Return whether the owner was moved to a folder: the old path is gone, and the new one has the witness."""
        if self.witness is None or self.state is None or os.path.lexists(self.folder) or not isinstance(folder, Path):
            return False
        return _state_of(folder / self.witness) == self.state


def data_set_name(images_folder: ImagesFolder, artifacts: Path, claim: bool = True) -> str:
    """Return the name of an images folder among the artifacts; no other folder has it.

    It is the folder's `plain_name`, with `-2`, `-3` and so on if that belongs to another folder or to a part of split
    photos. With `claim` it is recorded.

    Raises:
        UserError: The record of a name is damaged.
    """
    return _find(images_folder, artifacts, claim)[0]


def data_set_identity(images_folder: ImagesFolder, artifacts: Path) -> str:
    """Return the identity of an images folder; it stays the same when the folder is moved, and is the URL's digest.

    Raises:
        UserError: The record of a name is damaged.
    """
    return _find(images_folder, artifacts, claim=True)[1]


def folder_of(origin: str | ImagesFolder) -> ImagesFolder:
    """Return the images folder of a manifest's origin, which is that folder or the list file beside it."""
    return as_images_folder(str(origin).removesuffix(LIST_SUFFIX))


def plain_name(images_folder: ImagesFolder) -> str:
    """Return the last parts of a folder's path or URL, joined by hyphens.

    It is `sf-xl-processed-train` for `.../sf-xl/processed/train`. Letters, digits and marks of all scripts stay, in
    NFC, and other characters become `_`.
    """
    if isinstance(images_folder, ImagesUrl):
        parts = tuple(re.split("/+", str(images_folder))[1:])
    else:
        parts = Path(os.path.normpath(images_folder.absolute())).parts[1:]
    parts = parts[-4 if parts[-2:-1] in (("val",), ("test",)) else -3 :]
    name = "".join(map(_allowed, unicodedata.normalize("NFC", "-".join(parts))))
    return name.encode()[-MAX_NAME_BYTES:].decode(errors="ignore").lstrip(".") or "images"


def _allowed(character: str) -> str:
    is_word = unicodedata.category(character)[0] in "LMN"
    return character if is_word or character in "._-" else "_"


def has_sf_xl_names(folder: ImagesFolder) -> bool:
    """Return whether a folder's images have their positions in their names, as in SF-XL; one file is checked."""
    if isinstance(folder, ImagesUrl):
        from data_manifest.images.object_listing import first_object  # needs an optional package

        return first_object(folder).startswith(SF_XL_PREFIX)
    first = first_file(folder)
    return first is not None and first.name.startswith(SF_XL_PREFIX)


def first_file(folder: Path) -> Path | None:
    """Return a file in a folder or below it; None if there is none. Hidden files and system folders do not count."""
    waiting, seen = [folder], set[tuple[int, int]]()
    while waiting:
        with contextlib.suppress(OSError):  # a folder that cannot be read
            here = waiting.pop()
            state = here.stat()
            if (state.st_dev, state.st_ino) in seen:  # links may lead in a circle
                continue
            seen.add((state.st_dev, state.st_ino))
            with os.scandir(here) as entries:
                for path in (Path(each.path) for each in entries if not is_system_folder(os.fsencode(each.name))):
                    if path.is_file():
                        return path
                    waiting.append(path)
    return None


def _find(images_folder: ImagesFolder, artifacts: Path, claim: bool) -> tuple[str, str]:
    """Return the name and the identity of a folder, and record them on request.

    Nothing is recorded if neither the folder nor its list file exists, or if the artifacts folder is not writable.
    """
    plain, real = plain_name(images_folder), _real(images_folder)
    numbered = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
    owners = ((each, _read(_path_of(each, artifacts))) for each in numbered)
    name, owner = next(
        (each, owner)
        for each, owner in owners
        if (owner.allows(real) if owner else not _clashes_with_parts(each, real, artifacts))
    )
    if owner is not None and owner.folder == str(real):
        return name, owner.identity
    claimed = owner or _new_claim(real, artifacts)
    if claim and (not is_missing(real) or Path(f"{real}{LIST_SUFFIX}").is_file()):
        with contextlib.suppress(OSError):  # reported by the stage that writes there
            _move_claims(real, artifacts)
            if owner is None and not _write_new(claimed, _path_of(name, artifacts)):
                return _find(images_folder, artifacts, claim)  # another process claimed the name first
            if name != plain:
                logger.info("%s gets the name %s: %s is taken", real, name, plain)
    return name, claimed.identity


def _real(images_folder: ImagesFolder) -> ImagesFolder:
    return images_folder if isinstance(images_folder, ImagesUrl) else Path(os.path.realpath(images_folder))


def _clashes_with_parts(name: str, real: ImagesFolder, artifacts: Path) -> bool:
    """Return whether the name, or that of a part of this folder after a split, belongs to another folder."""
    others = [path.stem for path, each in _all_claims(artifacts) if not each.allows(real)]
    return any(
        part_name(name, part) in others or name in (part_name(other, part) for other in others) for part in PARTS
    )


def part_name(name: str, part: str) -> str:
    """Return the name of a part of a split data set, such as photos-val-queries."""
    return f"{name}-{part.replace('/', '-')}"


def _new_claim(real: ImagesFolder, artifacts: Path) -> Claim:
    """Return a new claim; a data set that has another name already keeps its identity."""
    path, state = None, None
    if isinstance(real, Path) and real.is_dir() and (witness := first_file(real)):
        path, state = str(witness.relative_to(real)), _state_of(witness)
    same = (each.identity for _, each in _all_claims(artifacts) if each.allows(real))
    return Claim(str(real), path, state, next(same, None) or digest_of([str(real), path, state]))


def _move_claims(real: ImagesFolder, artifacts: Path) -> None:
    """Update the records of a data set that was moved to a folder."""
    for path, each in _all_claims(artifacts):
        if each.has_moved_to(real):
            _write(dataclasses.replace(each, folder=str(real)), path.parent).replace(path)


def _read(path: Path) -> Claim | None:
    try:
        stored = json.loads(path.read_text())
        state = stored["state"] and tuple(stored["state"])
        return Claim(stored["folder"], stored["witness"], state, stored["identity"])
    except OSError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove it and run again.") from error


def _all_claims(artifacts: Path) -> list[tuple[Path, Claim]]:
    found = ((path, _read(path)) for path in sorted((artifacts / CLAIMS).glob("*.json")))
    return [(path, each) for path, each in found if each is not None]


def _write_new(claim: Claim, path: Path) -> bool:
    """Write a claim atomically; return False if another process has claimed the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _write(claim, path.parent)
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def _write(claim: Claim, folder: Path) -> Path:
    unfinished = folder / f"{uuid.uuid4().hex}.unfinished"
    unfinished.write_text(json.dumps(dataclasses.asdict(claim)))
    return unfinished


def _path_of(name: str, artifacts: Path) -> Path:
    return artifacts / CLAIMS / f"{name}.json"


def _state_of(path: Path) -> tuple[int, int] | None:
    size, modified_ns = stat_file(str(path), skip_errors=True)
    return None if size is None or modified_ns is None else (size, modified_ns)
