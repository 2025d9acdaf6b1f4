"""The section on the training: loss, validation recall and throughput by epoch, and where it was resumed."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes

from data_manifest.tables import best_epoch, read_table
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, GROUP_COLOURS, leave_slots, new_chart, note_cut, number_slots
from evaluation.report.find_inputs import ReportInputs
from evaluation.report.format_values import format_percent
from evaluation.report.page.blocks import Charts, Note, Section, Table

RECALLS = {  # colour role and marker of each
    "recall_1": ("accent", "o"),
    "recall_5": ("group1", "s"),
    "recall_10": ("group5", "^"),
    "recall_20": ("group7", "D"),
}
CACHE = ("cache_hit_share", "gb_read")
BELOW: dict[str, Any] = {"loc": "outside lower center", "columnspacing": 1, "handletextpad": 0.3, "handlelength": 1.2}


def training_section(inputs: ReportInputs) -> Section:
    """Return the section on how the model was trained."""
    if inputs.training is None:
        return Section("training", "Training", "The model was not trained in this artifacts folder.")
    metrics = read_table(inputs.training.folder, "metrics").with_columns(pl.col("epoch") + 1)
    if metrics.is_empty():
        return Section("training", "Training", "The model was evaluated without any training.")
    plots = [plot_loss(metrics), plot_recalls(metrics), plot_throughput(metrics)]
    resumed = " Dashed lines: training was resumed." if resumed_at(metrics) else ""
    made = Note(f"The {inputs.training.recipe['summary']['made']}.{resumed}")
    charts = Charts([plot for plot in plots if plot is not None])
    lead = "Each epoch trains on one group, with a classifier of its own, and is followed by a validation."
    return Section("training", "Training", lead, [made, charts, _table_of_epochs(metrics)])


def plot_loss(metrics: pl.DataFrame) -> Plot:
    """Return the loss by epoch, coloured by group as on the map of groups."""
    figure, axes = new_chart()
    axes.plot(metrics["epoch"], metrics["loss"], color=COLOUR["unknown"], linewidth=1)
    trained = metrics["group_index"].unique(maintain_order=True)
    for number, group in enumerate(trained):
        rows = metrics.filter(pl.col("group_index") == group)
        is_coloured = number < len(GROUP_COLOURS)
        colour = GROUP_COLOURS[number] if is_coloured else COLOUR["unknown"]
        label = f"group {group}" if is_coloured and len(trained) > 1 else None
        axes.plot(rows["epoch"], rows["loss"], "o", color=colour, markersize=5, label=label)
    if len(trained) > 1:
        figure.legend(ncols=4, **BELOW)
    axes.set_ylabel("CosFace loss")
    _label_epochs(axes, metrics)
    first, last = metrics["loss"][0], metrics["loss"][-1]
    alt = f"Mean loss: {first:.3g} in the first epoch, {last:.3g} in the last of {len(metrics)}."
    data = metrics.select("epoch", "group_index", "loss", "resumes")
    return Plot("loss", "Loss", alt, figure, data, note_cut(axes), len(metrics))


def plot_recalls(metrics: pl.DataFrame) -> Plot | None:
    """Return the validation recalls by epoch, or None if there was no validation."""
    known = [name for name in RECALLS if name in metrics.columns and metrics[name].is_not_null().any()]
    if not known:
        return None
    figure, axes = new_chart()
    for number, name in enumerate(known):
        role, marker = RECALLS[name]
        label = f"R@{name.removeprefix('recall_')}"
        layer = 3 - number / len(known)  # R@1 covers equal recalls
        axes.plot(
            metrics["epoch"], metrics[name], color=COLOUR[role], marker=marker, markersize=4, label=label, zorder=layer
        )
    axes.set_ylabel("validation recall, %")
    figure.legend(ncols=len(known), **BELOW)
    _label_epochs(axes, metrics)
    best = best_epoch(metrics).row(0, named=True)
    alt = "Validation recalls by epoch; R@1 is always 0."
    if best["recall_1"]:
        alt = f"Validation recalls by epoch; R@1 is best after epoch {best['epoch']}, {best['recall_1']:.1f} percent."
    data = metrics.select("epoch", *known)
    return Plot("validation", "Validation recall", alt, figure, data, note_cut(axes), len(metrics))


def plot_throughput(metrics: pl.DataFrame) -> Plot:
    """Return the images per second by epoch."""
    figure, axes = new_chart()
    axes.bar(metrics["epoch"], metrics["images_per_second"], width=0.8, color=COLOUR["accent"])
    axes.set_ylabel("images per second")
    _label_epochs(axes, metrics)
    speed, waiting = metrics.select("images_per_second", "data_wait_share").mean().row(0)
    note = f"{100 * waiting:.0f} % of the time was spent waiting for images."
    alt = f"Throughput by epoch: {speed:.3g} images per second on average. {note}"
    data = metrics.select("epoch", "images_per_second", "data_wait_share")
    return Plot("throughput", "Throughput", alt, figure, data, note, len(metrics))


def _label_epochs(axes: Axes, metrics: pl.DataFrame) -> None:
    """Label the epochs and mark those before which training was resumed."""
    axes.set_xlabel("epoch")
    leave_slots(axes, 1, len(metrics))
    number_slots(axes, 1, len(metrics))
    for epoch in resumed_at(metrics):
        axes.axvline(epoch - 0.5, color=COLOUR["incorrect"], linewidth=1, linestyle=(0, (3, 2)))


def resumed_at(metrics: pl.DataFrame) -> list[int]:
    """Return the epochs in or before which training was resumed."""
    resumes = metrics["resumes"]
    return metrics.filter(resumes > resumes.shift(1, fill_value=0))["epoch"].to_list()


def _table_of_epochs(metrics: pl.DataFrame) -> Table:
    rows = []
    has_cache = CACHE[0] in metrics.columns and metrics[CACHE[0]].is_not_null().any()
    for epoch in metrics.to_dicts():
        recalls = [format_percent(epoch.get(name)) for name in RECALLS]
        speed, waiting = f"{epoch['images_per_second']:,.0f}", f"{100 * epoch['data_wait_share']:.0f} %"
        row = [f"{epoch['epoch']}", f"{epoch['group_index']}", f"{epoch['loss']:.3f}", *recalls, speed, waiting]
        rows.append([*row, *_cache_of(epoch)] if has_cache else row)
    more = ("cache hits", "GB read") if has_cache else ()
    head = ("epoch", "group", "loss", "R@1", "R@5", "R@10", "R@20", "images/s", "data wait", *more)
    published = best_epoch(metrics)["epoch"][0]
    strong = [row for row, epoch in enumerate(metrics["epoch"]) if epoch == published]
    return Table("Epochs", head, rows, numbers=range(len(head)), strong=strong, folded=len(rows) > 12)


def _cache_of(epoch: dict[str, Any]) -> tuple[str, str]:
    hits, read = (epoch[name] for name in CACHE)
    return ("", "") if hits is None else (f"{100 * hits:.0f} %", f"{read:.1f}")
