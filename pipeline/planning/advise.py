"""What a knowledgeable colleague would advise for a body of images: is it enough, and which settings to use."""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_name
from data_manifest.progress import working
from data_manifest.store.find import find_artifact
from data_manifest.store.recipe import CURRENT, is_published
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.fields import FULL_TURN
from pipeline.planning.count_images import count_images
from pipeline.planning.image_statistics import Facts, find_facts
from pipeline.planning.plan_groups import EpochSettings, Plan, plans_of
from pipeline.planning.remarks import BATCH, Remark, all_remarks, use_headings
from pipeline.sources.settings import NAMES, SourceSettings

# From what the paper found best to what still makes classes of little data, and how unwelcome each is: wide cells and
# bins have views in one class that show little in common, few images show it in few lights, and groups of close classes
# hold neighbours that show the same houses.
SIDES = {10.0: 0, 15.0: 1, 20.0: 2, 30.0: 4, 50.0: 6}
ALPHAS = {30.0: 0, 60.0: 1, 90.0: 2}
LEAST = {10: 0, 5: 1, 3: 3}
CLOSE_CELLS, CLOSE_BINS = 2, 1  # the unwelcomeness of N = 2, and that of L = 1 beside it
PHONE_SIDE = 20.0  # and no less: a phone's position is off by 5 to 15 metres
GROUPS_NUM = 8  # as published
ENOUGH_SHARE = 0.65  # of the images that the best grouping trains on: for more, none is taken that is less welcome


@dataclass(frozen=True)
class Advice:
    """Everything that is advised: what was looked at, remarks, the grouping to use if there is one, and commands.

    `published` is what the published grouping would give.
    """

    facts: Facts
    remarks: list[Remark]
    plan: Plan | None
    published: Plan
    tried: list[Plan]
    commands: list[str]


def find_manifest(images: Path, artifacts: Path) -> Path:
    """Return the manifest that is meant by a folder of images, the newest of them, or by an artifact.

    Raises:
        UserError: There is none.
    """
    name = data_set_name(images, artifacts, claim=False)
    current = artifacts / "manifest" / name / CURRENT
    if is_published(current):
        return current
    if images.is_dir() and not is_published(images) and not is_published(images / CURRENT):
        raise UserError(
            f"{images}: there is no manifest {current} of these images yet: run BuildManifest first, as in "
            f"luigi --module workflows BuildManifest --photos-folder {images} --part photos --source exif"
        )
    return images if is_published(images) else find_artifact(images)


def advise(manifest: Path, artifacts: Path) -> Advice:
    """Return advice on the images of a published manifest.

    Raises:
        UserError: It is none.
    """
    with working("reading the manifest"):
        facts = find_facts(manifest)
    groupings = _groupings(facts)
    counted = count_images(manifest, artifacts, [*groupings, GroupSettings()])
    *tried, published = plans_of(counted, [*groupings, GroupSettings()], EpochSettings(batch_size=BATCH))
    plan = choose(tried)
    trained = None if plan is None else trained_on(plan)
    with working("checking the images"):
        remarks = list(all_remarks(facts, trained))
    return Advice(facts, remarks, plan, published, tried, _commands(facts, plan))


def _groupings(facts: Facts) -> list[GroupSettings]:
    """Return the groupings to try, the most welcome first."""
    sides = {M: cost for M, cost in SIDES.items() if facts.source != "exif" or M >= PHONE_SIDE}
    alphas = ALPHAS if use_headings(facts) else {FULL_TURN: 0}
    costs: dict[GroupSettings, int] = {}
    for M, alpha, least in itertools.product(sides, alphas, LEAST):
        cost = sides[M] + alphas[alpha] + LEAST[least]
        L = 2 if alpha < FULL_TURN else 1
        for N, bins, more in ((_spacing(M), L, 0), (2, L, CLOSE_CELLS), (2, 1, CLOSE_CELLS + CLOSE_BINS)):
            costs.setdefault(GroupSettings(M=M, alpha=alpha, N=N, L=bins, min_images_per_class=least), cost + more)
    return sorted(costs, key=lambda settings: costs[settings])


def _spacing(M: float) -> int:
    """Return N so that two classes of a group are about as far apart as in the paper, 40 metres."""
    return max(2, round(40 / M) + 1)


def trained_on(plan: Plan) -> dict[str, int]:
    """Return how many groups have a class for each image of a batch, and how many classes and images are in them."""
    able = plan.groups.filter("trainable")
    return {"groups": len(able), "classes": int(able["classes"].sum()), "images": int(able["images"].sum())}


def choose(tried: Sequence[Plan]) -> Plan | None:
    """Return the first grouping that trains on nearly as many images as any could; None if none can be trained on."""
    images = [trained_on(plan)["images"] for plan in tried]
    most = max(images, default=0)
    return next((plan for plan, count in zip(tried, images, strict=True) if 0 < ENOUGH_SHARE * most <= count), None)


def _commands(facts: Facts, plan: Plan | None) -> list[str]:
    """Return the command lines that build the groups, and train on them."""
    if plan is None:
        return []
    settings = plan.settings
    grouping = (
        f"--M {settings.M:g} --alpha {settings.alpha:g} --N {settings.N} --L {settings.L} "
        f"--min-images-per-class {settings.min_images_per_class}"
    )
    able = plan.groups.filter(pl.col("trainable"))["group_index"].to_list()[:GROUPS_NUM]
    some_are_not = len(able) < min(GROUPS_NUM, len(plan.groups))
    chosen = f"--groups {','.join(map(str, able))}" if some_are_not else f"--groups-num {len(able)}"
    tasks = "luigi --module workflows BuildGroups", "luigi --module workflows TrainCosPlace"
    to_group, to_train = _images(facts)
    return [f"{tasks[0]} {to_group} {grouping}", f"{tasks[1]} {to_train} {grouping} {chosen}"]


def _images(facts: Facts) -> tuple[str, str]:
    """Return the options that name the images to group, and those to train on.

    Images called as SF-XL's are laid out in training and other folders, or are one of them.
    """
    if facts.source != NAMES:
        photos = shlex.join(["--photos-folder", str(facts.origin), *_source_options(facts), "--split", "area"])
        return photos, photos
    if facts.origin.name == "train" and (facts.origin.parent / "val").is_dir():
        dataset = shlex.join(["--dataset-folder", str(facts.origin.parent)])
        return dataset, dataset
    train = shlex.join(["--train-folder", str(facts.origin)])
    return train, f"{train} --val-folder VAL"


def _source_options(facts: Facts) -> list[str]:
    """Return the options of the source that are not at their default."""
    defaults, words = SourceSettings().as_dict(), list[str]()
    for name, default in defaults.items():
        if (value := facts.source_settings.get(name, default)) != default:
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return words
