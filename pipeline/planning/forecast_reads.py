"""Forecast how many images of a group a training reads: samples draw images with replacement."""

import polars as pl

EPOCHS = (1, 3)  # on the same group


def forecast_reads(classes: pl.DataFrame, batch_size: int, iterations: int) -> pl.DataFrame:
    """Return the expected share of each group's images that are read in one and in three epochs on it.

    A pass over the classes shows a class at most once, and one of its n images. If it shows p of all classes, it
    leaves an image unread with probability 1 - p / n. Groups with fewer classes than a batch are left out.

    Args:
        classes: `group_index` and `num_images` of each class.
        batch_size: Images per batch, each of another class.
        iterations: Batches per epoch.

    Returns:
        `group_index` and the shares, from 0 to 1, in `name_of_share`.
    """
    count, samples = pl.len().over("group_index").cast(pl.Int64), batch_size * iterations
    trainable = classes.filter(count >= batch_size)
    per_pass = count // batch_size * batch_size
    passes, rest = samples // per_pass, samples % per_pass
    unread = (1 - per_pass / count / pl.col("num_images")) ** passes * (1 - rest / count / pl.col("num_images"))
    images = pl.col("num_images").cast(pl.Int64)
    shares = {
        name_of_share(epochs): (images * (1 - pl.col("unread") ** epochs)).sum() / images.sum() for epochs in EPOCHS
    }
    return trainable.with_columns(unread=unread).group_by("group_index").agg(**shares)


def name_of_share(epochs: int) -> str:
    """Return the column of the share that is read in some epochs."""
    return f"read_in_{epochs}"


def show_shares(group: dict[str, float | None]) -> dict[str, str]:
    """Return a group's shares by title, as text; empty where it cannot be trained on."""
    shares = {f"read in {epochs} epoch{'s' * (epochs > 1)}": group[name_of_share(epochs)] for epochs in EPOCHS}
    return {title: "" if share is None else f"{share:.0%}" for title, share in shares.items()}
