"""The section on the data: where, in which direction and when the images were taken, and the rejects."""

from typing import Any

import numpy as np
import polars as pl
from matplotlib.ticker import MaxNLocator

from data_manifest.inspect.rejects import list_rejects
from data_manifest.inspect.summary import summarise
from data_manifest.tables import scan_table
from evaluation.report.charts.maps import METRES_PER_KM, Extent, count_squares, draw_density, new_map, square_side
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, TALL, count_axis, leave_slots, new_chart, new_compass
from evaluation.report.find_inputs import Artifact, ReportInputs
from evaluation.report.format_values import format_count, format_plural, format_range
from evaluation.report.page.blocks import Block, Charts, Note, Section, Table

DEGREES_PER_BIN, FULL_TURN = 10, 360
EXAMPLES = 3


def data_section(inputs: ReportInputs) -> Section:
    """Return the section on the training images or, if they are unknown, on the database."""
    images, name = inputs.train_images, "training"
    if images is None:
        images, name = inputs.test_sets[0].database.manifest, "database"
    manifests = _manifests(inputs)
    facts = {part: summarise(manifest.folder) for part, manifest in manifests.items()}
    rows = scan_table(images.folder, "manifest")
    plots = [plot_map(rows, name), plot_headings(rows, name), plot_years(rows, name)]
    blocks: list[Block] = [_table_of_sets(facts), Charts([plot for plot in plots if plot is not None])]
    rejects = [_table_of_rejects(part, manifest) for part, manifest in manifests.items() if facts[part]["rejects"]]
    blocks += rejects or [Note("There are no rejects: every file is a usable image.")]
    return Section("data", "Data", f"Places, years and headings of the {name} images, and the rejected files.", blocks)


def _manifests(inputs: ReportInputs) -> dict[str, Artifact]:
    """Return each manifest once, by role, and by test set and role if there are several test sets."""
    manifests = {"train": inputs.train_images} if inputs.train_images else {}
    seen: set[str] = set()
    for each in inputs.test_sets:
        for role, images in (("database", each.database), ("queries", each.queries)):
            if (digest := images.manifest.recipe["digest"]) not in seen:
                manifests[role if len(inputs.test_sets) == 1 else f"{each.name} {role}"] = images.manifest
            seen.add(digest)
    return manifests


def _table_of_sets(facts: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for part, found in facts.items():
        years = [row["year"] for row in found["images_by_year"] if row["year"] is not None]
        numbers = [format_count(found[key]) for key in ("files", "images", "rejects", "panoramas", "without_heading")]
        zones = ", ".join(f"{row['utm_zone'] or '?'}{row['utm_band'] or ''}" for row in found["images_by_zone"][:4])
        rows.append([part, *numbers, format_range(years), zones])
    head = ("images", "files", "usable", "rejects", "panoramas", "without heading", "years", "UTM zones")
    return Table("Image sets", head, rows, numbers=range(1, 6))


def _table_of_rejects(part: str, manifest: Artifact) -> Table:
    found = list_rejects(manifest.folder, limit=EXAMPLES)
    rows = []
    for each in found["rejects_by_reason"]:
        examples = [row for row in found["examples"] if row["reason"] == each["reason"]]
        shown = "\n".join(f"{row['path']} ({row['detail']})" for row in examples)
        rows.append([each["reason"], format_count(each["files"]), shown])
    return Table(f"Rejects of {part} by reason", ("reason", "files", "examples"), rows, numbers=(1,), paths=(2,))


def plot_map(images: pl.LazyFrame, name: str) -> Plot:
    """Return the map of the density of images."""
    extent = Extent.of(images)
    side = square_side(extent.side)
    squares = count_squares(images, extent, side)
    figure, axes = new_map(extent)
    draw_density(axes, squares, side)
    total = images.select(pl.len()).collect(engine="streaming").item()
    shown = int(squares["images"].sum())
    note = f"{total - shown:,} of {total:,} images are outside this map." if shown < total else ""
    width, height = (extent.east - extent.west) / METRES_PER_KM, (extent.north - extent.south) / METRES_PER_KM
    alt = (
        f"Map of {shown:,} {name} images over {width:.3g} by {height:.3g} kilometres of {extent.name}; at most "
        f"{squares['images'].to_numpy().max()} images in a square of {side:g} metres."
    )
    return Plot("images_map", f"Map of the {name} images", alt, figure, squares, note, centre=extent.centre)


def plot_headings(images: pl.LazyFrame, name: str) -> Plot | None:
    """Return the histogram of headings as a rose, or None if no image has a heading."""
    centre = (pl.col("heading") / DEGREES_PER_BIN).round().cast(pl.Int32) * DEGREES_PER_BIN % FULL_TURN
    known = images.filter(pl.col("heading").is_not_null())
    counted = known.group_by(centre.alias("heading")).agg(images=pl.len()).collect(engine="streaming")
    if counted.is_empty():
        return None
    bins = pl.DataFrame({"heading": pl.Series(range(0, FULL_TURN, DEGREES_PER_BIN), dtype=pl.Int32)})
    rose = bins.join(counted, on="heading", how="left", maintain_order="left").fill_null(0)
    figure, axes = new_compass()
    width = 0.92 * np.radians(DEGREES_PER_BIN)
    axes.bar(np.radians(rose["heading"].to_numpy()), rose["images"], width=width, color=COLOUR["accent"])
    ring = format_plural(round(np.diff(axes.get_yticks())[0]), "image", "images")
    heading, most = rose.row(int(rose["images"].arg_max() or 0))
    alt = (
        f"Rose of the headings of {rose['images'].sum():,} images; most, {most:,}, have a heading of {heading} degrees."
    )
    note = (
        f"Degrees clockwise from north, in bins of {DEGREES_PER_BIN}. Rings are {ring} apart. "
        f"The longest bar has {most:,}."
    )
    bars = int((rose["images"] > 0).sum())
    return Plot("headings", f"Headings of the {name} images", alt, figure, rose, note, bars)


def plot_years(images: pl.LazyFrame, name: str) -> Plot | None:
    """Return the images per year, or None if no image has a year."""
    known = images.filter(pl.col("year").is_not_null())
    years = known.group_by("year").agg(images=pl.len()).sort("year").collect(engine="streaming")
    if years.is_empty():
        return None
    figure, axes = new_chart(height=TALL)
    axes.bar(years["year"], years["images"], width=0.8, color=COLOUR["accent"])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    leave_slots(axes, years["year"][0], years["year"][-1])
    count_axis(axes, "images")
    alt = "Images by year: " + ", ".join(f"{count:,} in {year}" for year, count in years.iter_rows()) + "."
    return Plot("years", f"When the {name} images were taken", alt, figure, years, bars=len(years))
