"""The section on the data: where, in which direction and when the images were taken, and which files are none."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from matplotlib.ticker import MaxNLocator

from data_manifest.inspect.rejects import list_rejects
from data_manifest.inspect.summary import summarise
from data_manifest.tables import scan_table
from evaluation.report import text
from evaluation.report.charts.maps import Extent, count_squares, draw_density, new_map, square_side
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, TALL, leave_slots, new_chart, new_compass
from evaluation.report.page.blocks import Block, Charts, Note, Section, Table
from evaluation.report.sources import Artifact, Sources

DEGREES_PER_BIN, FULL_TURN = 10, 360
EXAMPLES = 3


def data_section(sources: Sources) -> Section:
    """Return the section on the images that were trained on or, where these are not known, looked up."""
    database = sources.tested[0].database.manifest
    shown, name = (sources.train_images, "training") if sources.train_images else (database, "database")
    sets = dict(_sets(sources))
    facts = {part: summarise(manifest.folder) for part, manifest in sets.items()}
    images = scan_table(shown.folder, "manifest")
    plots = [plot_map(images, name), plot_headings(images, name), plot_years(images, name)]
    blocks: list[Block] = [_table_of_sets(facts), Charts([plot for plot in plots if plot is not None])]
    rejects = [_table_of_rejects(part, manifest) for part, manifest in sets.items() if facts[part]["rejects"]]
    blocks += rejects
    if not rejects:
        blocks.append(Note("Every file that was found is a usable image: there are no rejects."))
    return Section("data", "Data", f"Where and when the {name} images were taken, and what was left out.", blocks)


def _sets(sources: Sources) -> Iterator[tuple[str, Artifact]]:
    """Give each set of images once, with its name: `database`, or with that of the test set where there are several."""
    if sources.train_images is not None:
        yield "train", sources.train_images
    seen: set[str] = set()
    for tested in sources.tested:
        for role, images in (("database", tested.database), ("queries", tested.queries)):
            digest = images.manifest.recipe["digest"]
            if digest not in seen:
                yield role if len(sources.tested) == 1 else f"{tested.name} {role}", images.manifest
            seen.add(digest)


def _table_of_sets(facts: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for part, found in facts.items():
        years = [row["year"] for row in found["images_by_year"] if row["year"] is not None]
        numbers = [text.count(found[key]) for key in ("files", "images", "rejects", "panoramas", "without_heading")]
        zones = ", ".join(f"{row['utm_zone'] or '?'}{row['utm_band'] or ''}" for row in found["images_by_zone"][:4])
        rows.append([part, *numbers, text.span(min(years, default=None), max(years, default=None)), zones])
    head = ("images", "files", "usable", "rejects", "panoramas", "without heading", "years", "UTM zones")
    return Table("The sets of images", head, rows, numbers=range(1, 6))


def _table_of_rejects(part: str, manifest: Artifact) -> Table:
    found = list_rejects(manifest.folder, limit=EXAMPLES)
    rows = []
    for each in found["rejects_by_reason"]:
        examples = [row for row in found["examples"] if row["reason"] == each["reason"]]
        shown = "\n".join(f"{row['path']} ({row['detail']})" for row in examples)
        rows.append([each["reason"], text.count(each["files"]), shown])
    return Table(f"Rejects of {part}, by reason", ("reason", "files", "examples"), rows, numbers=(1,), paths=(2,))


def plot_map(images: pl.LazyFrame, name: str) -> Plot:
    """Return the map of how many images there are where."""
    extent = Extent.of(images)
    side = square_side(extent)
    squares = count_squares(images, extent, side)
    figure, axes = new_map(extent)
    draw_density(axes, squares, side)
    total = images.select(pl.len()).collect(engine="streaming").item()
    elsewhere = total - int(squares["images"].sum())
    note = f"{elsewhere:,} of {total:,} images lie outside of this map." if elsewhere else ""
    alt = (
        f"Map of {total - elsewhere:,} {name} images over {(extent.east - extent.west) / 1000:.3g} by "
        f"{(extent.north - extent.south) / 1000:.3g} kilometres of {extent.name}; at most "
        f"{squares['images'].to_numpy().max()} images in a square of {side:g} metres."
    )
    return Plot("images_map", f"Where the {name} images are", alt, figure, squares, note)


def plot_headings(images: pl.LazyFrame, name: str) -> Plot | None:
    """Return the rose of headings, or None where no image has one."""
    centre = (pl.col("heading") / DEGREES_PER_BIN).round().cast(pl.Int32) * DEGREES_PER_BIN % FULL_TURN
    known = images.filter(pl.col("heading").is_not_null())
    counted = known.group_by(centre.alias("heading")).agg(images=pl.len()).collect(engine="streaming")
    if counted.is_empty():
        return None
    every = pl.DataFrame({"heading": pl.Series(range(0, FULL_TURN, DEGREES_PER_BIN), dtype=pl.Int32)})
    rose = every.join(counted, on="heading", how="left", maintain_order="left").fill_null(0)
    figure, axes = new_compass()
    width = 0.92 * np.radians(DEGREES_PER_BIN)
    axes.bar(np.radians(rose["heading"].to_numpy()), rose["images"], width=width, color=COLOUR["accent"])
    ring = round(np.diff(axes.get_yticks())[0])
    heading, most = rose.row(int(rose["images"].arg_max() or 0))
    alt = f"Rose of the headings of {rose['images'].sum():,} images; most, {most:,}, look to {heading} degrees."
    note = (
        f"Degrees clockwise from north, in bins of {DEGREES_PER_BIN}. Rings are {text.plural(ring, 'image', 'images')} "
        f"apart; the longest bar has {most:,}."
    )
    return Plot("headings", f"Where the {name} images look", alt, figure, rose, note)


def plot_years(images: pl.LazyFrame, name: str) -> Plot | None:
    """Return the images by year, or None where no image has one."""
    known = images.filter(pl.col("year").is_not_null())
    years = known.group_by("year").agg(images=pl.len()).sort("year").collect(engine="streaming")
    if years.is_empty():
        return None
    figure, axes = new_chart(height=TALL)
    axes.bar(years["year"], years["images"], width=0.8, color=COLOUR["accent"])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    leave_slots(axes, years["year"][0], years["year"][-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylabel("images")
    alt = "Images by year: " + ", ".join(f"{year}: {count:,}" for year, count in years.iter_rows()) + "."
    return Plot("years", f"When the {name} images were taken", alt, figure, years)
