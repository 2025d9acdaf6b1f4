"""Show plans as text or JSON."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.store.files import bytes_in, format_bytes
from pipeline.execution.disk_space import manifest_bytes
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_partition import HEADINGS, KEPT_UTM
from pipeline.planning.count_images import Counted
from pipeline.planning.plan_groups import Plan

MAX_GROUPS_SHOWN = 50
REJECTS = "rejects: "


def as_json(counted: Counted, plans: Sequence[Plan]) -> dict[str, Any]:
    """Return counts and plans as JSON types."""
    images = {
        **counted.summary,
        "manifest": None if counted.manifest is None else str(counted.manifest),
        "manifest_bytes": _manifest_bytes(counted),
        "years": [{"year": year, "images": images} for year, images in counted.by_year.iter_rows()],
    }
    images.pop("sources", None)
    return {"images": images, "plans": [_plan_as_json(plan) for plan in plans]}


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "settings": {**plan.settings.as_dict(), "years": plan.settings.years},
        **plan.summary,
        "images_per_class": plan.images_per_class,
        "groups_bytes": plan.num_bytes,
        "error": plan.error,
        "by_group": plan.groups.to_dicts(),
    }


def _manifest_bytes(counted: Counted) -> int:
    return bytes_in(counted.manifest) if counted.manifest else manifest_bytes(counted.summary["usable"])


def as_text(counted: Counted, plans: Sequence[Plan]) -> str:
    """Return one plan with its groups, or several as a table with one row per plan."""
    if len(plans) == 1:
        return f"{_show_images(counted)}\n\n{_show_plan(plans[0])}"
    errors = [_show_error(plan) for plan in plans if plan.error]
    return "\n\n".join([_show_images(counted), _align([_row(plan) for plan in plans]), *errors])


def _show_images(counted: Counted) -> str:
    summary = counted.summary
    lines = [f"{counted.origin}: {summary['files']:,} files, {summary['usable']:,} usable images"]
    reasons = {key.removeprefix(REJECTS): count for key, count in summary.items() if key.startswith(REJECTS)}
    lines += [f"rejected: {count:,}, {reason}" for reason, count in reasons.items() if count]
    lines += [f"{key}: {count:,}" for key, count in summary.items() if key.startswith((HEADINGS, KEPT_UTM)) and count]
    lines += [f"listed more than once: {summary['repeats']:,}"] if summary["repeats"] else []
    lines += [f"without a heading: {summary['without_heading']:,}"] if summary["without_heading"] else []
    years = [f"{year or 'unknown'} {images:,}" for year, images in counted.by_year.iter_rows()]
    size = format_bytes(_manifest_bytes(counted))
    state = f"{counted.manifest}, {size}" if counted.manifest else f"not built yet, about {size}"
    return "\n  ".join([*lines, f"years: {', '.join(years)}", f"manifest: {state}"])


def _show_plan(plan: Plan) -> str:
    if plan.error:
        return _show_error(plan)
    summary, sizes = plan.summary, plan.images_per_class
    rows = [
        {"group": f"{row['group_index']}", **_counts(row), "samples per class and epoch": f"{row['times_shown']:,.1f}"}
        for row in plan.groups.head(MAX_GROUPS_SHOWN).iter_rows(named=True)
    ]
    lines = [
        _show_settings(plan.settings),
        f"{summary['classes']:,} classes with {summary['images']:,} images in {summary['groups']:,} groups",
        f"images per class: {sizes['least']:,} to {sizes['most']:,}, median {sizes['median']:,}, quartiles "
        f"{sizes['lower_quartile']:,} and {sizes['upper_quartile']:,}",
        *_show_dropped(plan),
        f"size of the groups: about {format_bytes(plan.num_bytes)}",
    ]
    if too_small := as_ranges(plan.groups.filter(~pl.col("trainable"))["group_index"]):
        lines.append(f"groups with fewer classes than a batch has images, which cannot be trained on: {too_small}")
    hidden = len(plan.groups) - MAX_GROUPS_SHOWN
    more = f"\nand {hidden:,} more groups: see --format json" if hidden > 0 else ""
    return "\n  ".join(lines) + f"\n\n{_align(rows)}{more}"


def _show_error(plan: Plan) -> str:
    return f"{_show_settings(plan.settings)}\n  cannot be built: {plan.error}"


def _show_dropped(plan: Plan) -> list[str]:
    summary = plan.summary
    few, least = summary["classes_with_too_few_images"], plan.settings.min_images_per_class
    reasons = {
        f"in {few:,} classes with fewer than {least} images": summary["images_in_them"],
        "without a heading": summary["images_without_heading"],
        "of other years": summary.get("images_of_other_years", 0),
        "without a year": summary.get("images_without_year", 0),
    }
    return [f"dropped: {images:,} images {reason}" for reason, images in reasons.items() if images]


def _row(plan: Plan) -> dict[str, str]:
    """Return a row of the table of plans; images per class are the median, samples the smallest and largest number."""
    settings, summary, times = plan.settings, plan.summary, plan.groups["times_shown"].to_list()
    return {
        **{name: f"{getattr(settings, name):g}" for name in ("M", "alpha", "N", "L", "min_images_per_class")},
        "years": settings.years or "all",
        "groups": f"{summary['groups']:,}",
        **_counts(summary),
        "images per class": f"{plan.images_per_class['median'] or 0:,}",
        "classes dropped": f"{summary['classes_with_too_few_images']:,}",
        "their images": f"{summary['images_in_them']:,}",
        "samples per class and epoch": f"{min(times):,.1f} to {max(times):,.1f}" if times else "",
        "disk": format_bytes(plan.num_bytes),
    }


def _counts(row: dict[str, Any]) -> dict[str, str]:
    return {name: f"{row[name]:,}" for name in ("classes", "images")}


def _show_settings(settings: GroupSettings) -> str:
    return ", ".join(
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in settings.as_dict().items()
    )


def _align(rows: Sequence[dict[str, str]]) -> str:
    """Return rows below a header, aligned to the right."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    lines = [{name: name for name in widths}, *rows]
    return "\n".join("  ".join(line[name].rjust(width) for name, width in widths.items()) for line in lines)
