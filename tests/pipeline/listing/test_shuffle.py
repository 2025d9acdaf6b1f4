import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_manifest.errors import UserError
from pipeline.listing import read_list
from pipeline.listing.leaves import cut_into_ranges
from pipeline.listing.list_images import Listing, list_images
from pipeline.listing.shuffle import Shuffle

NameWith = Callable[..., str]
ListingOf = Callable[..., Listing]
Cut = dict[str, list[bytes]]


@pytest.fixture
def cut(tmp_path: Path) -> Callable[..., Cut]:
    """Return the sorted paths of each partition of a listing, each checked against its range of leaves."""

    def cut(listing: Listing, rows: int, *more_paths: bytes) -> Cut:
        scratch = tmp_path / f"scratch-{random.random()}"
        scratch.mkdir()
        shuffle = Shuffle(listing, scratch, rows, more_paths)
        parts = {}
        for images in shuffle.paths(shuffle.partitions):
            paths = sorted(pickle.loads(pickle.dumps(images)).read().column())
            if not images.leaves.path_bits:
                assert len(paths) == images.leaves.rows
            parts[images.leaves.key] = paths
        return parts

    return cut


@pytest.fixture
def paths(name_with: NameWith) -> list[bytes]:
    """Paths in folders, in none, and twice."""
    names = [name_with(pano_id=number, utm_east=f"0545{number % 50:03}.19") for number in range(300)]
    paths = [f"{number % 7}/{name}".encode() for number, name in enumerate(names)]
    return [*paths, b"x.jpg", b"\xff/a.jpg", b"a\0b.jpg", paths[0]]


def test_every_path_is_in_one_partition(paths: list[bytes], listing_of: ListingOf, cut: Callable[..., Cut]) -> None:
    parts = cut(listing_of(paths), 40)
    assert sorted(path for part in parts.values() for path in part) == sorted(paths)
    assert len(parts) > 8
    assert max(map(len, parts.values())) <= 40


@pytest.mark.parametrize("block_bytes", [100, 3000, 1 << 20])
def test_order_and_blocks_do_not_matter(
    paths: list[bytes],
    listing_of: ListingOf,
    cut: Callable[..., Cut],
    monkeypatch: pytest.MonkeyPatch,
    block_bytes: int,
) -> None:
    expected = cut(listing_of(paths), 40)
    monkeypatch.setattr(read_list, "BLOCK_BYTES", block_bytes)
    for _ in range(3):
        random.shuffle(paths)
        assert cut(listing_of(paths), 40) == expected


def test_a_leaf_that_is_too_large_is_cut(name_with: NameWith, listing_of: ListingOf, cut: Callable[..., Cut]) -> None:
    paths = [name_with(pano_id=number).encode() for number in range(1000)]
    parts = cut(listing_of(paths), 100)
    assert len(parts) == 16
    assert sorted(path for part in parts.values() for path in part) == sorted(paths)
    assert max(map(len, parts.values())) < 2 * 1000 / 16


def test_more_paths_are_partitioned_with_the_others(listing_of: ListingOf, cut: Callable[..., Cut]) -> None:
    listing = listing_of([b"a.jpg", b"x/b.jpg"])
    (paths,) = cut(listing, 100, b"c.jpg", b"x/d.jpg").values()
    assert paths == [b"a.jpg", b"c.jpg", b"x/b.jpg", b"x/d.jpg"]


def make_tree(train: Path, paths: list[bytes]) -> None:
    for path in map(bytes.decode, paths):
        (train / path).parent.mkdir(parents=True, exist_ok=True)
        (train / path).touch()


def test_a_tree_and_a_list_give_the_same_partitions(
    paths: list[bytes], listing_of: ListingOf, cut: Callable[..., Cut], tmp_path: Path
) -> None:
    of_tree = [path for path in paths[:-1] if b"\xff" not in path and b"\0" not in path]
    make_tree(tmp_path / "tree", of_tree)
    tree = list_images(tmp_path / "tree")
    assert cut(tree, 40) == cut(listing_of(of_tree), 40)
    assert tree.leaves is not None
    assert list(cut_into_ranges(tree.leaves, 40)) == Shuffle(listing_of(of_tree), tmp_path, 40).partitions


def test_newlines_in_names_come_through(tmp_path: Path, cut: Callable[..., Cut]) -> None:
    make_tree(tmp_path / "tree", [b"a\nb/c\nd.jpg", b"e.jpg"])
    (paths,) = cut(list_images(tmp_path / "tree"), 40).values()
    assert paths == [b"a\nb/c\nd.jpg", b"e.jpg"]


def test_only_folders_of_wanted_partitions_are_listed(
    paths: list[bytes], tmp_path: Path, listed_folders: list[str]
) -> None:
    make_tree(tmp_path / "tree", paths[:300])
    shuffle = Shuffle(list_images(tmp_path / "tree"), tmp_path, 50)
    listed_folders.clear()
    assert shuffle.paths([]) == []
    assert listed_folders == []
    first = shuffle.partitions[:1]
    (images,) = shuffle.paths(first)
    assert len(images.read()) == first[0].rows
    assert 0 < len(listed_folders) < 7
    (again,) = shuffle.paths(shuffle.partitions[-1:])
    assert len(again.read()) == shuffle.partitions[-1].rows


@pytest.mark.parametrize("change", ["added", "renamed", "removed"])
def test_a_tree_that_changes_while_it_is_read(tmp_path: Path, change: str) -> None:
    make_tree(tmp_path / "tree", [b"x/a.jpg", b"y/b.jpg"])
    shuffle = Shuffle(list_images(tmp_path / "tree"), tmp_path)
    if change == "added":
        (tmp_path / "tree" / "x" / "c.jpg").touch()
    elif change == "renamed":
        (tmp_path / "tree" / "x" / "a.jpg").rename(tmp_path / "tree" / "x" / "c.jpg")
    else:
        (tmp_path / "tree" / "x" / "a.jpg").unlink()
    with pytest.raises(UserError, match=r"tree has changed while it was being read\. Run again\.$"):
        shuffle.paths(shuffle.partitions)


def test_no_paths_are_no_partitions(listing_of: ListingOf, tmp_path: Path) -> None:
    shuffle = Shuffle(listing_of([]), tmp_path)
    assert (shuffle.partitions, shuffle.paths([])) == ([], [])


def test_a_spill_file_that_was_cut_off(listing_of: ListingOf, tmp_path: Path) -> None:
    shuffle = Shuffle(listing_of([b"a.jpg"]), tmp_path)
    (images,) = shuffle.paths(shuffle.partitions)
    images.file.write_bytes(b"a")
    with pytest.raises(OSError, match="paths is shorter than it was"):
        images.read()


def test_jobs_are_small(paths: list[bytes], listing_of: ListingOf, tmp_path: Path) -> None:
    shuffle = Shuffle(listing_of(paths), tmp_path, 40)
    assert all(len(pickle.dumps(images)) < 1000 for images in shuffle.paths(shuffle.partitions))
    assert all(images.slices.dtype == np.int64 for images in shuffle.paths(shuffle.partitions))
