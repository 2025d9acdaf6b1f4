"""Which artifacts are needed, and why: what is current, what was asked to be kept, and the inputs of what is needed.

Who does not say what its inputs are may need anything that comes before it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_manifest.store.files import modified_ns
from data_manifest.store.recipe import CURRENT, RECIPE_FILE, digest_of, is_published
from data_manifest.store.references import STAGES, Artifact, User


@dataclass(frozen=True)
class Rules:
    """What may be removed.

    Args:
        stages: Artifacts of other stages are kept.
        keep_newest: How many artifacts of each stage and name are kept because they are the newest.
    """

    stages: tuple[str, ...]
    keep_newest: int = 0


def reasons_to_keep(artifacts: list[Artifact], users: list[User], rules: Rules) -> dict[Path, str]:
    """Return the folders of the artifacts that are needed, each with a reason, as of what `current` leads to now."""
    named: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        named.setdefault(artifact.digest, []).append(artifact)
    named |= _validation_sets(artifacts)
    kept: dict[Path, str] = {}
    pending: list[tuple[str, Iterable[Artifact]]] = [*_asked_for(artifacts, rules), *_used(users, artifacts, named)]
    while pending:
        reason, needed = pending.pop(0)
        for artifact in needed:
            if artifact.folder not in kept:
                kept[artifact.folder] = reason
                pending += _used([artifact], artifacts, named)
    return kept


def _asked_for(artifacts: list[Artifact], rules: Rules) -> Iterator[tuple[str, list[Artifact]]]:
    """Give the artifacts that are needed by themselves."""
    yield "current", [each for each in artifacts if is_current(each.folder)]
    yield "damaged", [each for each in artifacts if each.problem]
    for place in places_without_current(artifacts):
        yield "nothing is current there", [each for each in artifacts if each.folder.parent == place]
    yield "its stage is not asked for", [each for each in artifacts if each.stage not in rules.stages]
    yield "newer than what is current", [each for each in artifacts if _may_become_current(each.folder)]
    for place in sorted({each.folder.parent for each in artifacts}):
        here = [each for each in artifacts if each.folder.parent == place]
        here.sort(key=lambda each: (-modified_ns(each.folder), each.digest))
        yield "among the newest", here[: rules.keep_newest]


def places_without_current(artifacts: list[Artifact]) -> list[Path]:
    """Return the folders of a stage and name where no link `current` leads to an artifact.

    As when a copy followed links or left them behind: what was current is not known any more.
    """
    links = {each.folder.parent / CURRENT for each in artifacts}
    return sorted(link.parent for link in links if not (link.is_symlink() and is_published(link)))


def _may_become_current(folder: Path) -> bool:
    """Return whether an artifact was finished after `current` was swapped: its publisher may be just about to."""
    return modified_ns(folder / RECIPE_FILE) > modified_ns(folder.parent / CURRENT)


def is_current(folder: Path) -> bool:
    """Return whether `current` leads to an artifact, be it there at the moment or not."""
    link = folder.parent / CURRENT
    try:
        return link.readlink() == Path(folder.name)
    except OSError:
        return False


def _used(
    users: Iterable[User], artifacts: list[Artifact], named: Mapping[str, list[Artifact]]
) -> Iterator[tuple[str, list[Artifact]]]:
    for user in users:
        if user.inputs is not None:
            yield f"used by {user.label}", [each for digest in user.inputs for each in named.get(digest, [])]
        else:
            before = STAGES[: STAGES.index(user.stage)] if user.stage in STAGES else STAGES
            yield f"perhaps used by {user.label}", [each for each in artifacts if each.stage in before]


def _validation_sets(artifacts: list[Artifact]) -> dict[str, list[Artifact]]:
    """Return the pairs of manifests by the digest under which a model names the two that it was validated with.

    That digest is `evaluation.recipe.validation_digest`. It cannot be taken apart, so all pairs are tried.
    """
    manifests = [each for each in artifacts if each.stage == "manifest"]
    return {
        digest_of({"database": database.digest, "queries": queries.digest}): [database, queries]
        for database in manifests
        for queries in manifests
    }
