"""Which artefacts are needed, and why: what is current, what was asked to be kept, and the inputs of what is needed.

Who does not say what its inputs are may need anything that comes before it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_manifest.artefacts import CURRENT, RECIPE_FILE, digest_of, is_published, modified_ns
from data_manifest.references import STAGES, Artefact, User


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
        here.sort(key=lambda each: (-modified_ns(each.folder), each.digest))
        yield "among the newest", here[: rules.keep_newest]


def places_without_current(artefacts: list[Artefact]) -> list[Path]:
    """Return the folders of a stage and name where no link `current` leads to an artefact.

    As when a copy followed links or left them behind: what was current is not known any more.
    """
    links = {each.folder.parent / CURRENT for each in artefacts}
    return sorted(link.parent for link in links if not (link.is_symlink() and is_published(link)))


def _may_become_current(folder: Path) -> bool:
    """Return whether an artefact was finished after `current` was swapped: its publisher may be just about to."""
    return modified_ns(folder / RECIPE_FILE) > modified_ns(folder.parent / CURRENT)


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
