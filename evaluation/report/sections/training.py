"""The section on the training: loss, validation recall and throughput by epoch, and where it was resumed."""

import polars as pl
from matplotlib.axes import Axes

from data_manifest.tables import best_epoch, read_table
from evaluation.report import text
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, leave_slots, new_chart, number_slots
from evaluation.report.page.blocks import Charts, Note, Section, Table
from evaluation.report.sources import Sources

RECALLS = {"recall_1": "accent", "recall_5": "group1", "recall_10": "group5", "recall_20": "group7"}
MARKERS = {"recall_1": "o", "recall_5": "s", "recall_10": "^", "recall_20": "D"}


def training_section(sources: Sources) -> Section:
    """Return the section on how the model was trained."""
    lead = "Each epoch trains on one group, with that group's own classifier, and is validated."
    if sources.training is None:
        return _without("The model was not trained in this artifacts folder, so that nothing is known of its training.")
    metrics = read_table(sources.training.folder, "metrics").with_columns(pl.col("epoch") + 1)
    if metrics.is_empty():
        return _without("The model is evaluated as it starts: it was not trained.")
    plots = [plot_loss(metrics), plot_recalls(metrics), plot_throughput(metrics)]
    made = Note(f"The {sources.training.recipe['summary']['made']}.")
    charts = Charts([plot for plot in plots if plot is not None])
    return Section("training", "Training", lead, [made, charts, _table_of_epochs(metrics)])


def _without(reason: str) -> Section:
    return Section("training", "Training", reason)


def plot_loss(metrics: pl.DataFrame) -> Plot:
    """Return the loss by epoch."""
    figure, axes = new_chart()
    axes.plot(metrics["epoch"], metrics["loss"], color=COLOUR["accent"], marker="o", markersize=4)
    axes.set_ylabel("CosFace loss")
    _finish(axes, metrics)
    first, last = metrics["loss"][0], metrics["loss"][-1]
    alt = f"Mean loss by epoch: {first:.3g} in the first, {last:.3g} in the last of {len(metrics)}."
    return Plot("loss", "Loss", alt, figure, metrics.select("epoch", "group_index", "loss", "resumes"))


def plot_recalls(metrics: pl.DataFrame) -> Plot | None:
    """Return the validation recalls by epoch, or None where there was no validation."""
    known = [name for name in RECALLS if name in metrics.columns and metrics[name].is_not_null().any()]
    if not known:
        return None
    figure, axes = new_chart()
    for place, name in enumerate(known):
        axes.plot(
            *(metrics["epoch"], metrics[name]),
            color=COLOUR[RECALLS[name]],
            marker=MARKERS[name],
            markersize=4,
            label=f"R@{name.removeprefix('recall_')}",
            zorder=3 - place / len(known),  # where they are equal, R@1 is seen
        )
    axes.set_ylabel("validation recall, %")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(known), borderaxespad=0, columnspacing=1.2)
    _finish(axes, metrics)
    best = best_epoch(metrics).row(0, named=True)
    alt = "Validation recalls by epoch; no R@1 is above 0."
    if best["recall_1"]:
        alt = f"Validation recalls by epoch; R@1 is best, {best['recall_1']:.1f} percent, after epoch {best['epoch']}."
    return Plot("validation", "Recall in validation", alt, figure, metrics.select("epoch", *known))


def plot_throughput(metrics: pl.DataFrame) -> Plot:
    """Return the images a second by epoch."""
    figure, axes = new_chart()
    axes.bar(metrics["epoch"], metrics["images_per_second"], width=0.8, color=COLOUR["accent"])
    axes.set_ylabel("images a second")
    _finish(axes, metrics)
    speed, waiting = metrics.select("images_per_second", "data_wait_share").mean().row(0)
    note = f"{waiting:.0%} of the time was spent waiting for images."
    alt = f"Throughput by epoch: {speed:.3g} images a second in the mean. {note}"
    data = metrics.select("epoch", "images_per_second", "data_wait_share")
    return Plot("throughput", "Throughput", alt, figure, data, note)


def _finish(axes: Axes, metrics: pl.DataFrame) -> None:
    """Label the epochs, and mark those before which the run was resumed."""
    axes.set_xlabel("epoch")
    leave_slots(axes, 1, len(metrics))
    number_slots(axes, 1, len(metrics))
    for epoch in resumed_at(metrics):
        axes.axvline(epoch - 0.5, color=COLOUR["wrong"], linewidth=1, linestyle=(0, (3, 2)))
        axes.annotate("resumed", (epoch - 0.5, 1), xycoords=("data", "axes fraction"), rotation=90, fontsize=7,
                      va="top", ha="right")  # fmt: skip


def resumed_at(metrics: pl.DataFrame) -> list[int]:
    """Return the epochs in or before which the run was resumed."""
    resumes = metrics["resumes"]
    return metrics.filter(resumes > resumes.shift(1, fill_value=0))["epoch"].to_list()


def _table_of_epochs(metrics: pl.DataFrame) -> Table:
    rows = []
    for epoch in metrics.to_dicts():
        recalls = [text.percent(epoch.get(name)) for name in RECALLS]
        speed, waiting = f"{epoch['images_per_second']:,.0f}", f"{epoch['data_wait_share']:.0%}"
        rows.append([f"{epoch['epoch']}", f"{epoch['group_index']}", f"{epoch['loss']:.3f}", *recalls, speed, waiting])
    head = ("epoch", "group", "loss", "R@1", "R@5", "R@10", "R@20", "images/s", "waiting")
    published = best_epoch(metrics)["epoch"][0]
    strong = [row for row, epoch in enumerate(metrics["epoch"]) if epoch == published]
    return Table("Epochs", head, rows, numbers=range(len(head)), strong=strong, folded=len(rows) > 12)
