"""Show advice as text or JSON."""

import textwrap
from typing import Any

from data_manifest.inspect.classes import show_settings
from pipeline.groups.settings import GroupSettings
from pipeline.groups.summary import describe
from pipeline.planning.advise import Advice
from pipeline.planning.plan_groups import BATCH_SIZE, Plan
from pipeline.planning.remarks import NOTE, WARNING

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
        "remarks": [{"kind": kind, "text": text} for kind, text in advice.remarks],
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
        lines += ["", *(_wrap(f"{kind}: {text}") for each, text in advice.remarks if each == kind)]
    return "\n".join([*lines, "", *_show_grouping(advice)])


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _show_grouping(advice: Advice) -> list[str]:
    if advice.plan is None:
        return ["No grouping of these images can be trained on."]
    plan, published, figures = advice.plan, advice.published, advice.statistics.figures
    share = plan.summary["images"] / max(1, figures["with_heading" if advice.statistics.uses_headings else "images"])
    median = f"a median of {plan.images_per_class['median'] or 0:,} images per class"
    notes = [f"gives {describe(plan.summary)}, with {median}, {share:.0%} of the images that classes could use"]
    if plan.trainable["groups"] < plan.summary["groups"]:
        notes.append(f"groups with the {BATCH_SIZE} classes that a batch needs: {describe(plan.trainable)}")
    notes.append(_show_distance(plan.settings))
    if plan.settings != published.settings:
        some = f"{describe(published.trainable)} can" if published.trainable["groups"] else "no group can"
        notes.append(f"the published grouping, {show_settings(published.settings.as_dict())}: {some} be trained on")
    compare = f"compare others: python -m pipeline plan {advice.statistics.manifest} --M 10 20 --alpha 30 60"
    return [*advice.commands, *(_wrap(f"  {note}") for note in notes), compare]


def _show_distance(settings: GroupSettings) -> str:
    metres, degrees = settings.M * (settings.N - 1), settings.alpha * (settings.L - 1)
    directions = f" or {degrees:g} degrees" if settings.uses_headings else ""
    text = f"classes of a group are at least {metres:g} metres{directions} apart"
    published = GroupSettings()
    if metres >= published.M * (published.N - 1) and (degrees > 0 or not directions):
        return text
    return f"{text}, so that some show the same houses: there are too few images for more distance"
