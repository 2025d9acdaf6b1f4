"""A training with a cache gives the same weights as one without, whatever happens to the cache."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from data_manifest.images.image_store import FolderStore
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.tables import read_table
from tests.object_server import ObjectServer
from tests.training.conftest import WriteGroups, assert_same_future
from tests.training.data.reads.lookahead.conftest import EPOCHS, SIZES, entries, train_with
from training.data.reads.lookahead.cache_folder import LOCK_FILE, SUBFOLDERS
from training.data.reads.lookahead.cached_store import CHECKSUM_BYTES


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the images read from folders, by path."""
    counts, read = Counter[str](), FolderStore.read

    def counted(self: FolderStore, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        counts.update(paths)
        return read(self, paths)

    monkeypatch.setattr(FolderStore, "read", counted)
    return counts


CASES: list[Any] = [(1e-7, 0), (6e-5, 0), (1.0, 0)]  # an image takes 8,192 bytes, a batch three times that
CASES += [pytest.param(cache_gb, 2, marks=pytest.mark.slow) for cache_gb in (1.2e-5, 1.0)]


@pytest.mark.parametrize(("cache_gb", "num_workers"), CASES)
def test_weights_are_those_without_a_cache(
    write_groups: WriteGroups, tiny: dict[str, Any], whole: Path, cache_gb: float, num_workers: int
) -> None:
    folder = write_groups(SIZES)
    train_with(folder, "run", tiny, cache_gb, num_workers=num_workers)
    assert_same_future(folder / "run", whole)
    assert sum(-(-file.stat().st_size // 4096) * 4096 for file in entries(folder)) <= cache_gb * 1e9


def test_second_run_reads_nothing_that_is_cached(
    write_groups: WriteGroups, tiny: dict[str, Any], reads: Counter[str]
) -> None:
    folder = write_groups(SIZES)
    train_with(folder, "first", tiny, 1.0)
    assert set(reads.values()) <= {1, 2}, "once, and the first images of each group in the check before"
    assert len(reads) - 2 <= len(entries(folder)) <= len(reads), "that check may read images that no epoch reads"
    metrics = read_table(folder / "first", "metrics")
    assert metrics["cache_hit_share"].to_list()[0] < metrics["cache_hit_share"].to_list()[-1]
    bytes_read = sum(file.stat().st_size - CHECKSUM_BYTES for file in entries(folder))
    assert sum(metrics["gb_read"]) * 1e9 == pytest.approx(bytes_read)
    reads.clear()
    train_with(folder, "second", tiny, 1.0)
    assert sum(reads.values()) == 2, "only the first images of each group, in the check before"
    assert read_table(folder / "second", "metrics")["cache_hit_share"].to_list() == [1.0] * EPOCHS
    assert_same_future(folder / "second", folder / "first")


def test_only_the_cache_stays(write_groups: WriteGroups, tiny: dict[str, Any], whole: Path) -> None:
    folder = write_groups(SIZES)
    train_with(folder, "run", tiny, 1.0)
    assert {file.name for file in (folder / "cache").iterdir()} == {LOCK_FILE, *SUBFOLDERS}
    assert {file.name for file in (folder / "run").iterdir()} == {file.name for file in whole.iterdir()}


def test_bucket(write_groups: WriteGroups, tiny: dict[str, Any], whole: Path, objects: ObjectServer) -> None:
    folder = write_groups(SIZES)
    objects.put_files(folder / "images", "images")
    url = ImagesUrl.parse("s3://bucket/images")
    train_with(folder, "first", tiny, 1.0, images=url)
    assert_same_future(folder / "first", whole)
    objects.requests.clear()
    train_with(folder, "second", tiny, 1.0, images=url, num_workers=1)
    assert_same_future(folder / "second", whole)
    read = {key: count for (method, key), count in objects.requests.items() if method == "GET" and "png" in key}
    assert sum(read.values()) == 2, "the first image of each group, in the check before"


def test_damaged_file_is_read_from_the_store(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    train_with(folder, "first", tiny, 1.0)
    for number, file in enumerate(sorted(entries(folder))):
        times, content = file.stat(), file.read_bytes()
        damaged = (bytes(len(content)), content[:-1] + bytes(1), b"\xff" + content[1:])[number % 3]
        file.write_bytes(damaged)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    train_with(folder, "second", tiny, 1.0)
    assert_same_future(folder / "second", folder / "first")


def test_renamed_file_is_not_taken_for_another_image(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups(SIZES)
    train_with(folder, "first", tiny, 1.0)
    files = sorted(entries(folder))
    contents = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    for file, other in zip(files, files[1:] + files[:1], strict=True):
        content, _ = contents[files.index(other)]
        file.write_bytes(content)
        os.utime(file, ns=(0, contents[files.index(file)][1]))
    train_with(folder, "second", tiny, 1.0)
    assert_same_future(folder / "second", folder / "first")


@pytest.mark.parametrize("padded_size", [9000, 12000])  # the size of the images before is 9,000
def test_image_that_changed_between_two_runs(write_groups: WriteGroups, tiny: dict[str, Any], padded_size: int) -> None:
    """The second run resumes the first, and so has the recorded states of the images before the change."""
    folder = write_groups(SIZES)
    for file in (folder / "images").glob("*/*.png"):
        file.write_bytes(file.read_bytes().ljust(9000, b"\0"))
    train_with(folder, "run", tiny, 1.0, epochs=2)
    train_with(folder, "whole", tiny, epochs=2)
    for file in sorted((folder / "images").glob("*/*_1.png")):
        time_ns, other = file.stat().st_mtime_ns, file.with_name(file.name.replace("_1", "_0"))
        file.write_bytes(other.read_bytes().ljust(padded_size, b"\0"))
        os.utime(file, ns=(time_ns, time_ns + 1_000_000))
    train_with(folder, "run", tiny, 1.0)
    train_with(folder, "whole", tiny)
    assert_same_future(folder / "run", folder / "whole")
