import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_manifest.errors import UserError
from pipeline.listing import cache, read_list
from pipeline.listing.cache import DIGESTS, SUMS, known_blocks
from pipeline.listing.leaves import HashedLines, hash_lines
from pipeline.listing.list_images import ListedImages
from pipeline.listing.read_list import ListBlock, find_blocks
from pipeline.listing.shuffle import Shuffle

AnHourPasses = Callable[[], None]
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

    monkeypatch.setattr(cache, "hash_lines", noted)
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
    (tmp_path / "cache" / SUMS).unlink()
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
    assert not (tmp_path / "cache").exists() or not (tmp_path / "cache" / SUMS).exists()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_a_broken_cache_is_ignored(tmp_path: Path, content: bytes) -> None:
    before = shuffle(tmp_path, LINES).partitions
    (tmp_path / "cache" / SUMS).write_bytes(content)
    assert shuffle(tmp_path, LINES).partitions == before
    assert listing_of(tmp_path, LINES).leaves is not None


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    (tmp_path / "list").write_bytes(b"a.jpg\n")
    return tmp_path / "list"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list to which each file is added that is read as a whole."""
    seen: list[Path] = []

    def noted(path: Path) -> list[ListBlock]:
        seen.append(path)
        return find_blocks(path)

    monkeypatch.setattr(cache, "find_blocks", noted)
    return seen


def blocks_of(list_file: Path) -> list[ListBlock]:
    """Return the blocks of a list, through the cache next to it."""
    return known_blocks(list_file, list_file.with_name("cache"))


def test_a_list_that_did_not_change_is_not_read(
    list_file: Path, reads: list[Path], an_hour_passes: AnHourPasses
) -> None:
    list_file.write_text("".join(f"{line}\n" for line in LINES))
    an_hour_passes()
    expected = find_blocks(list_file)
    assert len(expected) > 10
    assert [blocks_of(list_file) for _ in range(3)] == [expected] * 3
    assert reads == [list_file]


def test_young_times_of_a_list_are_not_trusted(list_file: Path, reads: list[Path]) -> None:
    for _ in range(3):
        blocks_of(list_file)
    os.utime(list_file, (7e9, 7e9))  # nor one to come
    for _ in range(2):
        blocks_of(list_file)
    assert reads == [list_file] * 5


@pytest.mark.parametrize("in_place", [True, False])
def test_a_list_of_the_same_size_and_time(list_file: Path, an_hour_passes: AnHourPasses, in_place: bool) -> None:
    an_hour_passes()
    times, first = list_file.stat(), blocks_of(list_file)
    if not in_place:
        list_file.unlink()
    list_file.write_bytes(b"b.jpg\n")
    os.utime(list_file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert blocks_of(list_file) != first


def test_a_touch_reads_a_list_again(list_file: Path, reads: list[Path], an_hour_passes: AnHourPasses) -> None:
    an_hour_passes()
    first = blocks_of(list_file)
    os.utime(list_file, (1e9, 1e9))
    assert blocks_of(list_file) == first
    assert len(reads) == 2


def test_an_empty_list(list_file: Path, an_hour_passes: AnHourPasses) -> None:
    list_file.write_bytes(b"")
    an_hour_passes()
    assert blocks_of(list_file) == blocks_of(list_file) == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000, None])
def test_broken_digests_are_ignored(list_file: Path, an_hour_passes: AnHourPasses, content: bytes | None) -> None:
    an_hour_passes()
    expected, kept = blocks_of(list_file), list_file.with_name("cache") / DIGESTS
    kept.write_bytes(kept.read_bytes()[:-20] if content is None else content)
    assert blocks_of(list_file) == expected


def test_where_no_blocks_can_be_kept(list_file: Path, an_hour_passes: AnHourPasses) -> None:
    an_hour_passes()
    list_file.with_name("cache").touch()
    assert blocks_of(list_file) == find_blocks(list_file)


def test_a_list_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list: cannot be read: No such file or directory$"):
        blocks_of(tmp_path / "list")


def test_blocks_that_were_kept_under_another_rule_are_not_taken(
    list_file: Path, reads: list[Path], an_hour_passes: AnHourPasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_passes()
    blocks_of(list_file)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "DIGEST_RULE", -1)
        blocks_of(list_file)
    assert len(reads) == 2
