"""Which artefact is needed, and by what: a recipe names its inputs by their digests.

Needed is what is current, what was asked to be kept, and, over any number of steps, the inputs of what is needed: of
artefacts, of training runs under `runs/`, which may go on any day, and of builds that are writing just now. Who does
not say what its inputs are may need anything that comes before it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifest.artefacts import (
    CURRENT,
    RECIPE_FILE,
    STAGING,
    dead_staging,
    digest_of,
    is_published,
    list_artefacts,
    read_recipe,
)
from data_manifest.errors import UserError

STAGES = ("manifest", "groups", "training", "evaluation")  # each is made from those before it
RUNS, RUN_FILE = "runs", "run.json"  # in the folder of a run: the recipe of the model that it trains
REMOVED = "removed-"  # begins the last part of the name of a staging folder in which an artefact waits to be deleted


@dataclass(frozen=True)
class User:
    """Something that was made, or is being made, from artefacts.

    Args:
        label: What it is called in a message.
        stage: The stage that makes it.
        inputs: The digests of what it is made from; None if it does not say.
        problem: Why not.
    """

    label: str
    stage: str
    inputs: frozenset[str] | None
    problem: str = ""


@dataclass(frozen=True)
class Artefact(User):
    """A published artefact."""

    folder: Path = Path()

    @property
    def digest(self) -> str:
        """Its digest, by which others name it."""
        return self.folder.name


def read_artefacts(artifacts: Path) -> list[Artefact]:
    """Return all published artefacts, sorted by path; a damaged one has a problem."""
    return [_read_artefact(folder) for folder in list_artefacts(artifacts)]


def _read_artefact(folder: Path) -> Artefact:
    stage, label = folder.parent.parent.name, "/".join(folder.parts[-3:])
    try:
        recipe = read_recipe(folder)
        if recipe["digest"] == folder.name:
            return Artefact(label, stage, _digests(recipe["inputs"]), folder=folder)
        problem = f"{folder} is not what its {RECIPE_FILE} says: remove it if it is not needed"
    except UserError as error:
        problem = str(error)
    except (LookupError, TypeError):
        problem = f"{folder / RECIPE_FILE} is no recipe: remove {folder} and run again"
    return Artefact(label, stage, None, problem, folder)


def _digests(inputs: Any) -> frozenset[str]:
    """Return the texts in a recipe's inputs, however deep."""
    if isinstance(inputs, str):
        return frozenset([inputs])
    if isinstance(inputs, Mapping):
        inputs = inputs.values()
    return frozenset().union(*map(_digests, inputs)) if isinstance(inputs, Iterable) else frozenset()


def read_users(artifacts: Path) -> list[User]:
    """Return who uses artefacts without being one: training runs, and builds that are not certainly dead."""
    return [*_runs(artifacts), *_builds(artifacts)]


def _runs(artifacts: Path) -> Iterator[User]:
    for folder in sorted(path for path in (artifacts / RUNS).glob("*/*") if path.is_dir()):
        inputs = _read_inputs(folder / RUN_FILE)
        label = f"the run {folder.parent.name}/{folder.name}"
        yield User(label, "training", inputs, "" if inputs is not None else f"{label} says not what it trains on")


def _builds(artifacts: Path) -> Iterator[User]:
    dead = set(dead_staging(artifacts))
    for folder in sorted((artifacts / STAGING).glob("*~*~*~*")):
        if folder in dead or folder.name.rpartition("~")[2].startswith(REMOVED):
            continue
        inputs = _read_inputs(folder / RECIPE_FILE)
        label = f"the build in {folder}"
        yield User(label, "", inputs, "" if inputs is not None else f"{label} says not what it reads")


