"""A plan as people read it, and as programs do."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.store.files import format_bytes
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_partition import HEADINGS, KEPT_UTM
from pipeline.planning.count_images import Counted
from pipeline.planning.plan_groups import Plan, bytes_of_manifest

SHOWN_GROUPS = 50
REJECTS = "rejects: "


def as_json(counted: Counted, plans: Sequence[Plan]) -> dict[str, Any]:
    """Return everything as JSON knows it."""
    images = {
        **counted.summary,
        "manifest": None if counted.manifest is None else str(counted.manifest),
        "manifest_bytes": bytes_of_manifest(counted),
        "years": [{"year": year, "images": images} for year, images in counted.by_year.iter_rows()],
    }
    images.pop("sources", None)
    return {"images": images, "plans": [_plan_as_json(plan) for plan in plans]}


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "settings": {**plan.settings.as_dict(), "years": plan.settings.years},
        **plan.summary,
        "images_a_class": plan.images_a_class,
        "groups_bytes": plan.num_bytes,
        "refused": plan.refused,
        "by_group": plan.groups.to_dicts(),
    }


def as_text(counted: Counted, plans: Sequence[Plan]) -> str:
    """Return one plan with its groups, or several as a table with a row for each."""
    lines = [_text_of_one(plans[0])] if len(plans) == 1 else [_table_of(plans), *_refusals(plans)]
    return "\n\n".join([_text_of_images(counted), *lines])


def _text_of_images(counted: Counted) -> str:
    summary = counted.summary
    reasons = {key.removeprefix(REJECTS): found for key, found in summary.items() if key.startswith(REJECTS)}
    lines = [f"{counted.origin}: {summary['files']:,} files, {summary['usable']:,} usable images"]
    lines += [f"rejected: {found:,}, {reason}" for reason, found in reasons.items() if found]
    for key, found in summary.items():
        if key.startswith((HEADINGS, KEPT_UTM)) and found:
            lines.append(f"{key}: {found:,}")
    lines += [f"listed more than once, taken once: {summary['repeats']:,}"] if summary["repeats"] else []
    lines += [f"without a heading: {summary['without_heading']:,}"] if summary["without_heading"] else []
    years = [f"{year or 'without'} {images:,}" for year, images in counted.by_year.iter_rows()]
    size = format_bytes(bytes_of_manifest(counted))
    there = f"there, {size} in {counted.manifest}" if counted.manifest else f"not there yet, about {size}"
    return "\n  ".join([*lines, f"years: {', '.join(years)}", f"manifest: {there}"])


def _text_of_one(plan: Plan) -> str:
    if plan.refused:
        return f"{_shown(plan.settings)}\n  no groups would be built: {plan.refused}"
    summary, sizes = plan.summary, plan.images_a_class
    rows = [
        {"group": f"{row['group_index']}", **_counts(row), "times an epoch shows a class": f"{row['times_shown']:,.1f}"}
        for row in plan.groups.head(SHOWN_GROUPS).iter_rows(named=True)
    ]
    more = len(plan.groups) - SHOWN_GROUPS
    lines = [
        _shown(plan.settings),
        f"taken: {summary['classes']:,} classes of {summary['images']:,} images, in {summary['groups']:,} groups",
        f"images a class: {sizes['least']:,} to {sizes['most']:,}; the median is {sizes['median']:,}, half of the "
        f"classes have {sizes['lower_quartile']:,} to {sizes['upper_quartile']:,}",
        *_left_out(plan),
        f"groups on the disk: about {format_bytes(plan.num_bytes)}",
    ]
    if too_small := as_ranges(plan.groups.filter(~pl.col("trainable"))["group_index"]):
        lines.append(f"too few classes to train on, fewer than a batch has images: groups {too_small}")
    table = _columns(rows) + (f"\nand {more:,} more groups: see --format json" if more > 0 else "")
    return "\n  ".join(lines) + "\n\n" + table


def _left_out(plan: Plan) -> list[str]:
    summary = plan.summary
    few, least = summary["classes_with_too_few_images"], plan.settings.min_images_per_class
    reasons = {
        f"of {few:,} classes with fewer than {least}": summary["images_in_them"],
        "without a heading": summary["images_without_heading"],
        "of other years": summary.get("images_of_other_years", 0),
        "without a year": summary.get("images_without_year", 0),
    }
    return [f"left out: {images:,} images {reason}" for reason, images in reasons.items() if images]


def _table_of(plans: Sequence[Plan]) -> str:
    return _columns([_row(plan) for plan in plans])


def _row(plan: Plan) -> dict[str, str]:
    """Return a plan as a row; of images a class the median, of how often an epoch shows each the least and most."""
    settings, summary = plan.settings, plan.summary
    times = plan.groups["times_shown"].to_list()
    return {
        **{name: f"{getattr(settings, name):g}" for name in ("M", "alpha", "N", "L", "min_images_per_class")},
        "years": settings.years or "all",
        "groups": f"{summary['groups']:,}",
        **_counts(summary),
        "images a class": f"{plan.images_a_class['median'] or 0:,}",
        "classes left out": f"{summary['classes_with_too_few_images']:,}",
        "their images": f"{summary['images_in_them']:,}",
        "shown an epoch": f"{min(times):,.1f} to {max(times):,.1f}" if times else "",
        "disk": format_bytes(plan.num_bytes),
    }


def _refusals(plans: Sequence[Plan]) -> list[str]:
    return [f"{_shown(plan.settings)}\n  no groups would be built: {plan.refused}" for plan in plans if plan.refused]


def _counts(row: dict[str, Any]) -> dict[str, str]:
    return {name: f"{row[name]:,}" for name in ("classes", "images")}


def _shown(settings: GroupSettings) -> str:
    return ", ".join(
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in settings.as_dict().items()
    )


def _columns(rows: Sequence[dict[str, str]]) -> str:
    """Return rows under their names, aligned to the right, as numbers are read."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    lines = [{name: name for name in widths}, *rows]
    return "\n".join("  ".join(line[name].rjust(width) for name, width in widths.items()) for line in lines)
