"""The test sets that a command line asks for: known by name, or a folder of one's own. Imports no torch, no faiss."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import first_file
from evaluation.settings import ChosenSets
from evaluation.test_sets.named_sets import NAMED_SETS, NamedSet

DATABASE, QUERIES = "database", "queries"
BEGIN_OF_NAME = "@"


@dataclass(frozen=True)
class SetFolders:
    """Where a test set lies: `folder` holds database/ and the folder of queries; `named` is what it is known as."""

    folder: Path
    queries: str
    named: NamedSet | None = None

    @property
    def by_names(self) -> bool:
        """Whether its images have names as in SF-XL, which say where they were taken."""
        if self.named is not None:
            return True
        first = first_file(self.folder / DATABASE)
        return first is not None and first.name.startswith(BEGIN_OF_NAME)


def find_sets(chosen: ChosenSets, own: Callable[[str], Path], own_queries: str) -> list[SetFolders]:
    """Return the test sets that were asked for, in that order; a folder with several queries*/ is several.

    Args:
        chosen: What was asked for; the data set's own test set, if nothing was.
        own: Gives the folder of the data set's own test or val images, which SF-XL's named sets may lie in.
        own_queries: The folder of the data set's own test queries.

    Raises:
        UserError: A name is unknown, or its images are not there.
    """
    if chosen.test_sets is None:
        return [SetFolders(own("test"), own_queries)]
    words = [word.strip() for word in chosen.test_sets.split(",")]
    if not all(words):
        raise UserError(f"test_sets = {chosen.test_sets!r}: expected names or folders with commas between")
    found = [each for word in words for each in _find(word, chosen.test_sets_folder, own)]
    return list(dict.fromkeys(found))


def _find(word: str, sets_folder: Path | None, own: Callable[[str], Path]) -> list[SetFolders]:
    named = NAMED_SETS.get(word.lower().replace("_", "-"))
    if named is not None:
        return [SetFolders(_folder_of(named, sets_folder, own), named.queries, named)]
    folder = Path(word)
    if not folder.is_dir():
        alike = difflib.get_close_matches(word.lower(), NAMED_SETS, n=1)
        hint = f"is it {alike[0]}?" if alike else f"the names are {', '.join(NAMED_SETS)}"
        raise UserError(f"test_sets = {word}: there is no such folder, nor a test set of that name; {hint}")
    return _sets_in(folder)


def _sets_in(folder: Path) -> list[SetFolders]:
    if folder.name.startswith(QUERIES) and (folder.parent / DATABASE).is_dir():
        return [SetFolders(folder.parent, folder.name)]
    queries = sorted(each.name for each in folder.glob(f"{QUERIES}*") if each.is_dir())
    if not queries or not (folder / DATABASE).is_dir():
        raise UserError(f"test_sets = {folder}: a test set holds a folder database and folders queries*, it does not")
    return [SetFolders(folder, name) for name in queries]


def _folder_of(named: NamedSet, sets_folder: Path | None, own: Callable[[str], Path]) -> Path:
    places = [sets_folder / folder for folder in named.folders] if sets_folder else []
    places += [own(named.split)] if named.split and not any(map(_has_database, places)) else []
    if not places:
        raise UserError(f"where is {named.name}? Give --test-sets-folder, which holds {named.folders[0]}")
    for place in places:
        if _has_database(place):
            return place
    looked = ", ".join(str(place / DATABASE) for place in places)
    raise UserError(f"{named.name}: its database is not there; looked for {looked}")


def _has_database(folder: Path) -> bool:
    return (folder / DATABASE).is_dir()
