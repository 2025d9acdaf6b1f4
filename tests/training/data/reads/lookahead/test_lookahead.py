"""The look-ahead reads each image when it should, keeps what is read next, and never blocks the training."""

import errno
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import StoreError
from tests.training.data.reads.lookahead.conftest import SPACE, TRAINING, Machine
from training.data.reads.lookahead import lookahead
from training.data.reads.lookahead.cached_store import ImageCache
from training.data.reads.lookahead.gate import OPEN, Gate

MakeMachine = Callable[..., Machine]


def belady_misses(order: list[str], capacity: int) -> int:
    """Return the fewest misses of a cache that must not hold an image to read it."""
    cached, misses = set[str](), 0
    for number, path in enumerate(order):
        misses += path not in cached
        cached.add(path)
        if len(cached) > capacity:
            rest = order[number + 1 :]
            cached.remove(max(cached, key=lambda each: rest.index(each) if each in rest else len(order)))
    return misses


@pytest.mark.parametrize("num_images", [0.5, 2, 8, 40, 90, 200])
@pytest.mark.parametrize("prefetched", [1, 5])
def test_every_batch_is_read_whatever_the_size_of_the_cache(
    machine: MakeMachine, num_images: float, prefetched: int
) -> None:
    run = machine(num_images, prefetched=prefetched)
    with run.lookahead.running():
        run.train()
    reads = Counter(path for number in range(run.batches) for path in run.batch(number))
    assert set(run.store.counts) | set(run.direct.counts) == set(reads)
    assert sum(run.lookahead.reads.values()) == sum(reads.values())
    misses = sum(run.lookahead.reads.values()) - sum(run.lookahead.hits.values())
    read = sum(run.store.counts.values()) + sum(run.direct.counts.values())
    assert misses == read or (
        misses > read and prefetched > 1
    )  # an image left to a worker was fetched for a later read
    if num_images == 200:
        assert set(run.store.counts.values()) == {1}
        assert not run.direct.counts


@pytest.mark.parametrize("num_images", [20, 40, 90])
def test_evicts_as_belady(machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, num_images: int) -> None:
    monkeypatch.setattr(lookahead, "FIRST_CHUNK", 5)
    monkeypatch.setattr(lookahead, "MAX_CHUNK", 5)
    monkeypatch.setattr(lookahead, "AHEAD_SHARE", 2 * 5 / num_images)
    run = machine(num_images)
    with run.lookahead.running():
        run.train()
    order = [path for number in range(run.batches) for path in run.batch(number)]
    misses = sum(run.store.counts.values()) + sum(run.direct.counts.values())
    assert belady_misses(order, num_images) <= misses <= belady_misses(order, num_images - 15)
    assert belady_misses(order, num_images - 15) < 0.9 * len(order)


def test_reads_ahead_up_to_a_share_of_the_cache(machine: MakeMachine) -> None:
    run = machine(40)
    with run.lookahead.running():
        _wait_until(lambda: len(run.store.counts) >= 5)
        time.sleep(0.3)
        assert len(run.store.counts) <= 40 * lookahead.AHEAD_SHARE + TRAINING.batch_size  # the workers have one batch
        run.train(last=4)
        _wait_until(lambda: run.batch(4)[0] in run.store.counts)
    assert not run.direct.counts


def test_reads_into_the_next_epoch_but_not_further(machine: MakeMachine) -> None:
    run = machine(10_000)
    with run.lookahead.running():
        _wait_until(lambda: run.gate._passed[0] >= 2 * TRAINING.iterations_per_epoch)
        time.sleep(0.2)
        assert run.gate._passed[0] == 2 * TRAINING.iterations_per_epoch
        run.train(last=TRAINING.iterations_per_epoch)
        _wait_until(lambda: run.gate._passed[0] == 3 * TRAINING.iterations_per_epoch)


