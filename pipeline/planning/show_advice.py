"""Advice as people read it, and as programs do."""

import textwrap
from typing import Any

from pipeline.groups.settings import GroupSettings
from pipeline.metadata.fields import FULL_TURN
from pipeline.planning.advise import Advice, trained_on
from pipeline.planning.plan_groups import Plan
from pipeline.planning.remarks import BATCH, NOTE, WARNING, takeable

WIDTH = 100


def as_json(advice: Advice) -> dict[str, Any]:
    """Return everything as JSON knows it."""
    facts = advice.facts
    return {
        "manifest": str(facts.manifest),
        "source": facts.source,
        "figures": facts.figures,
        "frames": facts.frames,
        "years": facts.years,
        "remarks": [{"kind": each.kind, "text": each.text} for each in advice.remarks],
        "grouping": None if advice.plan is None else {**advice.plan.settings.as_dict(), **advice.plan.summary},
        "tried": [{**plan.settings.as_dict(), **plan.summary} for plan in advice.tried],
        "published": {**advice.published.settings.as_dict(), **advice.published.summary},
        "commands": advice.commands,
    }


def as_text(advice: Advice) -> str:
    """Return the remarks, warnings first, and the grouping with its command line."""
    facts, figures = advice.facts, advice.facts.figures
    years = ", ".join(f"{each['year']} {each['images']:,}" for each in facts.years) or "none known"
    lines = [
        f"{facts.manifest}: {figures['images']:,} usable images at {figures['positions']:,} positions",
        f"years: {years}",
    ]
    for kind in (WARNING, NOTE):
        lines += ["", *(_wrapped(f"{kind}: {each.text}") for each in advice.remarks if each.kind == kind)]
    lines += ["", *_grouping(advice)]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _grouping(advice: Advice) -> list[str]:
    if advice.plan is None:
        return ["no grouping of these images can be trained on"]
    plan, able, trained = advice.plan, takeable(advice.facts), trained_on(advice.plan)
    share = f"{plan.summary['images'] / max(1, able):.0%} of those that could be taken"
    lines = [*advice.commands, _wrapped(f"  gives {_sizes(plan)}, {share}")]
    if trained["groups"] < plan.summary["groups"]:
        text = f"{trained['groups']:,} of the groups have the {BATCH} classes that a batch needs: {_in(trained)}"
        lines.append(_wrapped(f"  {text}"))
    lines.append(_wrapped(f"  {_apart(plan.settings)}"))
    if plan.settings != advice.published.settings:
        lines.append(_wrapped(f"  as published, {_settings(advice.published)}: {_trainable(advice.published)}"))
    more = f"compare others: python -m pipeline plan {advice.facts.manifest} --M 10 20 --min-images-per-class 5 10"
    return [*lines, more]


def _apart(settings: GroupSettings) -> str:
    metres, degrees = settings.M * (settings.N - 1), settings.alpha * (settings.L - 1)
    directions = f" or {degrees:g} degrees" if settings.alpha < FULL_TURN else ""
    published = GroupSettings()
    if metres >= published.M * (published.N - 1) and (degrees > 0 or not directions):
        return f"classes of a group are at least {metres:g} metres{directions} apart"
    return (
        f"classes of a group are at least {metres:g} metres{directions} apart, so that some show the same houses: "
        "of so few images farther ones cannot be made"
    )


def _settings(plan: Plan) -> str:
    settings = plan.settings
    return (
        f"M {settings.M:g}, alpha {settings.alpha:g}, N {settings.N}, L {settings.L}, at least "
        f"{settings.min_images_per_class} images a class"
    )


def _trainable(plan: Plan) -> str:
    trained = trained_on(plan)
    return f"{trained['groups']:,} groups to train on, {_in(trained)}" if trained["groups"] else "no group to train on"


def _in(counts: dict[str, int]) -> str:
    return f"{counts['classes']:,} classes of {counts['images']:,} images"


def _sizes(plan: Plan) -> str:
    median = f"{plan.images_a_class['median'] or 0:,} images a class in the median"
    return f"{_in(plan.summary)} in {plan.summary['groups']:,} groups, {median}"
