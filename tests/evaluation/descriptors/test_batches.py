import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from data_manifest.errors import UserError
from data_manifest.images import loader_workers
from evaluation.descriptors import batches
from evaluation.descriptors.batches import batches_of_one_shape, check_workers, load_batches
from evaluation.descriptors.image_dataset import ImageDataset
from tests.evaluation.conftest import WriteImages
from tests.helpers import fork, run_forked

CLONE_NEWNS = 0x20000  # <linux/sched.h>
SIZES = [(24, 16), (16, 24), (24, 16), (9, 9), (24, 16), (16, 24), (40, 8)]


def test_a_batch_has_one_stack_per_shape(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    batches = list(load_batches(images, batch_size=4, num_workers=0))
    assert [[rows.tolist() for rows, _ in batch] for batch in batches] == [[[0, 2], [1], [3]], [[4], [5], [6]]]
    for rows, pixels in (entry for batch in batches for entry in batch):
        assert torch.equal(pixels, torch.stack([images[row] for row in rows.tolist()]))


def test_workers_do_not_change_the_batches(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    for alone, shared in zip(load_batches(images, 2, 0), load_batches(images, 2, 2), strict=True):
        for (rows, pixels), (same_rows, same_pixels) in zip(alone, shared, strict=True):
            assert torch.equal(rows, same_rows)
            assert torch.equal(pixels, same_pixels)


def test_more_workers_than_cores_are_no_warning(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images([(8, 8)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(load_batches(images, batch_size=1, num_workers=1000))) == 1  # and one process only


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_damaged_image_is_named_without_a_traceback(
    tmp_path: Path, write_images: WriteImages, num_workers: int
) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    (tmp_path / "4.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"4\.png cannot be opened") as caught:
        list(load_batches(images, 2, num_workers))
    assert "\n" not in str(caught.value)


def test_the_global_random_state_does_not_change(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    before = torch.get_rng_state()
    list(load_batches(images, 4, 0))
    assert torch.equal(torch.get_rng_state(), before)


def rows_of(stacks: list[batches.Stack]) -> list[list[int]]:
    return [rows.tolist() for rows, _ in stacks]


def test_a_stack_waits_until_it_is_full(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    stacks = list(batches_of_one_shape(load_batches(images, 2, 0), 2))
    assert rows_of(stacks) == [[0, 2], [1, 5], [4], [3], [6]]
    for rows, pixels in stacks:
        assert torch.equal(pixels, torch.stack([images[row] for row in rows.tolist()]))


def test_a_stack_has_at_most_batch_size_images(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images([(8, 8)] * 9))
    assert rows_of(list(batches_of_one_shape(load_batches(images, 5, 0), 2))) == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]


def test_the_largest_stack_goes_first_when_too_many_images_wait(
    tmp_path: Path, write_images: WriteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_WAITING_BYTES", 3 * 3 * 24 * 16)
    images = ImageDataset(tmp_path, write_images(SIZES))
    stacks = list(batches_of_one_shape(load_batches(images, 1, 0), 100))
    assert rows_of(stacks)[0] == [0, 2]
    assert sorted(row for rows in rows_of(stacks) for row in rows) == list(range(len(SIZES)))


def is_alive(number: int) -> bool:
    """Return whether a process is alive, and not a zombie."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def load_one_batch(images: ImageDataset) -> None:
    """Load a batch with two workers, print their numbers, and wait."""
    batches = load_batches(images, 2, num_workers=2)
    next(batches)
    print(*(each.pid for each in active_children()), flush=True)
    signal.pause()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, write_images: WriteImages) -> None:
    """They and their fork server would otherwise keep each other alive."""
    images = ImageDataset(tmp_path, write_images([(8, 8)] * 64))
    loads, printed = fork(tmp_path, load_one_batch, images), tmp_path / "stdout"
    while loads.is_alive() and not (printed.exists() and printed.read_text().endswith("\n")):
        time.sleep(0.01)
    workers = [int(number) for number in printed.read_text().split()]
    assert len(workers) == 2
    assert all(map(is_alive, workers))
    loads.kill()
    for _ in range(2000):
        if not any(map(is_alive, workers)):
            break
        time.sleep(0.01)
    else:
        pytest.fail("workers are alive")


class Killing(ImageDataset):
    """Kills the worker that reads image 5."""

    def read(self, rows: Sequence[int]) -> Iterator[torch.Tensor]:
        if 5 in rows:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(rows)


@pytest.mark.usefixtures("loader_notices_dead_workers")
def test_a_killed_worker_is_an_error_and_ends_the_others(tmp_path: Path, write_images: WriteImages) -> None:
    images = Killing(tmp_path, write_images(SIZES))
    lost = (
        r"A batch is lost: (DataLoader worker|\[Errno \d+\] Connection|EOFError).*--infer-batch-size.*--num-workers 0"
    )
    with pytest.raises(UserError, match=lost):
        list(load_batches(images, 2, num_workers=2))
    assert not active_children(), "the other worker ended too"


def test_too_little_shared_memory_is_an_error_before_workers_start(
    tmp_path: Path, write_images: WriteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ImageDataset(tmp_path, write_images([(24, 16)] * 30))
    monkeypatch.setattr(loader_workers, "SHARED_MEMORY", tmp_path)
    free = 3 * 16 * 24 * 2 * 5  # of 5 batches of 2 images
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=free, used=0, free=free))
    check_workers(images, batch_size=2, num_workers=2)
    with pytest.raises(UserError, match=r"3 workers need .* --infer-batch-size"):
        next(load_batches(images, batch_size=2, num_workers=3))
    small = ImageDataset(tmp_path, images.paths, resized_to=8)
    check_workers(small, batch_size=2, num_workers=3)


def can_mount() -> bool:
    """Return whether this process may mount its own /dev/shm."""
    return sys.platform == "linux" and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


def load_with_1_mb_of_shared_memory(images: ImageDataset) -> None:
    """Load all batches with two workers in a mount namespace with a small /dev/shm."""
    assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
    for options in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"]):
        subprocess.run(["mount", *options], check=True)
    _MultiProcessingDataLoaderIter._try_get_data.__defaults__ = (0.1,)  # seconds between checks of the workers
    list(load_batches(images, 4, 2))


@pytest.mark.skipif(not can_mount(), reason="only root can mount another /dev/shm")
def test_full_shared_memory_is_an_error(tmp_path: Path, write_images: WriteImages) -> None:
    """The first image is small, so that the check before workers start passes."""
    images = ImageDataset(tmp_path, write_images([(8, 8), *[(400, 300)] * 7]))
    done = run_forked(load_with_1_mb_of_shared_memory, images)
    assert done.returncode == 1
    assert "A batch is lost: DataLoader worker" in done.stderr
    assert "/dev/shm: 1.0 MB; Docker: --shm-size" in done.stderr


def test_waiting_images_leave_shared_memory(tmp_path: Path, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images([(8, 8), (16, 8)] * 6))
    waiting = list(batches_of_one_shape(load_batches(images, 4, num_workers=1), 4))
    assert sorted(row for rows in rows_of(waiting) for row in rows) == list(range(12))
    assert not any(pixels.is_shared() for _, pixels in waiting)  # type: ignore[no-untyped-call]
