"""What images there are: those of a folder, or the lines of the list file beside it. No image is opened."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data_manifest.errors import UserError
from data_manifest.store.recipe import DIGEST_LENGTH
from data_manifest.store.references import LIST_SUFFIX
from pipeline import bytewise
from pipeline.list_file import digest_of_list, scan_list
from pipeline.listing.cache import cache_folder, known_digest_of_list, read_folders, state_of, write_folders
from pipeline.listing.folder_scan import IMAGE_SUFFIXES, list_names, scan_tree
from pipeline.runs import Run, add_sums, read_runs
from pipeline.texts import Texts

HEAD_BYTES = 1 << 16
BYTES_OF_A_NAME = 92  # in SF-XL
SHOWN_FOLDERS = 5


class Images(Protocol):
    """Some images of a data set; can be sent to another process."""

    @property
    def digest(self) -> str | None:
        """A digest of which images these are, or None where that takes to read them."""

    def blocks(self) -> Iterator[Texts]:
        """Give their paths relative to the images folder; the same one several times if it was listed so."""


class Listing(Protocol):
    """The images of a data set, before any is looked at; `origin` is the folder or the list file."""

    origin: Path
    fingerprint: str  # a digest of what images there are
    skipped: "Skipped"

    def estimate(self) -> tuple[int, int]:
        """Return about how many images there are, and about how many bytes their paths have together, at no cost."""

    def sizes(self, scratch: Path) -> Mapping[bytes, int]:
        """Return how many images each folder has, about; a folder's name ends with a slash, that of the top is empty.

        `scratch` is a folder in which files may be made.
        """

    def images(self, folders: Iterable[bytes]) -> Images:
        """Return the images of folders that `sizes` gave."""

    def check_unchanged(self) -> None:
        """Check that the images that were read are those of the fingerprint.

        Raises:
            UserError: They may not be.
        """


@dataclass(frozen=True)
class Skipped:
    """What is not listed: hidden images, and folders that are hidden or that systems keep, by their names."""

    hidden_images: int = 0
    folders: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The counts, as a manifest's summary has them."""
        return {"hidden_images": self.hidden_images, "skipped_folders": sum(self.folders.values())}

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __str__(self) -> str:
        most = sorted(self.folders, key=lambda name: (-self.folders[name], name))
        names = ", ".join(most[:SHOWN_FOLDERS]) + (", ..." if len(most) > SHOWN_FOLDERS else "")
        images = f"{self.hidden_images:,} hidden images" if self.hidden_images else ""
        folders = f"{sum(self.folders.values()):,} folders ({names})" if self.folders else ""
        return " and ".join(filter(None, (images, folders)))


@dataclass(frozen=True)
class ImagesOfRuns:
    """Images by their lines."""

    runs: tuple[Run, ...]
    digest: str | None = None

    @staticmethod
    def of(folders: Mapping[bytes, Sequence[Run]]) -> "ImagesOfRuns":
        """Return the images of folders, by the runs of each, with a digest of which these are if that is known."""
        content = hashlib.sha256(b"sums of names, version %d\0" % bytewise.VERSION)
        runs = tuple(run for of_folder in folders.values() for run in of_folder)
        for path, of_folder in sorted(folders.items()):
            sums = add_sums(run.sums for run in of_folder)
            if sums is None:
                return ImagesOfRuns(runs)
            content.update(b"%b\0%d %d %d\0" % (path, sum(run.lines for run in of_folder), *sums))
        return ImagesOfRuns(runs, content.hexdigest()[:DIGEST_LENGTH])

    def blocks(self) -> Iterator[Texts]:
        """Give the paths of the lines."""
        return read_runs(self.runs)


class ListedImages:
    """The images that a list file names, whatever they are called."""

    skipped = Skipped()

    def __init__(self, origin: Path, cache: Path | None) -> None:
        self.origin = origin
        self._state = state_of(origin)
        self.fingerprint = known_digest_of_list(origin, cache) if cache else digest_of_list(origin)
        self._runs: dict[bytes, list[Run]] = {}

    def estimate(self) -> tuple[int, int]:
        """Return how many lines there are if they are as long as the first ones, and the size of the file.

        Raises:
            UserError: The list cannot be read.
        """
        try:
            with self.origin.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise UserError(f"{self.origin}: cannot be read: {error.strerror}") from error
        _, _, size, *_ = self._state
        return size * max(1, head.count(b"\n")) // max(1, len(head)), size

    def sizes(self, scratch: Path) -> Mapping[bytes, int]:
        """Return how many lines each folder has."""
        self._runs = scan_list(self.origin.absolute(), scratch)  # for those who work in other folders
        return {folder: sum(run.lines for run in runs) for folder, runs in self._runs.items()}

    def images(self, folders: Iterable[bytes]) -> ImagesOfRuns:
        """Return the lines of folders."""
        return ImagesOfRuns.of({folder: self._runs[folder] for folder in folders})

    def check_unchanged(self) -> None:
        """Check that the list file was not written since."""
        if state_of(self.origin) != self._state:
            raise UserError(f"{self.origin} has changed while it was being read: run again")


