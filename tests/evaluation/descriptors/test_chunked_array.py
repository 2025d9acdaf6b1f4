import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.descriptors.chunked_array import ChunkedArray


def test_an_unfinished_chunk_does_not_count(tmp_path: Path) -> None:
    array = ChunkedArray(tmp_path / "a.npy", (3, 4))
    array.append(np.ones((2, 4), np.float32))
    with (tmp_path / "a.npy").open("r+b") as file:  # half of the next row
        file.seek(-16, 2)
        file.write(b"x" * 8)
    resumed = ChunkedArray(tmp_path / "a.npy", (3, 4))
    assert resumed.done == 2
    resumed.append(np.full((1, 4), 2, np.float32))
    assert np.load(tmp_path / "a.npy").tolist() == [[1] * 4, [1] * 4, [2] * 4]
    assert ChunkedArray(tmp_path / "a.npy", (3, 4)).done == 3


def test_the_file_is_the_one_that_numpy_saves(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((700, 3), dtype=np.float32)
    array = ChunkedArray(tmp_path / "a.npy", rows.shape)
    array.append(rows[:400])
    array.append(rows[400:])
    np.save(tmp_path / "b.npy", rows)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("shape", [(5, 4), (3, 5)])
def test_an_array_of_another_shape_is_replaced(tmp_path: Path, shape: tuple[int, int]) -> None:
    ChunkedArray(tmp_path / "a.npy", (3, 4)).append(np.ones((2, 4), np.float32))
    assert ChunkedArray(tmp_path / "a.npy", shape).done == 0


def test_a_disk_that_is_too_small_is_an_error_before_the_first_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free in (48, 47):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: SimpleNamespace(total=99, used=0, free=free))
        if free == 48:
            ChunkedArray(tmp_path / "a.npy", (3, 4))
        else:
            with pytest.raises(OSError, match="No space left") as error:
                ChunkedArray(tmp_path / "b.npy", (3, 4))
            assert error.value.errno == errno.ENOSPC
