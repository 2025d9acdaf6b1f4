import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.descriptors.chunks.chunked_array import ChunkedArray


def opened(path: Path, shape: tuple[int, int]) -> ChunkedArray:
    array = ChunkedArray(path, shape)
    array.create_or_resume()
    return array


def test_chunks_count_once_they_are_written_in_any_order(tmp_path: Path) -> None:
    array = opened(tmp_path / "a.npy", (9, 4))
    assert (array.done, array.missing()) == (0, [range(9)])
    for first, count in ((4, 2), (1, 2)):
        array.write(first, np.full((count, 4), first, np.float32))
    resumed = opened(tmp_path / "a.npy", (9, 4))
    assert (resumed.done, resumed.missing()) == (4, [range(1), range(3, 4), range(6, 9)])
    assert resumed.missing(range(2, 8)) == [range(3, 4), range(6, 8)]
    assert resumed.missing(range(4, 6)) == []
    assert resumed.missing(range(5, 5)) == []
    resumed.write(0, np.zeros((1, 4), np.float32))
    resumed.write(3, np.full((1, 4), 3, np.float32))
    resumed.write(5, np.full((4, 4), 5, np.float32))  # with a row of an earlier chunk, as with another batch size
    assert (resumed.done, resumed.missing()) == (9, [])
    assert np.load(tmp_path / "a.npy")[:, 0].tolist() == [0, 1, 1, 3, 4, 5, 5, 5, 5]


def test_a_chunk_that_was_not_synchronised_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = opened(tmp_path / "a.npy", (4, 4))
    array.write(0, np.ones((2, 4), np.float32))

    def failing(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        array.write(2, np.ones((2, 4), np.float32))
    assert opened(tmp_path / "a.npy", (4, 4)).missing() == [range(2, 4)]


def test_the_file_is_the_one_that_numpy_saves(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((700, 3), dtype=np.float32)
    array = opened(tmp_path / "a.npy", (700, 3))
    array.write(400, rows[400:])
    array.write(0, rows[:400])
    np.save(tmp_path / "b.npy", rows)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("shape", [(5, 4), (3, 5)])
def test_an_array_of_another_shape_is_replaced(tmp_path: Path, shape: tuple[int, int]) -> None:
    opened(tmp_path / "a.npy", (3, 4)).write(0, np.ones((2, 4), np.float32))
    assert opened(tmp_path / "a.npy", shape).done == 0
    assert np.load(tmp_path / "a.npy").shape == shape


def test_a_cut_file_is_replaced(tmp_path: Path) -> None:
    opened(tmp_path / "a.npy", (3, 4)).write(0, np.ones((3, 4), np.float32))
    os.truncate(tmp_path / "a.npy", 150)
    assert opened(tmp_path / "a.npy", (3, 4)).missing() == [range(3)]


def test_a_removed_array_stays_removed(tmp_path: Path) -> None:
    """A process of an earlier command may still write when the array is published and its run removed."""
    array = opened(tmp_path / "a.npy", (3, 4))
    (tmp_path / "a.npy").unlink()
    with pytest.raises(FileNotFoundError):
        array.write(0, np.ones((3, 4), np.float32))
    assert not (tmp_path / "a.npy").exists()


def test_a_disk_that_is_too_small_is_an_error_before_the_first_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free in (48, 47):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: SimpleNamespace(total=99, used=0, free=free))
        if free == 48:
            opened(tmp_path / "a.npy", (3, 4))
        else:
            with pytest.raises(OSError, match="No space left") as error:
                opened(tmp_path / "b.npy", (3, 4))
            assert error.value.errno == errno.ENOSPC
