"""The section on the groups: the effect of M, alpha, N and L on the map, and the sizes of classes and groups."""

import polars as pl

from data_manifest.inspect.classes import count_by_size, group_sizes
from data_manifest.tables import read_table, scan_table
from evaluation.report.charts.group_map import plot_group_map
from evaluation.report.charts.grouping import Grouping, plot_heading_bins
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import ABOVE, COLOUR, count_axis, leave_slots, new_chart, number_slots
from evaluation.report.find_inputs import ReportInputs
from evaluation.report.format_values import format_count
from evaluation.report.page.blocks import Charts, Note, Section, Table

MAX_SINGLE_SIZES = 40  # larger classes are counted in ranges
MAX_LABELS = 8


def groups_section(inputs: ReportInputs) -> Section:
    """Return the section on the groups that the model was trained on."""
    lead = "A cell and a heading bin make a class. Adjacent classes are in different groups."
    if inputs.groups is None:
        missing = Note("The model was not trained in this artifacts folder, so its groups are unknown.")
        return Section("groups", "Groups", lead, [missing])
    trained: list[int] = []
    if inputs.training is not None:
        metrics = read_table(inputs.training.folder, "metrics", ["group_index"])
        trained = metrics["group_index"].unique(maintain_order=True).to_list()
    classes = scan_table(inputs.groups.folder, "classes")
    by_group = group_sizes(classes)
    grouping = Grouping.of(inputs.groups.recipe["settings"], by_group["group_index"].to_list(), trained)
    by_group = by_group.with_columns(trained=pl.col("group_index").is_in(trained))
    maps = Charts([plot_group_map(classes, grouping), plot_heading_bins(grouping)])
    sizes = Charts([plot_groups(by_group, "classes"), plot_groups(by_group, "images"), plot_sizes(classes)])
    return Section("groups", "Groups", lead, [_table_of_settings(grouping, by_group), maps, sizes])


def _table_of_settings(grouping: Grouping, by_group: pl.DataFrame) -> Table:
    M, alpha, N, L = grouping.M, grouping.alpha, grouping.N, grouping.L
    classes, images = map(format_count, by_group.select("classes", "images").sum().row(0))
    trained = [format_count(n) for n in by_group.filter("trained").select("classes", "images").sum().row(0)]
    cells = f"cells of a group repeat every {N} cells, with at least {M * (N - 1):g} m in between"
    bins = f"heading bins of a group repeat every {L} bins, with at least {alpha * (L - 1):g}° in between"
    rows = [
        ["M", f"{M:g} m", "side of a cell"],
        ["alpha", f"{alpha:g}°", "width of a heading bin"],
        ["N", f"{N}", cells if N > 1 else "adjacent cells are in the same groups"],
        ["L", f"{L}", bins if L > 1 else "all headings of a cell are in the same group"],
        ["groups", format_count(len(by_group)), f"non-empty, of N · N · L = {N**2 * L:,}"],
        ["classes", classes, f"{trained[0]} of them in the groups trained on"],
        ["images", images, f"{trained[1]} of them in the groups trained on"],
        ["trained on", format_count(len(grouping.trained)), ", ".join(map(str, grouping.trained)) or "no group"],
    ]
    return Table("The grouping", ("", "value", "meaning"), rows, numbers=(1,))


def plot_groups(by_group: pl.DataFrame, unit: str) -> Plot:
    """Return the classes or the images per group; groups trained on are highlighted."""
    figure, axes = new_chart()
    others = "unknown" if by_group["trained"].any() else "accent"
    for trained, role, label in ((True, "accent", "trained on"), (False, others, "not trained on")):
        rows = by_group.filter(pl.col("trained") == trained)
        if len(rows):
            axes.bar(rows["group_index"], rows[unit], width=0.8, color=COLOUR[role], label=label)
    first, last = by_group["group_index"][0], by_group["group_index"][-1]
    leave_slots(axes, first, last)
    number_slots(axes, first, last)
    axes.set_xlabel("group")
    count_axis(axes, unit)
    if by_group["trained"].n_unique() == 2:
        axes.legend(ncols=2, **ABOVE)
    low, high = by_group[unit].to_numpy().min(), by_group[unit].to_numpy().max()
    sizes = f"{low:,} in each" if low == high else f"{low:,} to {high:,} in each"
    alt = f"{unit.capitalize()} per group: {sizes} of {len(by_group)} groups."
    return Plot(f"{unit}_by_group", f"{unit.capitalize()} per group", alt, figure, by_group, bars=len(by_group))


def plot_sizes(classes: pl.LazyFrame) -> Plot:
    """Return the number of classes by their number of images, in ranges that double if the classes are large."""
    counted = classes.group_by("num_images").len().sort("num_images").collect(engine="streaming")
    sizes: dict[int, int] = dict(counted.iter_rows())
    if max(sizes) <= MAX_SINGLE_SIZES:  # sizes without classes are kept, so that the axis is even
        every = range(min(sizes), max(sizes) + 1)
        ranges = [{"from": size, "to": size, "classes": sizes.get(size, 0)} for size in every]
    else:
        ranges = count_by_size(sizes)
    data = pl.DataFrame(ranges)
    labels = [f"{low}" if low == high else f"{low:,}-{high:,}" for low, high, _ in data.iter_rows()]
    figure, axes = new_chart()
    axes.bar(range(len(data)), data["classes"], width=0.8, color=COLOUR["accent"])
    leave_slots(axes, 0, len(data) - 1)
    step = max(1, len(labels) // MAX_LABELS)
    axes.set_xticks(range(0, len(labels), step), labels=labels[::step])
    axes.set_xlabel("images per class")
    count_axis(axes, "classes")
    alt = "Classes by number of images: " + ", ".join(
        f"{count:,} with {label}" for label, count in zip(labels, data["classes"], strict=True) if count
    )
    bars = int((data["classes"] > 0).sum())
    return Plot("images_by_class", "Images per class", f"{alt} images.", figure, data, bars=bars)
