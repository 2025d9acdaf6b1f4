import numpy as np
import polars as pl
import pytest

from pipeline.planning.forecast_reads import forecast_reads, show_shares
from training.data.sampling import EpochPlan

SEEDS = 200


def _read(sizes: np.ndarray, batch_size: int, iterations: int, epochs: int, seed: int) -> float:
    """Return the share of a group's images that a training reads in its first epochs."""
    read = set[tuple[int, int]]()
    for epoch in range(epochs):
        plan = EpochPlan(len(sizes), batch_size, iterations, seed, epoch)
        samples = np.arange(plan.num_samples)
        classes = plan.class_indices(samples)
        read |= set(zip(classes.tolist(), plan.image_numbers(samples, sizes[classes]).tolist(), strict=True))
    return len(read) / int(sizes.sum())


@pytest.mark.parametrize(("num_classes", "batch_size", "iterations"), [(10, 4, 9), (12, 4, 3), (30, 8, 2), (9, 8, 20)])
def test_forecast_is_the_mean_of_what_trainings_read(num_classes: int, batch_size: int, iterations: int) -> None:
    sizes = np.random.default_rng(num_classes).integers(1, 12, num_classes)
    classes = pl.DataFrame({"group_index": 0, "num_images": sizes})
    forecast = forecast_reads(classes, batch_size, iterations).row(0, named=True)
    for epochs in (1, 3):
        read = [_read(sizes, batch_size, iterations, epochs, seed) for seed in range(SEEDS)]
        error = float(np.std(read)) / SEEDS**0.5
        assert forecast[f"read_in_{epochs}"] == pytest.approx(float(np.mean(read)), abs=4 * error + 1e-9)


def test_groups_have_their_own_shares_and_small_ones_none() -> None:
    sizes = {
        "group_index": [0] * 35_000 + [7] * 35_000 + [9] * 31,
        "num_images": [20] * 35_000 + [10] * 35_000 + [5] * 31,
    }
    shares = forecast_reads(pl.DataFrame(sizes), 32, 10_000).sort("group_index").to_dicts()
    assert [each["group_index"] for each in shares] == [0, 7]
    assert show_shares(shares[0]) == {"read in 1 epoch": "37%", "read in 3 epochs": "75%"}
    assert shares[1]["read_in_1"] == pytest.approx(1 - 0.9 ** (320_000 / 35_000), abs=1e-3)
    assert show_shares({"read_in_1": None, "read_in_3": None}) == {"read in 1 epoch": "", "read in 3 epochs": ""}
