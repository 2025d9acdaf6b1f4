"""Advise on a manifest's images: remarks, a grouping to train on, and the commands for it, as text or JSON."""

import dataclasses
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_name
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, is_missing
from data_manifest.inspect.classes import show_settings
from data_manifest.progress import working
from data_manifest.settings import flag_of
from data_manifest.store.find import find_artifact
from data_manifest.store.recipe import CURRENT, is_published
from pipeline.groups.settings import GroupSettings
from pipeline.groups.summary import describe
from pipeline.planning.advise_training import RANDOM_WEIGHTS, is_few, training_settings
from pipeline.planning.choose_grouping import Choice, choose_grouping
from pipeline.planning.image_statistics import ImageStatistics, compute_statistics
from pipeline.planning.plan_groups import Plan
from pipeline.planning.remarks import NOTE, WARNING, Remark, make_remarks
from pipeline.sources.settings import NAMES, SourceSettings

PUBLISHED_GROUPS_NUM = 8
WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Advice:
    """Advice on images."""

    statistics: ImageStatistics
    remarks: list[Remark]
    choice: Choice
    commands: list[str]  # build the groups and train on them


def find_manifest(images: ImagesFolder, artifacts: Path) -> Path:
    """Return the current manifest of a folder of images, or the artifact that a path means.

    Raises:
        UserError: There is none.
    """
    current = artifacts / "manifest" / data_set_name(images, artifacts, claim=False) / CURRENT
    for artifact in (current, images, images / CURRENT) if isinstance(images, Path) else (current,):
        if is_published(artifact):
            return artifact
    if isinstance(images, ImagesUrl):
        raise UserError(f"{images}: the manifest {current} is not built yet. Build it first, as by cosplace manifest.")
    if images.is_dir():
        raise UserError(
            f"{images}: the manifest {current} is not built yet. Build it first, as by "
            f"cosplace manifest --photos-folder {images} --part photos --source exif"
        )
    return find_artifact(images)


def advise(manifest: Path, artifacts: Path) -> Advice:
    """Return advice on the images of a published manifest.

    Raises:
        UserError: The artifact is not a manifest.
    """
    with working("reading the manifest"):
        statistics = compute_statistics(manifest)
    choice = choose_grouping(statistics, artifacts)
    with working("checking the images"):
        remarks = list(make_remarks(statistics, choice.plan.trainable if choice.plan else None))
    commands = _commands(statistics, choice.plan, choice.batch_size) if choice.plan else []
    return Advice(statistics, remarks, choice, commands)


def _commands(statistics: ImageStatistics, plan: Plan, batch_size: int) -> list[str]:
    """Return the command lines that build the groups and train on them."""
    trainable = plan.groups.filter("trainable")["group_index"].to_list()[:PUBLISHED_GROUPS_NUM]
    has_all = len(trainable) == min(PUBLISHED_GROUPS_NUM, len(plan.groups))
    chosen = ["--groups-num", str(len(trainable))] if has_all else ["--groups", ",".join(map(str, trainable))]
    images, validation, grouping = *_image_options(statistics), _options(plan.settings.as_dict())
    training = _options(training_settings(plan, trainable, batch_size))
    return [
        shlex.join(["cosplace", "groups", *images, *grouping]),
        shlex.join(["cosplace", "train", *images, *validation, *grouping, *chosen, *training]),
    ]


def _image_options(statistics: ImageStatistics) -> tuple[list[str], list[str]]:
    """Return the options that name the images to group, and those that training needs besides."""
    origin, defaults = statistics.origin, SourceSettings().as_dict()
    if statistics.source != NAMES:
        values = {name: statistics.source_settings.get(name, default) for name, default in defaults.items()}
        given = {name: value for name, value in values.items() if value != defaults[name]}
        return ["--photos-folder", str(origin), *_options(given), "--split", "area"], []
    if origin.name == "train" and not is_missing(origin.parent / "val"):
        return ["--dataset-folder", str(origin.parent)], []
    return ["--train-folder", str(origin)], ["--val-folder", "VAL"]


def _options(values: Mapping[str, Any]) -> list[str]:
    """Return settings as words of a command line."""
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return [word for name, text in texts.items() for word in (flag_of(name), text)]


def advice_as_json(advice: Advice) -> dict[str, Any]:
    """Return the advice as JSON types."""
    statistics = advice.statistics
    return {
        "manifest": str(statistics.manifest),
        "source": statistics.source,
        "figures": statistics.figures,
        "zones": statistics.zones,
        "years": statistics.years,
        "remarks": [{"kind": kind, "text": text} for kind, text in advice.remarks],
        "grouping": None if advice.choice.plan is None else _plan_as_json(advice.choice.plan),
        "tried": [_plan_as_json(plan) for plan in advice.choice.tried],
        "published": _plan_as_json(advice.choice.published),
        "commands": advice.commands,
    }


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {**plan.settings.as_dict(), **plan.summary}


def advice_as_text(advice: Advice) -> str:
    """Return the remarks, warnings first, then the suggested grouping and its commands."""
    statistics, figures = advice.statistics, advice.statistics.figures
    years = ", ".join(f"{each['year']} {each['images']:,}" for each in statistics.years) or "unknown"
    lines = [
        f"{statistics.manifest}: {figures['images']:,} usable images at {figures['positions']:,} positions",
        f"years: {years}",
    ]
    for kind in (WARNING, NOTE):
        lines += ["", *(_wrap(f"{kind}: {text}") for each, text in advice.remarks if each == kind)]
    return "\n".join([*lines, "", *_show_grouping(advice)])


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _show_grouping(advice: Advice) -> list[str]:
    if advice.choice.plan is None:
        return ["No grouping of these images can be trained on."]
    plan, published, figures = advice.choice.plan, advice.choice.published, advice.statistics.figures
    share = plan.summary["images"] / max(1, figures["with_heading" if advice.statistics.uses_headings else "images"])
    median = f"a median of {plan.images_per_class['median'] or 0:,} images per class"
    notes = [f"gives {describe(plan.summary)}, with {median}, {share:.0%} of the images that classes could use"]
    if plan.trainable["groups"] < plan.summary["groups"]:
        notes.append(
            f"groups with the {advice.choice.batch_size} classes that a batch needs: {describe(plan.trainable)}"
        )
    notes.append(_show_distance(plan.settings))
    if plan.settings != published.settings:
        some = f"{describe(published.trainable)} can" if published.trainable["groups"] else "no group can"
        notes.append(f"the published grouping, {show_settings(published.settings.as_dict())}: {some} be trained on")
    if is_few(plan):
        notes.append(f"training settings for few images and ImageNet weights; for random weights use {RANDOM_WEIGHTS}")
    compare = f"compare others: cosplace plan {advice.statistics.manifest} --M 10 20 --alpha 30 60"
    return [*advice.commands, *(_wrap(f"  {note}") for note in notes), compare]


def _show_distance(settings: GroupSettings) -> str:
    if settings.N == settings.L == 1:
        return "all classes are in one group, also those that show the same houses: there are too few images for more"
    metres, degrees = settings.M * (settings.N - 1), settings.alpha * (settings.L - 1)
    directions = f" or {degrees:g} degrees" if settings.uses_headings else ""
    text = f"classes of a group are at least {metres:g} metres{directions} apart"
    published = GroupSettings()
    if metres >= published.M * (published.N - 1) and (degrees > 0 or not directions):
        return text
    return f"{text}, so that some show the same houses: there are too few images for more distance"
