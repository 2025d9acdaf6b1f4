"""Find the folders of the test sets on a command line, by name or path. Imports neither torch nor faiss."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import has_sf_xl_names
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, as_images_folder, is_missing
from evaluation.settings import ChosenSets
from evaluation.test_sets.named_sets import NAMED_SETS, NamedSet

DATABASE, QUERIES = "database", "queries"


@dataclass(frozen=True)
class SetFolders:
    """A folder with database/ and a folder of queries, and the named test set that these are, if any."""

    folder: ImagesFolder
    queries: str
    named: NamedSet | None = None

    @property
    def by_names(self) -> bool:
        """True if the names of its images contain their positions, as in SF-XL."""
        return self.named is not None or has_sf_xl_names(self.folder / DATABASE)

    @property
    def has_positions(self) -> bool:
        """False if its images have no positions, so that there are no recalls."""
        return self.named is None or self.named.has_ground_truth


def find_sets(chosen: ChosenSets, own: Callable[[str], ImagesFolder], own_queries: str) -> list[SetFolders]:
    """Return the chosen test sets in order, or the data set's own; a folder with several queries*/ is several.

    Args:
        chosen: The chosen test sets.
        own: Returns the data set's folder of a split, test or val, which may hold SF-XL's named test sets.
        own_queries: Name of the folder of the data set's own test queries.

    Raises:
        UserError: A name is unknown, or its images are missing.
    """
    if chosen.test_sets is None:
        return [SetFolders(own("test"), own_queries)]
    words = [word.strip() for word in chosen.test_sets.split(",")]
    if not all(words):
        raise UserError(f"test_sets = {chosen.test_sets!r}: expected names or folders, separated by commas")
    found = [each for word in words for each in _find(word, chosen.test_sets_folder, own)]
    return list({(each.folder.resolve(), each.queries, each.named): each for each in found}.values())


def _find(word: str, sets_folder: ImagesFolder | None, own: Callable[[str], ImagesFolder]) -> list[SetFolders]:
    named = NAMED_SETS.get(word.lower().replace("_", "-"))
    if named is not None:
        return [SetFolders(_folder_of(named, sets_folder, own), named.queries, named)]
    folder = as_images_folder(word)
    if isinstance(folder, ImagesUrl):
        if not folder.name.startswith(QUERIES):
            raise UserError(f"test_sets = {word}: URLs must name the queries. Write {folder}/{QUERIES}_v1.")
        return [SetFolders(folder.parent, folder.name)]
    if not folder.is_dir():
        similar = difflib.get_close_matches(word.lower(), NAMED_SETS, n=1)
        hint = f"Did you mean {similar[0]}?" if similar else f"Names are {', '.join(NAMED_SETS)}"
        raise UserError(f"test_sets = {word}: no such folder and no named test set. {hint}")
    if folder.name.startswith(QUERIES) and _has_database(folder.parent):
        return [SetFolders(folder.parent, folder.name)]
    queries = sorted(each.name for each in folder.glob(f"{QUERIES}*") if each.is_dir())
    if not queries or not _has_database(folder):
        raise UserError(f"test_sets = {folder}: must contain a folder database and one or more folders queries*")
    return [SetFolders(folder, name) for name in queries]


def _folder_of(named: NamedSet, sets_folder: ImagesFolder | None, own: Callable[[str], ImagesFolder]) -> ImagesFolder:
    folders = [sets_folder / folder for folder in named.folders] if sets_folder else []
    folders += [own(named.split)] if named.split and not any(map(_has_database, folders)) else []
    if not folders:
        raise UserError(f"No folder given for {named.name}. Pass --test-sets-folder with {named.folders[0]} in it")
    searched = ", ".join(str(folder / DATABASE) for folder in folders)
    found = next(filter(_has_database, folders), None)
    advice = "Check --test-sets-folder"
    if found is None:
        hint = f". {named.database_from}" if named.database_from else ""
        raise UserError(f"{named.name}: no database found in {searched}. {advice}{hint}")
    if is_missing(found / named.queries):
        hint = f". {named.queries_from}" if named.queries_from else ""
        raise UserError(f"{named.name}: no queries found in {found / named.queries}. {advice}{hint}")
    return found


def _has_database(folder: ImagesFolder) -> bool:
    return not is_missing(folder / DATABASE)
