import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.verification import check_image as image_check
from tests.pipeline.verification.helpers import LONG_AGO, name

RowsPerPartition = Callable[[int], None]


@pytest.fixture
def train(tmp_path: Path, rows_per_partition: RowsPerPartition) -> Path:
    """Thirty images in three folders, of a partition each, long ago."""
    rows_per_partition(10)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    for number in range(30):
        path = tmp_path / "train" / f"37.{number // 10}" / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(pixels, number, 0)).save(path)
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path / "train"


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are read, in some order."""
    seen: list[str] = []
    check = image_check.check_image

    def noted(path: str, *more: object) -> object:
        seen.append(Path(path).name)
        return check(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(image_check, "check_image", noted)
    return seen