def _read_inputs(recipe: Path) -> frozenset[str] | None:
    """Return the inputs in a recipe's file, or None if it is not there, not whole yet, or damaged."""
    try:
        return _digests(json.loads(recipe.read_text())["inputs"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


@dataclass(frozen=True)
class Rules:
    """What may be removed.

    Args:
        stages: Artefacts of other stages are kept.
        keep_newest: How many artefacts of each stage and name are kept because they are the newest.
    """

    stages: tuple[str, ...]
    keep_newest: int = 0


def reasons_to_keep(artefacts: list[Artefact], users: list[User], rules: Rules) -> dict[Path, str]:
    """Return the folders of the artefacts that are needed, each with a reason, as of what `current` leads to now."""
    named: dict[str, list[Artefact]] = {}
    for artefact in artefacts:
        named.setdefault(artefact.digest, []).append(artefact)
    named |= _validation_sets(artefacts)
    kept: dict[Path, str] = {}
    pending: list[tuple[str, Iterable[Artefact]]] = [*_asked_for(artefacts, rules), *_used(users, artefacts, named)]
    while pending:
        reason, needed = pending.pop(0)
        for artefact in needed:
            if artefact.folder not in kept:
                kept[artefact.folder] = reason
                pending += _used([artefact], artefacts, named)
    return kept


def _asked_for(artefacts: list[Artefact], rules: Rules) -> Iterator[tuple[str, list[Artefact]]]:
    """Give the artefacts that are needed by themselves."""
    yield "current", [each for each in artefacts if is_current(each.folder)]
    yield "damaged", [each for each in artefacts if each.problem]
    for place in places_without_current(artefacts):
        yield "nothing is current there", [each for each in artefacts if each.folder.parent == place]
    yield "its stage is not asked for", [each for each in artefacts if each.stage not in rules.stages]
    yield "newer than what is current", [each for each in artefacts if _may_become_current(each.folder)]
    for place in sorted({each.folder.parent for each in artefacts}):
        here = [each for each in artefacts if each.folder.parent == place]
        here.sort(key=lambda each: (-_modified_ns(each.folder), each.digest))
        yield "among the newest", here[: rules.keep_newest]


def places_without_current(artefacts: list[Artefact]) -> list[Path]:
    """Return the folders of a stage and name where no link `current` leads to an artefact.

    As when a copy followed links or left them behind: what was current is not known any more.
    """
    links = {each.folder.parent / CURRENT for each in artefacts}
    return sorted(link.parent for link in links if not (link.is_symlink() and is_published(link)))


def _may_become_current(folder: Path) -> bool:
    """Return whether an artefact was finished after `current` was swapped: its publisher may be just about to."""
    return _modified_ns(folder / RECIPE_FILE) > _modified_ns(folder.parent / CURRENT)


def _modified_ns(path: Path) -> int:
    """Return when a file, a folder or a link itself was modified; 0 if it is gone, as another process may see to."""
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def is_current(folder: Path) -> bool:
    """Return whether `current` leads to an artefact, be it there at the moment or not."""
    link = folder.parent / CURRENT
    try:
        return link.readlink() == Path(folder.name)
    except OSError:
        return False


def _used(
    users: Iterable[User], artefacts: list[Artefact], named: Mapping[str, list[Artefact]]
) -> Iterator[tuple[str, list[Artefact]]]:
    for user in users:
        if user.inputs is not None:
            yield f"used by {user.label}", [each for digest in user.inputs for each in named.get(digest, [])]
        else:
            before = STAGES[: STAGES.index(user.stage)] if user.stage in STAGES else STAGES
            yield f"perhaps used by {user.label}", [each for each in artefacts if each.stage in before]


def _validation_sets(artefacts: list[Artefact]) -> dict[str, list[Artefact]]:
    """Return the pairs of manifests by the digest under which a model names the two that it was validated with.

    That digest is `evaluation.recipe.validation_digest`. It cannot be taken apart, so all pairs are tried.
    """
    manifests = [each for each in artefacts if each.stage == "manifest"]
    return {
        digest_of({"database": database.digest, "queries": queries.digest}): [database, queries]
        for database in manifests
        for queries in manifests
    }
