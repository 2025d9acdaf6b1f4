"""Images replaced under the same names."""

import os
from pathlib import Path

import polars as pl
import pytest

from tests.helpers import TINY, Luigi, current_artifacts


def rotate_contents(folder: Path, count: int) -> None:
    """Exchange the contents of the first images and change their times."""
    files = sorted(folder.rglob("*.jpg"))[:count]
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[count // 2 :] + contents[: count // 2], strict=True):
        times = file.stat()
        file.write_bytes(content)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000_000))


def recall_1(tmp_path: Path) -> float:
    evaluation = current_artifacts(tmp_path)["evaluation/queries_v1"]
    return float(pl.read_parquet(evaluation / "recalls" / "*.parquet").filter(k=1)["recall"][0])


@pytest.mark.slow
def test_replaced_images_are_reevaluated_and_reported_for_a_finished_training(
    city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    command = ("EvaluateCosPlace", "--dataset-folder", str(city), *TINY, "--epochs-num", "1")
    assert luigi(*command).returncode == 0
    assert recall_1(tmp_path) == 100.0
    model = current_artifacts(tmp_path)["training/train"]
    for folder, count in (("test/queries_v1", 8), ("train", 5), ("val/database", 1)):
        rotate_contents(city / folder, count)
    again = luigi(*command, "--rescan")
    assert again.returncode == 0, again.stderr
    assert recall_1(tmp_path) == 0.0
    assert current_artifacts(tmp_path)["training/train"] == model
    (run,) = (tmp_path / "artifacts" / "runs").glob("*/*")
    counts = "5 of 16 training images changed, 1 of 8 validation database images changed since training started"
    remove = f"remove {tmp_path / 'artifacts' / model.relative_to((tmp_path / 'artifacts').resolve())} and {run}"
    assert again.stderr.count(f"{counts}. To train on today's images, {remove}, then run again") == 1
    assert "ExtractDescriptors: up to date (" in again.stdout, "the database is as it was"

    values = luigi(*command, "--recall-values", "1,2")
    assert "ExtractDescriptors: done (" not in values.stdout
    assert recall_1(tmp_path) == 0.0
    assert counts in values.stderr
