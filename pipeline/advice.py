"""What a knowledgeable colleague would advise for a body of images: is it enough, and which settings to use."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.artefacts import CURRENT, is_published
from data_manifest.errors import UserError
from data_manifest.lookup import find_artefact
from pipeline.counting import count_images
from pipeline.dataset import data_set_name
from pipeline.facts import Facts, find_facts
from pipeline.plan import EpochSettings, Plan, plans_of
from pipeline.remarks import BATCH, Remark, all_remarks, takeable, use_headings
from pipeline.settings import FULL_TURN, GroupSettings

# From what the paper found best to what still makes classes of little data.
SIDES, ALPHAS, LEAST = (10.0, 15.0, 20.0, 30.0, 50.0), (30.0, 60.0, 90.0), (10, 5, 3)
PHONE_SIDES = (20.0, 30.0, 50.0)  # a phone's position is off by 5 to 15 metres
GROUPS_NUM = 8  # as published
ENOUGH_SHARE = 0.6  # of the images that could be taken: with less a coarser grouping takes more


@dataclass(frozen=True)
class Advice:
    """Everything that is advised: what was looked at, remarks, the grouping to use if there is one, and commands."""

    facts: Facts
    remarks: list[Remark]
    plan: Plan | None
    tried: list[Plan]
    commands: list[str]


def find_manifest(images: Path, artifacts: Path) -> Path:
    """Return the manifest that is meant by a folder of images, the newest of them, or by an artefact.

    Raises:
        UserError: There is none.
    """
    name = data_set_name(images)
    current = artifacts / "manifest" / name / CURRENT
    if is_published(current):
        return current
    if images.is_dir() and not is_published(images) and not is_published(images / CURRENT):
        raise UserError(
            f"{images}: there is no manifest {current} of these images yet: run BuildManifest first, as in "
            f"luigi --module workflows BuildManifest --photos-folder {images} --part photos --source exif"
        )
    return images if is_published(images) else find_artefact(images)


def advise(manifest: Path, artifacts: Path) -> Advice:
    """Return advice on the images of a published manifest.

    Raises:
        UserError: It is none.
    """
    facts = find_facts(manifest)
    groupings = _groupings(facts)
    counted = count_images(manifest, artifacts, groupings)
    tried = plans_of(counted, groupings, EpochSettings(batch_size=BATCH))
    plan = choose(tried, facts)
    summary = None if plan is None else plan.summary
    return Advice(facts, list(all_remarks(facts, summary)), plan, tried, _commands(facts, plan))


def _groupings(facts: Facts) -> list[GroupSettings]:
    """Return the groupings to try, the best first: at last those of fewer groups, for little data."""
    sides = PHONE_SIDES if facts.source == "exif" else SIDES
    alphas = ALPHAS if use_headings(facts) else (360.0,)
    as_published = [
        GroupSettings(M=M, alpha=alpha, N=_spacing(M), L=2 if alpha < FULL_TURN else 1, min_images_per_class=least)
        for least, M, alpha in itertools.product(LEAST, sides, alphas)
    ]
    closer = [
        GroupSettings(M=M, alpha=alpha, N=2, L=1, min_images_per_class=LEAST[-1])
        for M, alpha in itertools.product(sides, alphas)
    ]
    return list(dict.fromkeys([*as_published, *closer]))


def _spacing(M: float) -> int:
    """Return N so that two classes of a group are about as far apart as in the paper, 40 metres."""
    return max(2, round(40 / M) + 1)


def choose(tried: Sequence[Plan], facts: Facts) -> Plan | None:
    """Return the first grouping that can be trained on and takes most images, else the one that takes the most.

    None if none has a group with a class for each image of a batch.
    """
    able = [plan for plan in tried if plan.groups["trainable"].any()]
    good = [plan for plan in able if plan.summary["images"] >= ENOUGH_SHARE * takeable(facts)]
    return good[0] if good else max(able, key=lambda plan: plan.summary["images"], default=None)


def _commands(facts: Facts, plan: Plan | None) -> list[str]:
    """Return the command lines that build the groups, and train on them."""
    if plan is None:
        return []
    settings = plan.settings
    grouping = (
        f"{_images(facts)} --M {settings.M:g} --alpha {settings.alpha:g} --N {settings.N} --L {settings.L} "
        f"--min-images-per-class {settings.min_images_per_class}"
    )
    able = plan.groups.filter(pl.col("trainable"))["group_index"].to_list()[:GROUPS_NUM]
    some_are_not = len(able) < min(GROUPS_NUM, len(plan.groups))
    chosen = f"--groups {','.join(map(str, able))}" if some_are_not else f"--groups-num {len(able)}"
    tasks = f"luigi --module workflows BuildGroups {grouping}", f"luigi --module workflows TrainCosPlace {grouping}"
    return [tasks[0], f"{tasks[1]} {chosen}"]


def _images(facts: Facts) -> str:
    """Return the options that name the images; those of names are laid out in training and other folders."""
    if facts.source == "names":
        return f"--train-folder {facts.origin}"
    table = " --table TABLE" if facts.source == "table" else ""
    return f"--photos-folder {facts.origin} --source {facts.source}{table} --split area"
