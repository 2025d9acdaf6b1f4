"""Advice as people read it, and as programs do."""

import textwrap
from typing import Any

from pipeline.advice import Advice
from pipeline.plan import Plan
from pipeline.remarks import NOTE, WARNING, takeable

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
    plan, able = advice.plan, takeable(advice.facts)
    return [
        *advice.commands,
        _wrapped(f"  gives {_sizes(plan)}, {plan.summary['images'] / max(1, able):.0%} of those that could be taken"),
        f"compare others: python -m pipeline plan {advice.facts.manifest} --M 10 20 --min-images-per-class 5 10",
    ]


def _sizes(plan: Plan) -> str:
    summary = plan.summary
    return (
        f"{summary['classes']:,} classes of {summary['images']:,} images in {summary['groups']:,} groups, "
        f"{plan.images_a_class['median'] or 0:,} images a class in the median"
    )