def test_cached_images_do_not_limit_how_far_it_reads_ahead(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machine(200)
    with first.lookahead.running():
        first.train()
    monkeypatch.setattr(lookahead, "AHEAD_SHARE", 4 / 200)
    second = machine(200)
    with second.lookahead.running():
        _wait_until(lambda: bool(second.gate._passed[0] == 2 * TRAINING.iterations_per_epoch))
    assert not second.store.counts


def _wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_resumes_in_the_middle_of_an_epoch(machine: MakeMachine) -> None:
    first = machine(200)
    with first.lookahead.running():
        first.train(last=17)
    second = machine(200, first_batch=17)
    assert second.contents.used == len(list(second.cache.folder.glob("*/*"))) * SPACE
    with second.lookahead.running():
        second.train()
    order = [path for number in range(17, second.batches) for path in second.batch(number)]
    assert set(second.store.counts) == set(order) - set(first.store.counts)


def test_two_machines_read_their_parts_of_each_batch(machine: MakeMachine) -> None:
    whole = machine(200)
    for share in (range(2), range(2, 5)):
        part = machine(200, share=share)
        with part.lookahead.running():
            part.train()
        batches = [whole.batch(number)[share.start : share.stop] for number in range(whole.batches)]
        assert [part.batch(number) for number in range(whole.batches)] == batches


def test_missing_and_changed_images_are_left_to_the_workers(machine: MakeMachine) -> None:
    run = machine(200)
    missing, longer = run.batch(0)[:2]
    content = (run.images / longer).read_bytes()
    (run.images / longer).write_bytes(content + b"more")
    (run.images / missing).rename(run.images / "gone")
    with run.lookahead.running():
        run.gate.wait(0)
        assert run.cache.read(longer) is None
        assert run.cache.read(missing) is None
        assert run.cache.read(run.batch(0)[2]) is not None


@pytest.mark.parametrize(("num_images", "is_small"), [(4, True), (20, False)])
def test_too_small_a_cache_is_noted(
    machine: MakeMachine, caplog: pytest.LogCaptureFixture, num_images: int, is_small: bool
) -> None:
    run = machine(num_images, prefetched=2)  # 10 images
    with run.lookahead.running():
        run.train(last=3)
    text = "too small to read ahead, because the workers prefetch 81.9 kB. Give 0.00016 or more"
    assert (text in caplog.text) == is_small
    assert bool(run.direct.counts) == is_small


def test_errors_of_the_store_end_the_look_ahead(machine: MakeMachine, caplog: pytest.LogCaptureFixture) -> None:
    run = machine(200)
    run.store.error = StoreError("the bucket does not answer")
    with run.lookahead.running():
        run.train()
    assert [message for message in caplog.messages if "reading ahead" in message] == [
        "reading ahead has stopped: the bucket does not answer"
    ]
    assert sum(run.direct.counts.values()) == 5 * run.batches


def test_faults_do_not_end_the_training(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = machine(200)
    monkeypatch.setattr(type(run.contents), "evict", lambda *arguments: 1 / 0)
    with run.lookahead.running():
        run.train()
    assert "reading ahead has stopped" in caplog.text


@pytest.mark.parametrize("fits", [0, 30])
def test_full_disk_limits_the_cache(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fits: int
) -> None:
    run, write = machine(200), ImageCache.write
    lock = threading.Lock()

    def write_if_it_fits(self: ImageCache, *arguments: Any) -> None:
        with lock:
            if len(list(self.folder.glob("*/*"))) >= fits:
                raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))
            write(self, *arguments)

    monkeypatch.setattr(ImageCache, "write", write_if_it_fits)
    with run.lookahead.running():
        run.train()
    expected = ["the disk is full"] if fits else ["No space left on device. Images are read without the cache"]
    assert [text for text in expected if caplog.text.count(text) == 1] == expected
    hits = sum(run.lookahead.hits.values())
    assert hits > 0 if fits else hits == 0


def test_folder_that_is_removed_ends_the_look_ahead(machine: MakeMachine, caplog: pytest.LogCaptureFixture) -> None:
    run = machine(200)
    for folder in run.cache.folder.iterdir():
        folder.rmdir()
    with run.lookahead.running():
        run.train()
    assert "No such file or directory. Images are read without the cache from now on" in caplog.text


def test_a_read_that_hangs_does_not_keep_the_training_from_ending(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = machine(200)
    run.store.hanging = threading.Event()
    with run.lookahead.running():
        _wait_until(lambda: bool(run.store.counts))
    _wait_until(lambda: bool(run.gate._passed[0] == OPEN))
    run.store.hanging.set()


def test_a_rank_that_is_asked_to_stop_opens_the_gate_for_all(tmp_path: Path) -> None:
    Gate.make(tmp_path / "gate")
    Gate(tmp_path / "gate", lambda: True).wait(7)
    other = threading.Thread(target=Gate(tmp_path / "gate", lambda: False).wait, args=(7,), daemon=True)
    other.start()
    other.join(20)
    assert not other.is_alive()