@dataclass(frozen=True)
class ImagesOfFolders:
    """Images by the folders that they are in, as these were when they were scanned."""

    root: Path
    folders: tuple[tuple[bytes, str], ...]  # path, digest of the names

    @property
    def digest(self) -> str:
        """A digest of the folders' digests."""
        content = hashlib.sha256()
        for path, digest in self.folders:
            content.update(b"%b\0%b\0" % (path, digest.encode()))
        return content.hexdigest()[:DIGEST_LENGTH]

    def blocks(self) -> Iterator[Texts]:
        """Give the paths.

        Raises:
            UserError: A folder's images are no longer those that were scanned.
        """
        for folder, digest in self.folders:
            yield Texts.of(folder + name for name in list_names(self.root, folder, digest))


class FoundImages:
    """The images that are in a folder and below."""

    def __init__(self, origin: Path, cache: Path | None, rescan: bool) -> None:
        known = read_folders(cache) if cache and not rescan else {}
        self.origin = origin
        self.folders = scan_tree(origin, known)
        if cache and self.folders != known and self._has_any():
            write_folders(self.folders, cache)
        self.skipped = self._skipped()
        if not self._has_any():
            but = f"; skipped {self.skipped}" if self.skipped else ""
            raise UserError(f"{origin}: no image in it (looked for {', '.join(IMAGE_SUFFIXES)}{but})")
        self.fingerprint = self.images(sorted(path for path, folder in self.folders.items() if folder.count)).digest

    def _has_any(self) -> bool:
        return any(folder.count for folder in self.folders.values())

    def _skipped(self) -> Skipped:
        names = Counter(os.fsdecode(name) for folder in self.folders.values() for name in folder.skipped_folders)
        return Skipped(sum(folder.hidden_images for folder in self.folders.values()), names)

    def estimate(self) -> tuple[int, int]:
        """Return how many images there are, and the bytes of their paths if their names are as long as SF-XL's."""
        counts = {path: folder.count for path, folder in self.folders.items()}
        path_bytes = sum(count * (len(path) + BYTES_OF_A_NAME) for path, count in counts.items())
        return sum(counts.values()), path_bytes

    def sizes(self, scratch: Path) -> Mapping[bytes, int]:
        """Return how many images each folder has that has any."""
        return {path: folder.count for path, folder in self.folders.items() if folder.count}

    def images(self, folders: Iterable[bytes]) -> ImagesOfFolders:
        """Return the images of folders."""
        digests = tuple((folder, self.folders[folder].digest) for folder in folders)
        return ImagesOfFolders(self.origin.absolute(), digests)  # for those who work in other folders

    def check_unchanged(self) -> None:
        """Check nothing more: each folder that was read was compared with what was found."""


def list_file_of(images_folder: Path) -> Path:
    """Return where the list file of a folder lies: beside it, `train_images_paths.txt` for `train`."""
    folder = images_folder.resolve() if images_folder.name in ("", "..") else images_folder  # `.` has no name
    return folder.parent / (folder.name + LIST_SUFFIX)


def list_images(images_folder: Path, artifacts: Path | None = None, rescan: bool = False) -> Listing:
    """List the images of a folder, from the list file beside it if there is one.

    Args:
        images_folder: The folder.
        artifacts: Where to keep what is found, so that the next listing takes less time; None keeps nothing.
        rescan: Trust nothing that was kept.

    Raises:
        UserError: There is neither the folder nor a list file, there is no image in it, or it cannot be read.
    """
    list_file = list_file_of(images_folder)
    from_list = list_file.is_file()
    if not from_list and not images_folder.is_dir():
        raise UserError(f"{images_folder}: there is no such folder, and no list of its images at {list_file}")
    origin = list_file if from_list else images_folder
    cache = cache_folder(artifacts, origin) if artifacts else None
    return ListedImages(origin, None if rescan else cache) if from_list else FoundImages(origin, cache, rescan)
