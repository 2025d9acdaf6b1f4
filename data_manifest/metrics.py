"""The table METRICS of a training, a row for each epoch."""

import polars as pl


def best_epoch(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the row of the epoch whose model is published.

    That is the first with the highest R@1 in validation, or the last epoch if no R@1 is above 0.
    """
    above = metrics.filter(pl.col("recall_1") > 0)
    return metrics.tail(1) if above.is_empty() else above.sort("recall_1", descending=True, maintain_order=True).head(1)
