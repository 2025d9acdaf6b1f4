import dataclasses
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from data_manifest import schemas
from data_manifest.images.image_store import FolderStore, OpenedImage
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.tables import group_file, make_frame, scan_members
from tests.training.conftest import write_groups_in
from training.data.reads.lookahead.cache_folder import SUBFOLDERS, CacheFiles
from training.data.reads.lookahead.cached_store import CachedStore, ImageCache
from training.data.reads.lookahead.contents import CacheContents
from training.data.reads.lookahead.gate import Gate
from training.data.reads.lookahead.lookahead import LookAhead
from training.data.reads.lookahead.machine_reads import MachineReads
from training.data.reads.read_order import ReadOrder
from training.image_changes import record_or_compare
from training.loop.trainer import train
from training.settings import RuntimeSettings, TrainingSettings

SPACE = 8192  # bytes that each image of these tests takes on the disk
TRAINING = TrainingSettings(groups_num=2, batch_size=5, epochs_num=8, iterations_per_epoch=12)
UNCHANGED = make_frame([], schemas.FILES)
SIZES = {0: 7, 3: 5}
EPOCHS, ITERATIONS, BATCH = 4, 4, 3


@dataclass
class CountingStore:
    """A store that counts the reads of each image, and may fail or hang."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    error: Exception | None = None
    hanging: threading.Event | None = None

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        for path in paths:
            self.counts[path] += 1
            if self.hanging is not None:
                self.hanging.wait()
            if self.error is not None:
                raise self.error
            yield from FolderStore(self.folder).read([path])

    def open(self, paths: Sequence[str], whole: bool = True) -> Iterator[OpenedImage | OSError]:
        raise NotImplementedError

    def sorted_by_place(self, paths: Sequence[str]) -> list[int]:
        return FolderStore(self.folder).sorted_by_place(paths)


@dataclass(frozen=True)
class WatchedCache(ImageCache):
    """A cache that knows the bytes that its files take on the disk, and the most that they ever took."""

    spaces: dict[int, int] = field(default_factory=dict)
    most: list[int] = field(default_factory=lambda: [0])
    lock: Any = field(default_factory=threading.Lock)

    def write(self, path: str, content: bytes, modified_ns: int) -> None:
        super().write(path, content, modified_ns)
        with self.lock:
            size = Path(self.file(self.name(path))).stat().st_size
            self.spaces[self.name(path)] = -(-size // 4096) * 4096
            self.most[0] = max(self.most[0], sum(self.spaces.values()))

    def remove(self, name: int) -> None:
        super().remove(name)
        with self.lock:
            self.spaces.pop(name, None)


@dataclass
class Machine:
    """A look-ahead, and a trainer that reads what it should."""

    folder: Path
    limit: int
    training: TrainingSettings = TRAINING
    share: range = range(TRAINING.batch_size)
    prefetched: int = 1
    first_batch: int = 0

    def __post_init__(self) -> None:
        self.images, self.run = self.folder / "images", self.folder / "run"
        for name in SUBFOLDERS:
            (self.folder / "cache" / name).mkdir(parents=True, exist_ok=True)
        self.order = ReadOrder(self.folder / "groups", self.training, range(self.training.epochs_num))
        lists = {
            group_file(group.index): scan_members(self.folder / "groups", group.index) for group in self.order.groups
        }
        record_or_compare(self.run, "train_files", self.images, lists)
        self.reads = MachineReads(self.order, self.run / "train_files", UNCHANGED, self.share)
        self.cache = WatchedCache(self.folder / "cache", str(self.images))
        self.contents = CacheContents(self.reads.num_images, self.limit)
        self.contents.adopt(CacheFiles.scan(self.cache.folder, clean=True), self.cache, self.reads)
        Gate.make(self.run / "gate")
        self.gate = Gate(self.run / "gate", lambda: False)
        self.store, self.direct = CountingStore(self.images), CountingStore(self.images)
        self.lookahead = LookAhead(
            self.reads, self.contents, self.cache, self.store, self.gate, self.prefetched, self.first_batch
        )
        self.paths = pl.concat([self.reads.files(epoch) for epoch in range(len(self.order.groups))])["path"].to_list()

    def batch(self, number: int) -> list[str]:
        """Return the paths of a batch, counted over all epochs."""
        epoch, iteration = divmod(number, self.training.iterations_per_epoch)
        rows = self.reads.rows(epoch)[iteration * len(self.share) : (iteration + 1) * len(self.share)]
        return [self.paths[row] for row in rows]

    @property
    def batches(self) -> int:
        return self.training.epochs_num * self.training.iterations_per_epoch

    def train(self, last: int | None = None) -> None:
        """Read all batches as a training without workers does, and check their content and the size of the cache."""
        store = CachedStore(self.cache, self.direct)
        for number in range(self.first_batch, self.batches if last is None else last):
            self.gate.wait(number)
            paths = self.batch(number)
            assert list(store.read(paths)) == [(self.images / path).read_bytes() for path in paths]
            assert self.cache.most[0] <= self.limit
            self.lookahead.advance(number + 1)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two groups of 75 and 60 images."""
    return write_groups_in(tmp_path_factory.mktemp("groups"), {0: 25, 3: 20})


@pytest.fixture
def machine(written: Path, tmp_path: Path) -> Callable[..., Machine]:
    """Return a function that makes a machine with a cache of some images, of the 75 and 60 in two groups."""
    folder = Path(shutil.copytree(written, tmp_path / "machine"))
    return lambda num_images, **values: Machine(folder, int(num_images * SPACE), **values)


def train_with(
    folder: Path,
    run: str,
    tiny: dict[str, Any],
    cache_gb: float | None = None,
    images: ImagesFolder | None = None,
    epochs: int = EPOCHS,
    **runtime: Any,
) -> None:
    """Train into a run folder, with a cache of some gigabytes in `folder / "cache"` unless it is None."""
    lengths = {"epochs_num": epochs, "iterations_per_epoch": ITERATIONS, "batch_size": BATCH}
    changes = {"training": dataclasses.replace(tiny["training"], **lengths)}
    if cache_gb is not None:
        runtime |= {"cache_folder": folder / "cache", "cache_gb": cache_gb}
    settings = {"device": "cpu", "num_workers": 0, **runtime}
    train(
        folder / "groups",
        images or folder / "images",
        folder / run,
        **{**tiny, **changes, "runtime": RuntimeSettings(**settings)},
    )


def entries(folder: Path) -> list[Path]:
    return [file for file in (folder / "cache").glob("*/*") if file.is_file()]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Any]) -> Path:
    """Return the folder of a run without a cache."""
    torch.set_num_threads(1)
    folder = write_groups_in(tmp_path_factory.mktemp("whole"), SIZES)
    train_with(folder, "whole", tiny)
    return folder / "whole"
