"""Descriptors by several real processes: the same bytes, killed processes, errors, resumed runs."""

import functools
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data_manifest.errors import UserError
from evaluation.descriptors.build_descriptors import build_descriptors
from evaluation.descriptors.chunks.process_setup import PRELOAD, check_processes, process_setup
from evaluation.descriptors.chunks.run_jobs import Processes
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.settings import Extraction
from pipeline.execution.dask_cluster import executor_at
from pipeline.execution.process_executor import ProcessExecutor
from tests.evaluation.conftest import BACKBONE, DIM, LONG_AGO, list_images, name, on_cpu
from tests.helpers import as_main, fork
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

SIZES = ((48, 32), (32, 48), (48, 48), (48, 32))  # a shape waits within its chunk until a batch is full
NUM_IMAGES, CHUNK, BATCH = 30, 4, 2
Build = Callable[..., bytes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images` and `model.pth`."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "images").mkdir()
    generator = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        width, height = SIZES[number % len(SIZES)]
        file = folder / "images" / name(number)
        Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8)).save(file)
        os.utime(file, (LONG_AGO, LONG_AGO))
    torch.manual_seed(0)
    save_network(GeoLocalizationNet(BACKBONE, DIM), folder / "model.pth")
    return folder


@pytest.fixture
def images(folder: Path, tmp_path: Path) -> ImageList:
    return list_images(folder / "images", tmp_path / "artifacts")


@pytest.fixture
def build(folder: Path, images: ImageList, tmp_path: Path) -> Build:
    """Build the descriptors in tmp_path/artifacts, and return the bytes of their file."""

    def build(executor: Processes | None = None, extraction: Extraction | None = None, **options: Any) -> bytes:
        model, options = TrainedModel(folder / "model.pth", BACKBONE, DIM), {"chunk_images": CHUNK, **options}
        extraction = extraction or on_cpu(BATCH)
        made = build_descriptors(model, images, tmp_path / "artifacts", extraction, executor=executor, **options)
        return (made / "descriptors.npy").read_bytes()

    return build


@pytest.fixture(scope="module")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes that this process makes."""
    artifacts, model = tmp_path_factory.mktemp("alone"), TrainedModel(folder / "model.pth", BACKBONE, DIM)
    torch.set_num_threads(1)
    images = list_images(folder / "images", artifacts)
    made = build_descriptors(model, images, artifacts, on_cpu(BATCH), chunk_images=CHUNK)
    assert np.ptp(np.load(made / "descriptors.npy"), axis=0).min() > 0, "no two images are equal"
    return (made / "descriptors.npy").read_bytes()


def done_chunks(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("artifacts/runs/*/*/chunks.done/*"))


def wait_for(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def kill_at_chunk(first: int, once: Path | None, set_up: Callable[[int], None], number: int) -> None:
    """Set a process up to be killed after it wrote a chunk, but before this counts."""
    set_up(number)
    touch = Path.touch

    def killing(path: Path) -> None:
        if path.name.startswith(f"{first}-") and not (once and once.exists()):
            if once:
                touch(once)
            os.kill(os.getpid(), signal.SIGKILL)
        touch(path)

    Path.touch = killing  # type: ignore[assignment,method-assign]


def two_processes(wrap: "functools.partial[None] | None" = None) -> ProcessExecutor:
    set_up = process_setup("cpu", 2)
    return ProcessExecutor(2, functools.partial(wrap, set_up) if wrap else set_up, *PRELOAD)


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(build: Build, alone: bytes, tmp_path: Path) -> None:
    percentages: list[int] = []
    with two_processes() as executor:
        assert build(executor, on_cpu(BATCH, num_workers=1), on_percentage=percentages.append) == alone
    assert (percentages, percentages[-1]) == (sorted(set(percentages)), 100)
    assert not list((tmp_path / "artifacts" / "runs").glob("*/*")), "nothing is left"


def test_a_killed_process_is_replaced(build: Build, alone: bytes, tmp_path: Path) -> None:
    with two_processes(functools.partial(kill_at_chunk, 8, tmp_path / "killed")) as executor:
        assert build(executor) == alone
    assert (tmp_path / "killed").exists()


@pytest.mark.slow
def test_a_chunk_that_kills_each_process_is_named_and_one_process_resumes(
    build: Build, images: ImageList, alone: bytes, tmp_path: Path
) -> None:
    with two_processes(functools.partial(kill_at_chunk, 24, None)) as executor, pytest.raises(UserError) as error:
        build(executor)
    assert str(error.value) == (
        f"Images 25 to 28 of {images.images_folder}: 3 processes died on the same job, the last one killed by SIGKILL. "
        "Memory may be too small: lower --infer-batch-size or --num-workers, and run again to resume"
    )
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("artifacts/runs/*/*/chunks.done/*")}
    assert len(before) > 1
    assert "24-28" not in done_chunks(tmp_path)
    seen: dict[Path, int] = {}

    def see(percentage: int) -> None:
        seen.update({path: path.stat().st_mtime_ns for path in before})

    assert build(on_percentage=see) == alone
    assert seen == before, "finished chunks are not embedded again"


def test_an_unreadable_image_stops_all_processes_with_its_message(
    build: Build, images: ImageList, tmp_path: Path
) -> None:
    broken = Path(images.images_folder) / name(13)
    content = broken.read_bytes()
    broken.write_bytes(b"x" * len(content))
    os.utime(broken, (LONG_AGO, LONG_AGO))
    try:
        with two_processes() as executor, pytest.raises(UserError) as error:
            build(executor)
        (first_line, *others) = str(error.value).splitlines()
        assert first_line.startswith(f"{broken} cannot be opened as an image")
        assert others == []
        assert "12-16" not in done_chunks(tmp_path)
    finally:
        broken.write_bytes(content)
        os.utime(broken, (LONG_AGO, LONG_AGO))


def test_a_run_of_the_format_before_starts_over(
    build: Build, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.descriptors.chunks.embed_job.extract_chunks", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build()
    monkeypatch.undo()
    (run,) = tmp_path.glob("artifacts/runs/*/*")
    (run / "chunks.done").rmdir()
    (run / "chunks.npy").rename(run / "descriptors.npy")
    (run / "descriptors.rows").write_text("20\n")
    remaining: list[bool] = []
    assert build(on_percentage=lambda _: remaining.append((run / "descriptors.npy").exists())) == alone
    assert set(remaining) == {False}, "it does not fill the disk"


class Posting(Executor):
    """Runs jobs in this process, but sends them through pickle."""

    num_workers = 1

    def __init__(self, before_each: Callable[[], object]) -> None:
        self.before_each = before_each

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        posted = pickle.dumps((work, args))
        assert len(posted) < 3000, "neither weights nor paths are sent"
        self.before_each()
        future: Future[Any] = Future()
        try:
            work, args = pickle.loads(posted)
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def test_a_model_file_that_changes_is_an_error(build: Build, folder: Path) -> None:
    content = (folder / "model.pth").read_bytes()
    try:
        with pytest.raises(UserError, match=r"model\.pth: changed after this command started"):
            build(Posting(lambda: save_network(GeoLocalizationNet(BACKBONE, DIM), folder / "model.pth")))
    finally:
        (folder / "model.pth").write_bytes(content)


def test_a_job_whose_command_has_ended_stops(build: Build, tmp_path: Path) -> None:
    def end() -> None:
        (folder,) = tmp_path.glob("artifacts/runs/*/*/running-*")
        folder.rmdir()

    with pytest.raises(FileNotFoundError):
        build(Posting(end))
    assert done_chunks(tmp_path) == []


def test_an_image_that_changes_in_another_process_is_an_error(
    build: Build, images: ImageList, tmp_path: Path, alone: bytes
) -> None:
    changed = images.images_folder / name(5)
    try:
        with pytest.raises(UserError, match=rf"{name(5)}: changed while it was being embedded"):
            build(Posting(lambda: os.utime(changed, (LONG_AGO, LONG_AGO + 1))))
    finally:
        os.utime(changed, (LONG_AGO, LONG_AGO))
    assert not list(tmp_path.glob("artifacts/runs/*/*"))
    assert build() == alone


def test_a_daemonic_process_cannot_load_images(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="num_workers = 1: this Dask worker cannot start processes"):
        build(Posting(lambda: None), on_cpu(BATCH, num_workers=1))


def test_sigterm_stops_and_keeps_finished_chunks(build: Build, alone: bytes, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        wait_for(lambda: done_chunks(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with two_processes(functools.partial(sleep_at_chunk, 8)) as executor:
        with pytest.raises(KeyboardInterrupt, match="stopped by SIGTERM; finished chunks are kept"):
            build(executor)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before
    assert 0 < len(done_chunks(tmp_path)) < 8
    assert not list(tmp_path.glob("artifacts/runs/*/*/running-*"))
    assert build() == alone


def sleep_at_chunk(first: int, set_up: Callable[[int], None], number: int) -> None:
    set_up(number)
    touch = Path.touch

    def sleeping(path: Path) -> None:
        if path.name.startswith(f"{first}-"):
            time.sleep(600)
        touch(path)

    Path.touch = sleeping  # type: ignore[assignment,method-assign]


def test_gpus_and_processes_that_do_not_fit_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    check_processes("cpu", 64)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes("auto", 2)
    check_processes("cuda", 2)
    with pytest.raises(UserError, match=r"^num_processes = 3: torch sees 2 GPUs\. Lower --num-processes"):
        check_processes("auto", 3)
    with pytest.raises(UserError, match=r"^device = cuda:1: with 2 processes, each takes a GPU of its own"):
        check_processes("cuda:1", 2)


def test_each_process_takes_its_share_of_threads_and_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    torch.set_num_threads(6)
    set_up = process_setup("cuda", 2)
    set_up(1)
    assert (torch.get_num_threads(), chosen, os.environ["LOCAL_WORLD_SIZE"]) == (3, [1], "2")


def run_dask_worker(scheduler: str, folder: Path) -> None:
    torch.set_num_threads(1)
    more = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
    as_main("dask", "worker", scheduler, "--host", "127.0.0.1", *more)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[int]]]:
    """The address of a Dask cluster of two workers, and their processes, which are forked to start fast."""
    pytest.importorskip("distributed", reason="Dask is not installed")
    from tests.pipeline.execution.test_dask_cluster import Cluster

    folder = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(folder)
    workers = [fork(folder, run_dask_worker, cluster.address, folder) for _ in range(2)]
    try:
        cluster.wait_for_workers(2)
        yield cluster.address, [int(worker.pid or 0) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
        cluster.end()


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_when_an_image_is_mended_and_a_worker_killed(
    scheduler: tuple[str, list[int]], build: Build, images: ImageList, alone: bytes, tmp_path: Path
) -> None:
    """One test, because starting a cluster takes seconds."""
    address, workers = scheduler
    broken = Path(images.images_folder) / name(29)
    content = broken.read_bytes()
    broken.write_bytes(b"x" * len(content))
    os.utime(broken, (LONG_AGO, LONG_AGO))
    try:
        with executor_at(address) as on, pytest.raises(UserError, match=rf"{name(29)} cannot be opened .*on "):
            build(on)
    finally:
        broken.write_bytes(content)
        os.utime(broken, (LONG_AGO, LONG_AGO))
    assert "28-30" not in done_chunks(tmp_path)
    for done in tmp_path.glob("artifacts/runs/*/*/chunks.done/*"):
        done.unlink()

    def kill() -> None:
        wait_for(lambda: done_chunks(tmp_path))
        os.kill(workers[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    with executor_at(address) as on:
        assert on is not None
        assert on.num_workers == 2
        thread.start()
        assert build(on) == alone
        thread.join()
        wait_for(lambda: on.num_workers == 1)
