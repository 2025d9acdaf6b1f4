"""Descriptors by several processes, of which this one plays each in turn."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch.distributed as dist

from evaluation.descriptors.distributed import describe_together, own_rows
from evaluation.descriptors.extract import Descriptors
from evaluation.descriptors.images import ImageFiles


@pytest.mark.parametrize("num_images", [1, 2, 3, 7, 9])
def test_each_image_is_described_by_one_process_and_all_get_those_of_all(
    monkeypatch: pytest.MonkeyPatch, num_images: int
) -> None:
    images, done = ImageFiles(Path(), pa.array([str(row) for row in range(num_images)])), dict[int, Any]()

    def describe(part: ImageFiles) -> Descriptors:
        return np.array([[float(str(path))] for path in part.paths], np.float32)

    def gather(shares: list[Any], own: Descriptors) -> None:
        done[dist.get_rank()] = own
        shares[:] = [done.get(process, own) for process in range(3)]

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(dist, "all_gather_object", gather)
    for process in range(3):
        monkeypatch.setattr(dist, "get_rank", lambda process=process: process)
        assert len(own_rows(num_images)) == max(1, len(range(process, num_images, 3)))
        together = describe_together(describe, images)
        assert len(done[process]) == len(own_rows(num_images)), "what its bar counts to"
    assert together[:, 0].tolist() == list(range(num_images))
