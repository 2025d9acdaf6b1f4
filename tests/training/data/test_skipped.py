import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from training.data.dataset import SkippedImage
from training.data.sampling import EpochPlan
from training.data.skipped import SkippedLog
from training.loop.trainer import train
from training.settings import RuntimeSettings

PLAN = EpochPlan(num_classes=10, batch_size=10, iterations=50, seed=0, epoch=0)
SECOND = EpochPlan(num_classes=10, batch_size=10, iterations=50, seed=0, epoch=1)


def _skips(*numbers: int) -> list[SkippedImage]:
    return [SkippedImage(f"{number}.jpg", "broken") for number in numbers]


def test_each_image_is_logged_and_listed_once_across_resumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        SkippedLog(tmp_path, 0.5).add(_skips(2, 1, 2), PLAN)
        SkippedLog(tmp_path, 0.5).add(_skips(1, 3), SECOND)
    assert [record.getMessage().split()[2] for record in caplog.records] == ["2.jpg", "1.jpg", "3.jpg"]
    expected = [("1.jpg", "broken", 0), ("2.jpg", "broken", 0), ("3.jpg", "broken", 1)]
    assert read_table(tmp_path, "skipped").rows() == expected


def test_aborts_above_the_share_of_an_epoch(tmp_path: Path) -> None:
    skipped = SkippedLog(tmp_path, 0.05)  # 25 of 500
    skipped.add(_skips(*range(25)), PLAN)
    skipped.add(_skips(*range(25)), SECOND)
    expected = r"26 unreadable images in 500 samples of epoch 2, more than max_skipped_share = 0.05 allows"
    with pytest.raises(UserError, match=expected):
        skipped.add(_skips(25), SECOND)
    assert len(read_table(tmp_path, "skipped")) == 26, "the last batch is listed too"


def test_tolerates_10_unless_the_share_is_0(tmp_path: Path) -> None:
    SkippedLog(tmp_path, 0.001).add(_skips(*range(10)), PLAN)
    with pytest.raises(UserError, match="11 unreadable"):
        SkippedLog(tmp_path, 0.001).add(_skips(*range(11)), PLAN)
    with pytest.raises(UserError, match="1 unreadable"):
        SkippedLog(tmp_path, 0).add(_skips(1), PLAN)


def test_training_replaces_and_lists_unreadable_images(
    write_groups: Callable[[dict[int, int]], Path], tiny: dict[str, Any]
) -> None:
    folder = write_groups({0: 3, 3: 3})
    bad = {f"g{group}/é{class_index}_1.png" for group in (0, 3) for class_index in range(3)}
    for path in bad:
        (folder / "images" / path).write_bytes(b"")
    train(folder / "groups", folder / "images", folder / "run", **tiny)
    table = read_table(folder / "run", "skipped")
    assert set(table["path"]) <= bad
    assert len(table) > 1
    assert len(read_table(folder / "run", "metrics")) == 2
    strict = RuntimeSettings(device="cpu", num_workers=0, max_skipped_share=0)
    with pytest.raises(UserError, match="raise --max-skipped-share"):
        train(folder / "groups", folder / "images", folder / "strict", **{**tiny, "runtime": strict})
