"""Show advice as text or JSON."""

import textwrap
from typing import Any

from pipeline.groups.settings import GroupSettings
from pipeline.metadata.fields import FULL_TURN
from pipeline.planning.advise import Advice
from pipeline.planning.plan_groups import Plan
from pipeline.planning.remarks import BATCH_SIZE, NOTE, WARNING

WIDTH = 100


def as_json(advice: Advice) -> dict[str, Any]:
    """Return the advice as JSON types."""
    statistics = advice.statistics
    return {
        "manifest": str(statistics.manifest),
        "source": statistics.source,
        "figures": statistics.figures,
        "zones": statistics.zones,
        "years": statistics.years,
        "remarks": [{"kind": each.kind, "text": each.text} for each in advice.remarks],
        "grouping": None if advice.plan is None else _plan_as_json(advice.plan),
        "tried": [_plan_as_json(plan) for plan in advice.tried],
        "published": _plan_as_json(advice.published),
        "commands": advice.commands,
    }


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {**plan.settings.as_dict(), **plan.summary}


def as_text(advice: Advice) -> str:
    """Return the remarks, warnings first, then the suggested grouping and its commands."""
    statistics, figures = advice.statistics, advice.statistics.figures
    years = ", ".join(f"{each['year']} {each['images']:,}" for each in statistics.years) or "unknown"
    lines = [
        f"{statistics.manifest}: {figures['images']:,} usable images at {figures['positions']:,} positions",
        f"years: {years}",
    ]
    for kind in (WARNING, NOTE):
        lines += ["", *(_wrap(f"{kind}: {each.text}") for each in advice.remarks if each.kind == kind)]
    return "\n".join([*lines, "", *_show_grouping(advice)])


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _show_grouping(advice: Advice) -> list[str]:
    if advice.plan is None:
        return ["No grouping of these images can be trained on."]
    plan, figures = advice.plan, advice.statistics.figures
    able = figures["with_heading" if advice.statistics.uses_headings else "images"]
    share = f"{plan.summary['images'] / max(1, able):.0%} of the images that classes could use"
    median = f"a median of {plan.images_per_class['median'] or 0:,} images per class"
    sizes = f"{_counts(plan.summary)} in {plan.summary['groups']:,} groups, with {median}, {share}"
    lines = [*advice.commands, _wrap(f"  gives {sizes}")]
    if plan.trainable["groups"] < plan.summary["groups"]:
        text = f"{plan.trainable['groups']:,} of the groups have the {BATCH_SIZE} classes that a batch needs"
        lines.append(_wrap(f"  {text}: {_counts(plan.trainable)}"))
    lines.append(_wrap(f"  {_show_distance(plan.settings)}"))
    if plan.settings != advice.published.settings:
        lines.append(_wrap(f"  {_show_published(advice.published)}"))
    return [*lines, f"compare others: python -m pipeline plan {advice.statistics.manifest} --M 10 20 --alpha 30 60"]


def _show_distance(settings: GroupSettings) -> str:
    metres, degrees = settings.M * (settings.N - 1), settings.alpha * (settings.L - 1)
    directions = f" or {degrees:g} degrees" if settings.alpha < FULL_TURN else ""
    text = f"classes of a group are at least {metres:g} metres{directions} apart"
    published = GroupSettings()
    if metres >= published.M * (published.N - 1) and (degrees > 0 or not directions):
        return text
    return f"{text}, so that some show the same houses: there are too few images for more distance"


def _show_published(plan: Plan) -> str:
    settings, trainable = plan.settings, plan.trainable
    names = f"M {settings.M:g}, alpha {settings.alpha:g}, N {settings.N}, L {settings.L}"
    some = f"{trainable['groups']:,} trainable groups, {_counts(trainable)}"
    groups = some if trainable["groups"] else "no trainable group"
    return f"the published grouping, {names}, at least {settings.min_images_per_class} images per class: {groups}"


def _counts(counts: dict[str, Any]) -> str:
    return f"{counts['classes']:,} classes of {counts['images']:,} images"
