"""Images in packs are found by path, in any process and from many threads, with a bounded number of open files."""

import io
import os
import pickle
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xxhash import xxh3_64_intdigest

from data_manifest.errors import StoreError, UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.packs import lookup_table, pack_store
from data_manifest.images.packs.lookup_table import locations_of, write_lookup
from data_manifest.images.packs.pack_store import PackStore
from tests.helpers import run_forked
from tests.object_server import ObjectServer

PATHS = [f"{number % 7}/é {number}.jpg" for number in range(60)]
PER_SHARD = 5


def content_of(path: str) -> bytes:
    return path.encode() * (1 + len(path) * 7)


def write_shard(file: Path, contents: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as tar:
        for path, content in contents.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_shards(folder: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Write shards with Python's tarfile, and return their index as tarfile sees it."""
    folder.mkdir()
    rows, names = [], tuple(f"{number:04d}.tar" for number in range(len(PATHS) // PER_SHARD))
    for number, name in enumerate(names):
        paths = PATHS[number * PER_SHARD : (number + 1) * PER_SHARD]
        write_shard(folder / name, {path: content_of(path) for path in paths})
        with tarfile.open(folder / name) as tar:
            for member in tar:
                checksum = xxh3_64_intdigest(content_of(member.name))
                rows.append((member.name, name, member.offset_data, member.size, checksum))
    schema = {"path": pl.String, "shard": pl.String, "offset": pl.Int64, "size": pl.Int64, "xxh3": pl.UInt64}
    return pl.DataFrame(rows, schema, orient="row"), names


@pytest.fixture
def store(tmp_path: Path) -> PackStore:
    index, names = write_shards(tmp_path / "shards")
    write_lookup([locations_of(index, 0)], tmp_path / "run" / "lookup.npy")
    return PackStore(tmp_path / "shards", names, tmp_path / "run" / "lookup.npy")


def at(store: PackStore, folder: ImagesFolder) -> PackStore:
    return PackStore(folder, store.shards, store.lookup)


def test_images_are_read_in_any_order(store: PackStore) -> None:
    shuffled = random.Random(0).choices(PATHS, k=200)
    assert list(store.read(shuffled)) == [content_of(path) for path in shuffled]
    assert list(store.read([])) == []


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_images_are_read_from_urls_many_at_once(store: PackStore, objects: ObjectServer, kind: str) -> None:
    for name in store.shards:
        objects.put(f"packs/{name}", Path(str(store.folder / name)).read_bytes())
        objects.failures[f"packs/{name}"] = [503, 429]
    objects.delay_s = 0.02
    url = ImagesUrl.parse("s3://bucket/packs" if kind == "s3" else f"{objects.url}/packs")
    assert list(at(store, url).read(PATHS)) == [content_of(path) for path in PATHS]
    assert objects.most_at_once > 8


def test_server_without_ranges_is_an_error_of_the_store(store: PackStore, objects: ObjectServer) -> None:
    for name in store.shards:
        objects.put(f"packs/{name}", Path(str(store.folder / name)).read_bytes())
    objects.with_ranges = False
    with pytest.raises(StoreError, match=r"0000\.tar: cannot be read"):
        list(at(store, ImagesUrl.parse(f"{objects.url}/packs")).read(PATHS[:1]))


def test_unknown_path_is_an_error_of_its_image(store: PackStore) -> None:
    missing, found = store.read(["elsewhere.jpg", PATHS[0]])
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "not in the packs"
    assert found == content_of(PATHS[0])


def test_other_bytes_are_never_used(store: PackStore) -> None:
    shard = Path(str(store.folder)) / store.shards[0]
    shard.write_bytes(shard.read_bytes().replace(content_of(PATHS[1]), content_of(PATHS[1])[::-1]))
    first, second, third = store.read(PATHS[:3])
    assert (first, third) == (content_of(PATHS[0]), content_of(PATHS[2]))
    assert isinstance(second, OSError)
    assert str(second) == "checksum differs from the index"


def test_missing_and_short_shards_are_errors_of_the_store(store: PackStore, objects: ObjectServer) -> None:
    folder = Path(str(store.folder))
    (folder / store.shards[3]).unlink()
    (folder / store.shards[4]).write_bytes((folder / store.shards[4]).read_bytes()[:600])
    objects.put(f"packs/{store.shards[4]}", (folder / store.shards[4]).read_bytes())
    for each in (store, at(store, ImagesUrl.parse("s3://bucket/packs"))):
        with pytest.raises(StoreError, match=r"0003\.tar: this shard of the packs is missing"):
            list(each.read([PATHS[15]]))
        with pytest.raises(StoreError, match=r"0004\.tar"):
            list(each.read([PATHS[20]]))


def test_replaced_shard_is_an_error_of_the_store(store: PackStore, objects: ObjectServer) -> None:
    folder, name = Path(str(store.folder)), store.shards[0]
    contents = {path: content_of(path) for path in PATHS[:PER_SHARD]}
    write_shard(folder / name, {**contents, PATHS[0]: bytes(600) + contents[PATHS[0]]})
    objects.put(f"packs/{name}", (folder / name).read_bytes())
    for each in (store, at(store, ImagesUrl.parse("s3://bucket/packs"))):
        for path in PATHS[:2]:
            with pytest.raises(StoreError, match=r"0000\.tar: this shard of the packs was replaced or damaged"):
                list(each.read([path]))


def read_all(pickled: bytes) -> None:
    assert list(pickle.loads(pickled).read(PATHS)) == [content_of(path) for path in PATHS]


def test_store_can_be_sent_to_other_processes(store: PackStore) -> None:
    done = run_forked(read_all, pickle.dumps(store))
    assert done.returncode == 0, done.stderr
    assert len(pickle.dumps(store)) < 1_000


def test_lookup_table_may_be_replaced_while_it_is_used(store: PackStore) -> None:
    write_lookup([np.empty((5, 0), np.uint64)], store.lookup)
    assert list(store.read(PATHS)) == [content_of(path) for path in PATHS]
    assert all(isinstance(each, FileNotFoundError) for each in at(store, store.folder).read(PATHS))


def test_few_shards_are_open_whatever_the_threads(store: PackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = pack_store.functools.lru_cache(3)(pack_store._OpenShard)  # type: ignore[attr-defined]
    monkeypatch.setattr(pack_store, "_open_shard", opened)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    shuffled = random.Random(0).choices(PATHS, k=2_000)
    with ThreadPoolExecutor(8) as threads:
        contents = list(threads.map(lambda path: next(store.read([path])), shuffled))
    assert contents == [content_of(path) for path in shuffled]
    assert len(os.listdir("/proc/self/fd")) <= before + 3  # noqa: PTH208


def test_equal_hashes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, _ = write_shards(tmp_path / "shards")
    monkeypatch.setattr(lookup_table, "hash_of", lambda path: len(path))
    with pytest.raises(UserError, match="paths with the same hash"):
        write_lookup([locations_of(index, 0)], tmp_path / "lookup.npy")
