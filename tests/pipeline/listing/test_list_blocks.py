import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.listing import list_blocks, read_list
from pipeline.listing.leaves import HashedLines, hash_lines
from pipeline.listing.list_blocks import BLOCKS
from pipeline.listing.list_images import ListedImages
from pipeline.listing.shuffle import Shuffle

LINES = [f"{number // 500}/@{number % 500 // 250}234567{number:06}.jpg" for number in range(4000)]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_list, "BLOCK_BYTES", 5_000)
    monkeypatch.setattr(read_list, "BLOCK_BYTES_PER_LINE", 500)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the bytes of each block are added that is hashed for its sums."""
    seen: list[int] = []

    def noted(content: bytes) -> HashedLines:
        seen.append(len(content))
        return hash_lines(content)

    monkeypatch.setattr(list_blocks, "hash_lines", noted)
    return seen


def listing_of(tmp_path: Path, lines: list[str]) -> ListedImages:
    (tmp_path / "list").write_text("".join(f"{line}\n" for line in lines))
    return ListedImages(tmp_path / "list", tmp_path / "cache")


def shuffle(tmp_path: Path, lines: list[str]) -> Shuffle:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return Shuffle(listing_of(tmp_path, lines), tmp_path / "scratch", 300)


CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "nothing": lambda lines: lines,
    "appended": lambda lines: [*lines, "5/new.jpg"],
    "inserted": lambda lines: [*lines[:2000], "5/new.jpg", *lines[2000:]],
    "inserted at the start": lambda lines: ["5/new.jpg", *lines],
    "removed": lambda lines: [*lines[:2000], *lines[2001:]],
    "renamed": lambda lines: [*lines[:2000], lines[2000].replace("jpg", "png"), *lines[2001:]],
    "blank": lambda lines: [*lines[:2000], "", *lines[2000:]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_changed_blocks_are_hashed_again(tmp_path: Path, hashed: list[int], change: str) -> None:
    shuffle(tmp_path, LINES)
    changed = CHANGES[change](LINES)
    for again in (False, True):
        found = shuffle(tmp_path, changed)
        assert len(hashed) <= (0 if change == "nothing" else 4), again
    rest = found.paths(found.partitions[2:5])
    paths = sorted(path for images in rest for path in images.read().column())
    (tmp_path / "cache" / BLOCKS).unlink()
    new = shuffle(tmp_path, changed)
    assert new.partitions == found.partitions
    assert paths == sorted(path for images in new.paths(new.partitions[2:5]) for path in images.read().column())


def test_only_blocks_with_wanted_leaves_are_read(tmp_path: Path) -> None:
    shuffle(tmp_path, LINES)
    listing = listing_of(tmp_path, LINES)
    assert listing.leaves is not None
    wanted = listing.leaves.rows > 0
    assert len(listing.blocks(wanted)) == len(listing.blocks())
    wanted[np.flatnonzero(wanted)[1:]] = False
    assert 1 <= len(listing.blocks(wanted)) < len(listing.blocks()) / 4


def test_blocks_that_are_listed_twice_count_twice(tmp_path: Path) -> None:
    shuffle(tmp_path, LINES)
    leaves = listing_of(tmp_path, [*LINES, *LINES]).leaves
    assert leaves is not None
    assert leaves.rows.sum() == 2 * len(LINES)


def test_another_list_is_read_once(tmp_path: Path, hashed: list[int]) -> None:
    shuffle(tmp_path, LINES)
    others = [line.replace("@", "@@") for line in LINES]
    assert listing_of(tmp_path, others).leaves is None
    shuffle(tmp_path, others)
    assert listing_of(tmp_path, others).leaves is not None
    assert not hashed


def test_sums_of_a_list_in_random_order_are_not_kept(tmp_path: Path) -> None:
    names = [f"{number // 20}/{number}.jpg" for number in range(4000)]
    shuffle(tmp_path, random.Random(1).sample(names, len(names)))
    assert not (tmp_path / "cache").exists() or not (tmp_path / "cache" / BLOCKS).exists()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_a_broken_cache_is_ignored(tmp_path: Path, content: bytes) -> None:
    before = shuffle(tmp_path, LINES).partitions
    (tmp_path / "cache" / BLOCKS).write_bytes(content)
    assert shuffle(tmp_path, LINES).partitions == before
    assert listing_of(tmp_path, LINES).leaves is not None
