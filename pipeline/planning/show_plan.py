"""Show plans as text or JSON."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.inspect.bars import table
from data_manifest.inspect.classes import show_settings
from data_manifest.inspect.summary import ODDITIES
from data_manifest.store.files import bytes_in, format_bytes
from pipeline.execution.disk_space import MANIFEST_BYTES_PER_IMAGE
from pipeline.groups.summary import describe, images_left_out
from pipeline.planning.count_images import ImageCounts
from pipeline.planning.forecast_reads import show_shares
from pipeline.planning.plan_groups import Plan

MAX_GROUPS_SHOWN = 50


def as_json(counts: ImageCounts, plans: Sequence[Plan]) -> dict[str, Any]:
    """Return counts and plans as JSON types."""
    images = {
        **counts.summary,
        "manifest": None if counts.manifest is None else str(counts.manifest),
        "manifest_bytes": _manifest_bytes(counts),
        "years": [{"year": year, "images": images} for year, images in counts.by_year.iter_rows()],
    }
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


def _manifest_bytes(counts: ImageCounts) -> int:
    return bytes_in(counts.manifest) if counts.manifest else counts.summary["usable"] * MANIFEST_BYTES_PER_IMAGE


def as_text(counts: ImageCounts, plans: Sequence[Plan]) -> str:
    """Return one plan with its groups, or several as a table with one row per plan."""
    if len(plans) == 1:
        return f"{_show_images(counts)}\n\n{_show_plan(plans[0])}"
    errors = [_show_error(plan) for plan in plans if plan.error]
    return "\n\n".join([_show_images(counts), _show_rows([_row(plan) for plan in plans]), *errors])


def _show_images(counts: ImageCounts) -> str:
    summary = counts.summary
    lines = [f"{summary['origin']}: {summary['files']:,} files, {summary['usable']:,} usable images"]
    lines += [f"rejected: {count:,}, {reason}" for reason, count in summary.get("rejects", {}).items() if count]
    for kind in ODDITIES:
        lines += [f"{kind}: {what}: {count:,}" for what, count in summary.get(kind, {}).items() if count]
    notes = {"repeats": "listed more than once", "without_heading": "without a heading"}
    lines += [f"{note}: {summary[name]:,}" for name, note in notes.items() if summary[name]]
    years = [f"{year or 'unknown'} {images:,}" for year, images in counts.by_year.iter_rows()]
    size = format_bytes(_manifest_bytes(counts))
    state = f"{counts.manifest}, {size}" if counts.manifest else f"not built yet, about {size}"
    return "\n  ".join([*lines, f"years: {', '.join(years)}", f"manifest: {state}"])


def _show_plan(plan: Plan) -> str:
    if plan.error:
        return _show_error(plan)
    summary, sizes = plan.summary, plan.images_per_class
    rows = [
        {
            **{"group": f"{row['group_index']}", **_counts(row)},
            **{"samples per class and epoch": _short(row["times_shown"]), **show_shares(row)},
        }
        for row in plan.groups.head(MAX_GROUPS_SHOWN).iter_rows(named=True)
    ]
    lines = [
        show_settings(plan.settings.as_dict()),
        describe(summary),
        f"images per class: {sizes['least']:,} to {sizes['most']:,}, median {sizes['median']:,}, quartiles "
        f"{sizes['lower_quartile']:,} and {sizes['upper_quartile']:,}",
        *(f"dropped: {images:,} images {reason}" for images, reason in images_left_out(summary, plan.settings)),
        f"size of the groups: about {format_bytes(plan.num_bytes)}",
    ]
    if too_small := as_ranges(plan.groups.filter(~pl.col("trainable"))["group_index"]):
        lines.append(f"groups with fewer classes than a batch has images, which cannot be trained on: {too_small}")
    hidden = len(plan.groups) - MAX_GROUPS_SHOWN
    more = f"\nand {hidden:,} more groups: see --format json" if hidden > 0 else ""
    return "\n  ".join(lines) + f"\n\n{_show_rows(rows)}{more}"


def _show_error(plan: Plan) -> str:
    return f"{show_settings(plan.settings.as_dict())}\n  cannot be built: {plan.error}"


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
        "samples per class and epoch": f"{_short(min(times))} to {_short(max(times))}" if times else "",
        "disk": format_bytes(plan.num_bytes),
    }


def _counts(row: dict[str, Any]) -> dict[str, str]:
    return {name: f"{row[name]:,}" for name in ("classes", "images")}


def _show_rows(rows: Sequence[dict[str, str]]) -> str:
    return "\n".join(table([list(rows[0]), *(list(row.values()) for row in rows)], left=()))


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.1f}"
