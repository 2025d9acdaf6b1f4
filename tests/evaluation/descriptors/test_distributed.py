"""One process plays each of three ranks in turn."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch.distributed as dist

from evaluation.descriptors.distributed import all_gather_descriptors, rows_of_rank
from evaluation.descriptors.extract import Descriptors
from evaluation.descriptors.image_dataset import ImageDataset


@pytest.mark.parametrize("num_images", [1, 2, 3, 7, 9])
def test_each_rank_embeds_its_share_and_gathers_all_descriptors(
    monkeypatch: pytest.MonkeyPatch, num_images: int
) -> None:
    images, done = ImageDataset(Path(), pa.array([str(row) for row in range(num_images)])), dict[int, Any]()

    def extract(part: ImageDataset) -> Descriptors:
        return np.array([[float(str(path))] for path in part.paths], np.float32)

    def gather(shares: list[Any], own: Descriptors) -> None:
        done[dist.get_rank()] = own
        shares[:] = [done.get(rank, own) for rank in range(3)]

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(dist, "all_gather_object", gather)
    for rank in range(3):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        assert len(rows_of_rank(num_images)) == max(1, len(range(rank, num_images, 3)))
        descriptors = all_gather_descriptors(extract, images)
        assert len(done[rank]) == len(rows_of_rank(num_images)), "total of its progress"
    assert descriptors[:, 0].tolist() == list(range(num_images))
