"""The section on the groups: what M, alpha, N and L do to this map, and how classes and images are spread."""

import polars as pl

from data_manifest.inspect.classes import count_by_size, group_sizes
from data_manifest.tables import read_table, scan_table
from evaluation.report import text
from evaluation.report.charts.compass import plot_compass
from evaluation.report.charts.group_map import plot_group_map
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, leave_slots, new_chart, number_slots
from evaluation.report.page.blocks import Block, Charts, Note, Section, Table
from evaluation.report.sections.grouping import Grouping
from evaluation.report.sources import Sources

SINGLE_SIZES = 40  # up to so many images, a bar for each number of them


def groups_section(sources: Sources) -> Section:
    """Return the section on the groups that the model was trained on."""
    lead = "Cells of the map and bins of headings make classes; neighbouring classes come into different groups."
    if sources.groups is None:
        missing = Note("The model was not trained in this artifacts folder, so that its groups are not known here.")
        return Section("groups", "Groups", lead, [missing])
    classes = scan_table(sources.groups.folder, "classes")
    by_group = group_sizes(classes)
    grouping = Grouping.of(sources.groups.settings, by_group["group_index"].to_list(), trained_groups(sources))
    by_group = by_group.with_columns(trained=pl.col("group_index").is_in(grouping.trained))
    blocks: list[Block] = [
        _table_of_settings(grouping, by_group),
        Charts([plot_group_map(classes, grouping), plot_compass(grouping)]),
        Charts([plot_groups(by_group, "classes"), plot_groups(by_group, "images"), plot_sizes(classes)]),
    ]
    return Section("groups", "Groups", lead, blocks)


def trained_groups(sources: Sources) -> list[int]:
    """Return the groups that the model was trained on, in the order of their first epochs."""
    if sources.training is None:
        return []
    metrics = read_table(sources.training.folder, "metrics", ["group_index"])
    return metrics["group_index"].unique(maintain_order=True).to_list()


def _table_of_settings(grouping: Grouping, by_group: pl.DataFrame) -> Table:
    classes, images = by_group.select("classes", "images").sum().row(0)
    classes_trained, images_trained = by_group.filter("trained").select("classes", "images").sum().row(0)
    rows = [
        ["M", f"{grouping.M:g} m", "side of a cell"],
        ["alpha", f"{grouping.alpha:g}°", "width of a heading bin"],
        ["N", f"{grouping.N}", _cells_apart(grouping)],
        ["L", f"{grouping.L}", _bins_apart(grouping)],
        ["groups", text.count(len(by_group)), f"that have classes, of N · N · L = {grouping.N**2 * grouping.L:,}"],
        ["classes", text.count(classes), f"{text.count(classes_trained)} of them in the groups trained on"],
        ["images", text.count(images), f"{text.count(images_trained)} of them in the groups trained on"],
        ["trained on", text.count(len(grouping.trained)), ", ".join(map(str, grouping.trained)) or "no group"],
    ]
    return Table("The grouping", ("", "value", "what it means"), rows, numbers=(1,))


def _cells_apart(grouping: Grouping) -> str:
    if grouping.N == 1:
        return "neighbouring cells are in the same groups"
    return f"cells of a group repeat every {grouping.N} cells: at least {grouping.M * (grouping.N - 1):g} m lie between"


def _bins_apart(grouping: Grouping) -> str:
    if grouping.L == 1:
        return "all headings of a cell are in the same group"
    return f"heading bins repeat every {grouping.L} bins: at least {grouping.alpha * (grouping.L - 1):g}° lie between"


def plot_groups(by_group: pl.DataFrame, what: str) -> Plot:
    """Return the classes or the images of each group; those trained on stand out."""
    figure, axes = new_chart()
    others = "unknown" if by_group["trained"].any() else "accent"
    for trained, colour, label in ((True, "accent", "trained on"), (False, others, "not trained on")):
        rows = by_group.filter(pl.col("trained") == trained)
        if len(rows):
            axes.bar(rows["group_index"], rows[what], width=0.8, color=COLOUR[colour], label=label)
    axes.set(xlabel="group", ylabel=what)
    first, last = by_group["group_index"][0], by_group["group_index"][-1]
    leave_slots(axes, first, last)
    number_slots(axes, first, last)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if by_group["trained"].any() and not by_group["trained"].all():
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    least, most = by_group[what].to_numpy().min(), by_group[what].to_numpy().max()
    alt = f"{what.capitalize()} of each of {len(by_group)} groups, from {least:,} to {most:,}."
    return Plot(f"{what}_by_group", f"{what.capitalize()} a group", alt, figure, by_group)


def plot_sizes(classes: pl.LazyFrame) -> Plot:
    """Return how many classes have how many images: each number of them, or ranges that double where they are many."""
    counted = classes.group_by("num_images").len().sort("num_images").collect(engine="streaming")
    sizes: dict[int, int] = dict(counted.iter_rows())
    if max(sizes) <= SINGLE_SIZES:
        every = range(min(sizes), max(sizes) + 1)  # also the numbers that no class has, so that the axis is even
        ranges = [{"from": size, "to": size, "classes": sizes.get(size, 0)} for size in every]
    else:
        ranges = count_by_size(sizes)
    data = pl.DataFrame(ranges)
    figure, axes = new_chart()
    names = [f"{low}" if low == high else f"{low:,}-{high:,}" for low, high, _ in data.iter_rows()]
    axes.bar(range(len(data)), data["classes"], width=0.8, color=COLOUR["accent"])
    leave_slots(axes, 0, len(data) - 1)
    apart = max(1, len(names) // 8)
    axes.set_xticks(range(0, len(names), apart), labels=names[::apart])
    axes.set_xlabel("images of a class")
    axes.set_ylabel("classes")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    alt = "Classes by their number of images: " + ", ".join(
        f"{count:,} with {name}" for name, count in zip(names, data["classes"], strict=True) if count
    )
    return Plot("images_by_class", "Images a class", f"{alt}.", figure, data)
