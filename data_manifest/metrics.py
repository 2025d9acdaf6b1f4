"""The table METRICS of a training, a row for each epoch."""

import polars as pl


def best_epoch(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the row of the epoch whose network is published: the best at R@1 in validation, the first of equals."""
    return metrics.sort("recall_1", descending=True, maintain_order=True).head(1)
