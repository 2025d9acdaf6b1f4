"""Images per second from a slow disk and a slow web server, against the loaders of PyTorch, WebDataset and LitData.

A training reads images of about 70 kB with 4 workers for a network that takes 400 images per second, simulated by
waiting. Disk and server are simulated on this machine: see `simulated/arm.py`, `simulated/disk.py` and
`simulated/web_server.py`. As in SF-XL, an epoch has 0.46 samples per image of its group.

    python benchmarks/slow_stores.py WORK

WebDataset and LitData are measured if they are installed, as by

    pip install --target PACKAGES webdataset litdata
    PYTHONPATH=PACKAGES python benchmarks/slow_stores.py WORK
"""

import argparse
import logging
import multiprocessing.forkserver
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import machine, note, table
from simulated.consume import IMAGES_PER_SECOND, Epoch, consume
from simulated.images import Images, write_images, write_packs
from simulated.loaders import (
    BATCH,
    INSTALLED,
    WORKERS,
    Batches,
    litdata_batches,
    plain_batches,
    webdataset_batches,
    write_for_others,
)
from simulated.stores import Store, running_stores
from simulated.training import measure_training

from data_manifest.images.loader_workers import forkserver
from data_manifest.store.files import bytes_in
from training.settings import RuntimeSettings, TrainingSettings

GROUPS = 2
CACHE, LOOKAHEAD = 0.25, 0.05  # bytes of the cache as shares of those of the images
PYTORCH, LITDATA, OURS, PACKS = "PyTorch", "LitData, chunks", "this project", "packs"
CACHED, CACHED_PACKS = f"look-ahead, cache of {CACHE:.0%}", f"packs, look-ahead, cache of {CACHE:.0%}"
TITLES = (
    *("images/s", f"times {PYTORCH}", "of this machine's disk, %", "waiting, %", "kB read per image"),
    f"classes in a batch of {BATCH}",
)
Measure = Callable[[], list[Epoch]]


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run."""

    places: int
    iterations: int  # batches per epoch
    fewer: int  # the same for loaders that read the slow disk in random order
    epochs: int  # with a cache


FULL, TINY = Sizes(places=480, iterations=80, fewer=30, epochs=6), Sizes(places=40, iterations=4, fewer=4, epochs=4)


@dataclass(frozen=True)
class Bench:
    """Images in one layout, and the loaders that read them."""

    sizes: Sizes
    work: Path
    images: Images
    image_bytes: int

    def loaders(self, store: Store) -> dict[str, Measure]:
        """Return functions that measure the epochs of each loader, by its name."""
        iterations, epochs = self.sizes.iterations, self.sizes.epochs
        fewer = self.sizes.fewer if store.is_disk else iterations
        found = {
            PYTORCH: lambda: self.load(store, plain_batches(store, self.images, fewer * BATCH)),
            "WebDataset, shards": lambda: self.load(store, webdataset_batches(store)),
            LITDATA: lambda: self.load_chunks(store),
            OURS: lambda: self.train(store, 1, fewer),
            f"look-ahead, cache of {LOOKAHEAD:.0%}": lambda: self.train(store, 1, iterations, LOOKAHEAD),
            CACHED: lambda: self.train(store, epochs, iterations, CACHE),
            PACKS: lambda: self.train(store, 1, iterations, packs=True),
            CACHED_PACKS: lambda: self.train(store, epochs, iterations, CACHE, packs=True),
        }
        if store.is_web:  # LitData's client refuses http
            del found[LITDATA]
        return {name: measure for name, measure in found.items() if INSTALLED.get(name.split(",")[0].lower(), True)}

    def train(
        self, store: Store, epochs: int, iterations: int, cache: float = 0.0, *, packs: bool = False
    ) -> list[Epoch]:
        """Train on images of a store or their packs; `cache` is the cache's share of the images' bytes."""
        training = TrainingSettings(
            groups_num=GROUPS, batch_size=BATCH, epochs_num=epochs, iterations_per_epoch=iterations
        )
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            options: dict[str, Any] = {"device": "cpu", "num_workers": WORKERS}
            if packs:
                options |= {"packs": store.folder(self.images.packs)}
            if cache:
                options |= {"cache_folder": Path(folder), "cache_gb": cache * self.image_bytes / 1e9}
            images_folder, runtime = store.folder(self.images.name), RuntimeSettings(**options)
            return measure_training(self.images.groups, images_folder, training, runtime, store.bytes_read)

    def load(self, store: Store, batches: Batches) -> list[Epoch]:
        """Load an epoch with another loader."""
        return [consume(batches, store.bytes_read)]

    def load_chunks(self, store: Store) -> list[Epoch]:
        """Load an epoch with LitData, whose cache is empty at the start."""
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            return self.load(store, litdata_batches(store, Path(folder)))


class Report:
    """The rows of the tables; the first table, of this machine's disk, is the baseline of the others."""

    def __init__(self) -> None:
        self.local = 0.0  # images per second

    def rows(self, loaders: dict[str, Measure]) -> Iterator[tuple[str, ...]]:
        """Measure loaders; yield the cells of each: the first epoch and, with a cache, the mean of the last two."""
        plain = 0.0
        for name, measure in loaders.items():
            epochs = measure()
            note(f"{name}: {', '.join(f'{each.images_per_second:.0f}' for each in epochs)} images/s")
            parts = [epochs[:1], epochs[-2:]] if len(epochs) > 2 else [epochs]
            rates = [len(part) / sum(1 / each.images_per_second for each in part) for part in parts]
            plain = plain or rates[-1]
            if name == OURS:
                self.local = self.local or rates[-1]
            yield (
                name,
                _cell(rates),
                f"{rates[-1] / plain:.1f}",
                f"{100 * rates[-1] / self.local:.0f}" if self.local else "",
                _cell(100 * _mean([each.waiting for each in part]) for part in parts),
                _cell(_mean([each.bytes_per_image / 1e3 for each in part]) for part in parts),
                f"{_mean([each.classes for each in epochs]):.1f}",
            )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _cell(figures: Iterable[float]) -> str:
    return "; ".join(f"{each:.0f}" for each in figures)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="scratch folder, which keeps the images")
    parser.add_argument("--tiny", action="store_true", help="check the script with tiny sizes, in another folder")
    options = parser.parse_args()
    work, sizes, benches = options.work.resolve(), TINY if options.tiny else FULL, list[Bench]()
    for name, by_class in (("by-class", True), ("shuffled", False)):
        images = write_images(work, name, sizes.places, by_class=by_class)
        write_packs(work, images)
        benches.append(Bench(sizes, work, images, bytes_in(work / "local" / name)))
    write_for_others(work, benches[0].images)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    report = Report()
    with running_stores(work) as (local, disk, web):
        forkserver("__main__", "torch", "training.data.loading")
        multiprocessing.forkserver.ensure_running()  # now: the workers of all loaders are forked from it
        print(f"{machine()} A network that takes {IMAGES_PER_SECOND} images/s.\n")
        for store, bench, names in (
            (local, benches[0], (PYTORCH, OURS, PACKS)),
            (disk, benches[0], None),
            (disk, benches[1], (PYTORCH, OURS, CACHED, CACHED_PACKS)),
            (web, benches[0], None),
        ):
            loaders = {name: each for name, each in bench.loaders(store).items() if names is None or name in names}
            title = f"{store.title}, {bench.images.title}"
            print(table((title, *TITLES), report.rows(loaders)), end="\n\n", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    logging.getLogger("training").setLevel(logging.ERROR)
    main()
