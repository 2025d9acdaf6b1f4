"""Other loaders on the same images: those of PyTorch, WebDataset and LitData, with this project's decoding."""

import functools
import http.client
import importlib.util
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from measure import note
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_manifest.images.loader_workers import forkserver
from simulated.images import Images, link_to_disk
from simulated.stores import Store
from simulated.training import AUGMENTATION
from training.data.augmentation import Augmentation
from training.data.image_files import decode_image

BATCH, WORKERS = 32, 4
SHARDS, CHUNKS = "shards", "chunks"  # folders of WebDataset's and LitData's files
SHARD_BYTES = 8_000_000  # as 1 GB is to a group of SF-XL
SHUFFLE_BUFFER = 1_000
INSTALLED = {name: importlib.util.find_spec(name) is not None for name in ("webdataset", "litdata")}
Batches = Iterable[tuple[Tensor, Tensor]]


class Decode:
    """Decodes and augments an image, given with its class."""

    def __init__(self) -> None:
        self.augmentation = Augmentation(AUGMENTATION)

    def __call__(self, sample: dict[str, Any]) -> tuple[Tensor, int]:
        """Return the image and its class."""
        image = decode_image(sample["jpg"], Path(sample["__key__"]))
        return self.augmentation(image, hash(sample["__key__"])), int(sample["cls"])


DECODE = Decode()


class PlainDataset(Dataset[tuple[Tensor, int]]):
    """Images read one by one by path or URL, in a random order with other classes in each batch."""

    def __init__(self, root: str, images: Images, samples: int) -> None:
        self.root = root
        generator, by_class = np.random.default_rng(0), dict[int, list[str]]()
        for path, class_index in zip(images.paths, images.class_indices, strict=True):
            by_class.setdefault(class_index, []).append(path)
        whole = len(by_class) // BATCH * BATCH  # batches that have each class at most once
        orders = (generator.permutation(len(by_class))[:whole] for _ in itertools.count())
        order = itertools.islice(itertools.chain.from_iterable(orders), samples)
        self.samples = [
            (by_class[int(each)][generator.integers(len(by_class[int(each)]))], int(each)) for each in order
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        path, class_index = self.samples[number]
        content = read_url(self.root, path) if "://" in self.root else Path(self.root, path).read_bytes()
        return DECODE({"__key__": f"{path} {number}", "jpg": content, "cls": class_index})


def read_url(root: str, path: str) -> bytes:
    """Return an image of a web server; the connection is kept."""
    parts = urlsplit(f"{root}/{path}")
    connection = _connection(parts.netloc)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    return answer.read()


@functools.cache
def _connection(host: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(host)


def plain_batches(store: Store, images: Images, samples: int) -> Batches:
    """Return PyTorch's loader, for an epoch of some samples."""
    dataset = PlainDataset(f"{store.root}/{images.name}", images, samples)
    return DataLoader(dataset, BATCH, num_workers=WORKERS, multiprocessing_context=forkserver())


def webdataset_batches(store: Store) -> Batches:
    """Return WebDataset's loader: shards in random order, images in random order within a buffer."""
    import webdataset

    urls = [f"{store.root}/{SHARDS}/{shard.name}" for shard in sorted((store.local / SHARDS).iterdir())]
    dataset = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0, empty_check=False)
    dataset = dataset.shuffle(SHUFFLE_BUFFER).map(DECODE).batched(BATCH, partial=False)
    return webdataset.WebLoader(dataset, batch_size=None, num_workers=WORKERS, multiprocessing_context=forkserver())


def litdata_batches(store: Store, cache: Path) -> Batches:
    """Return LitData's loader: chunks in random order, images in random order within them.

    Its cache may hold all chunks: with a limit of a quarter, version 0.2.76 ran into a timeout.
    """
    import litdata
    from litdata.streaming.resolver import Dir

    folder = Dir(path=str(cache), url=f"local:{store.root}/{CHUNKS}")
    dataset = litdata.StreamingDataset(folder, shuffle=True, drop_last=True, transform=DECODE)
    return litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=WORKERS)


def write_for_others(work: Path, images: Images) -> None:
    """Write the first group's images as WebDataset's shards and LitData's chunks, unless they are there.

    Both are in a random order, as WebDataset's documentation recommends.
    """
    for name, package, write in ((SHARDS, "webdataset", _write_shards), (CHUNKS, "litdata", _write_chunks)):
        if not INSTALLED[package]:
            note(f"{package} is not installed, and not measured")
        elif not (work / "disk" / name).exists():
            write(work / "local" / name, _shuffled(work / "local" / images.name, images))
            link_to_disk(work, name)


def _write_shards(folder: Path, samples: Iterator[dict[str, Any]]) -> None:
    import webdataset

    folder.mkdir(parents=True)
    with webdataset.ShardWriter(f"{folder}/%04d.tar", maxsize=SHARD_BYTES, verbose=0) as writer:
        for sample in samples:
            writer.write({**sample, "cls": str(sample["cls"])})


def _write_chunks(folder: Path, samples: Iterator[dict[str, Any]]) -> None:
    import litdata

    litdata.optimize(dict, list(samples), str(folder), chunk_bytes=SHARD_BYTES, num_workers=1)


def _shuffled(folder: Path, images: Images) -> Iterator[dict[str, Any]]:
    for number in np.random.default_rng(0).permutation(len(images.paths)):
        content = (folder / images.paths[number]).read_bytes()
        yield {"__key__": f"{number:06}", "jpg": content, "cls": images.class_indices[number]}
