import dataclasses
import hashlib
import random
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline import list_file as list_file_module
from pipeline.listing.list_images import list_images
from pipeline.partitions import ROWS_PER_PARTITION, folders_by_key, partitions
from pipeline.texts import Texts


def hash_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def cut(paths: list[str], rows: int) -> dict[str, list[str]]:
    """The paths of each partition of a list, checked to be a partition in the mathematical sense."""
    with tempfile.TemporaryDirectory() as work:
        Path(work, "train_images_paths.txt").write_text("\n".join(paths) + "\n")
        return cut_folder(Path(work, "train"), paths, rows)


def cut_folder(images_folder: Path, paths: list[str], rows: int) -> dict[str, list[str]]:
    """The paths of each partition of a folder that is known to hold these."""
    with tempfile.TemporaryDirectory() as scratch:
        pairs = list(partitions(list_images(images_folder), Path(scratch), rows))
        read = [(key, [path.decode() for block in images.blocks() for path in block]) for key, images in pairs]
    parts = dict(read)
    assert len(parts) == len(pairs)
    assert list(parts) == sorted(parts)
    assert all(re.fullmatch(r"b[01]*|f[0-9a-f]{16}-[0-9a-f]{4,}", key) for key in parts)
    assert all(parts.values())
    assert sorted(path for part in parts.values() for path in part) == sorted(paths)
    return parts


def alike(parts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Partitions with the order within each left out."""
    return {key: sorted(paths) for key, paths in parts.items()}


def folder(name: str, count: int, start: int = 0) -> list[str]:
    return [f"{name}/{number:05}.jpg" for number in range(start, start + count)]


CITY = [path for number in range(40) for path in folder(f"37.{number}", 1 + number * 7 % 50)]


def partition_of(parts: dict[str, list[str]], path: str) -> str:
    (key,) = (key for key, paths in parts.items() if path in paths)
    return key


def test_few_images_are_one_partition() -> None:
    assert alike(cut(CITY, ROWS_PER_PARTITION)) == {"b": sorted(CITY)}


def test_no_images_are_no_partition() -> None:
    assert cut([], 10) == {}


@pytest.mark.parametrize("rows", [1, 2, 10, 50, 100, 333, 10_000])
def test_every_image_is_in_one_partition(rows: int) -> None:
    parts = cut(CITY, rows)
    assert len(parts) >= len(CITY) / rows / 2


def test_small_folders_share_partitions_and_none_is_too_large() -> None:
    parts = cut(CITY, 100)
    assert max(len(paths) for paths in parts.values()) <= 100
    folders = [{path.split("/")[0] for path in paths} for paths in parts.values()]
    assert sum(len(each) for each in folders) == 40  # no folder is torn
    assert len(parts) < 40


@pytest.mark.parametrize("rows", [50, 100, 333])
def test_the_order_does_not_matter(rows: int) -> None:
    shuffled = random.Random(3).sample(CITY, len(CITY))
    assert alike(cut(shuffled, rows)) == alike(cut(CITY, rows))


@pytest.mark.parametrize("block_bytes", [200, 3000, 1 << 20])
def test_the_size_of_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    paths = CITY + folder("huge", 500)
    shuffled, parts = random.Random(3).sample(paths, len(paths)), alike(cut(paths, 100))
    monkeypatch.setattr(list_file_module, "BLOCK_BYTES", block_bytes)
    assert alike(cut(shuffled, 100)) == alike(cut(paths, 100)) == parts


def test_a_tree_is_cut_as_a_list_of_it_is(tmp_path: Path) -> None:
    paths = [path for path in CITY if path < "37.3"] + folder("huge", 150) + ["a.jpg", "huge/deep/b.jpg"]
    for path in paths:
        (tmp_path / "train" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / path).touch()
    of_tree = alike(cut_folder(tmp_path / "train", paths, 50))
    assert of_tree == alike(cut(paths, 50))
    assert len(of_tree) > 10


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n \n"])
@pytest.mark.parametrize("rows", [2, 5, 100])
def test_blank_lines_and_ends_do_not_matter(tmp_path: Path, end: str, rows: int) -> None:
    for count in (1, 4, 20):
        paths = [*folder("a", count), *folder("b", count)]
        (tmp_path / "train_images_paths.txt").write_bytes("".join(f"./{path}{end}" for path in paths).encode())
        assert alike(cut_folder(tmp_path / "train", paths, rows)) == alike(cut(paths, rows))


def test_names_with_newlines_in_a_huge_folder(tmp_path: Path) -> None:
    (tmp_path / "train" / "x\ny").mkdir(parents=True)
    paths = [f"x\ny/{number}\n.jpg" for number in range(50)]
    for path in paths:
        (tmp_path / "train" / path).touch()
    assert len(cut_folder(tmp_path / "train", paths, 10)) == 8


def test_lines_with_nul_in_a_huge_folder() -> None:
    parts = cut([f"x/{number}\0.jpg" for number in range(50)] + folder("x", 50, start=1000), 10)
    assert len(parts) == 16


@pytest.mark.parametrize("rows", [1, 2])
def test_a_huge_folder_with_an_empty_path(tmp_path: Path, rows: int) -> None:
    """A row of a table may have none."""

    @dataclasses.dataclass(frozen=True)
    class Given:
        digest: str | None = None

        def sizes(self, scratch: Path) -> dict[bytes, int]:
            return {b"": 3}

        def images(self, folders: object) -> "Given":
            return self

        def blocks(self) -> Iterator[Texts]:
            yield Texts.of([b"", b"a", b"b"])

    found = partitions(Given(), tmp_path, rows)  # type: ignore[arg-type]
    assert sorted(path for _, images in found for block in images.blocks() for path in block) == [b"", b"a", b"b"]


def test_a_huge_folder_that_changes_while_it_is_cut(tmp_path: Path) -> None:
    for path in ("train/x/a.jpg", "train/x/b.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    listing = list_images(tmp_path / "train")
    (tmp_path / "train" / "x" / "c.jpg").touch()
    with pytest.raises(UserError, match=r"train/x/ has changed while it was being read: run again$"):
        list(partitions(listing, tmp_path, rows=1))


@pytest.mark.parametrize("added", [1, 60, 500])
@pytest.mark.parametrize("number", [0, 7, 39])
def test_images_added_to_a_folder_change_its_partition_only(number: int, added: int) -> None:
    name = f"37.{number}"
    before, after = cut(CITY, 100), cut(CITY + folder(name, added, start=9000), 100)
    touched = partition_of(before, f"{name}/00000.jpg")
    for key, paths in before.items():
        assert key == touched or after[key] == paths
    # its own is cut in two, or left by the folder if that became huge
    assert all(key.startswith((touched, f"f{hash_of(name + '/')}")) for key in after if key not in before)


def test_a_new_folder_changes_one_partition_only() -> None:
    before, after = cut(CITY, 100), cut(CITY + folder("38.00", 20), 100)
    changed = [key for key, paths in before.items() if after.get(key) != paths]
    assert len(changed) <= 1


def test_a_huge_folder_is_cut_by_the_checksums_of_its_paths() -> None:
    huge = folder("test/database", 1000)
    parts = cut(huge, 100)
    assert len(parts) == 16
    assert all(
        re.fullmatch(f"f{hash_of('test/database/')}-000[0-9a-f]", key)
        and all(f"{zlib.crc32(path.encode()):08x}"[0] == key[-1] for path in paths)
        for key, paths in parts.items()
    )
    assert max(len(paths) for paths in parts.values()) < 2 * 100


def test_an_insert_into_a_huge_folder_shifts_no_other_cut() -> None:
    huge = folder("test/database", 1000)
    before, after = cut(huge, 100), cut([*huge[:500], "test/database/new.jpg", *huge[500:]], 100)
    assert list(before) == list(after)
    (changed,) = (key for key in before if before[key] != after[key])
    assert [path for path in after[changed] if path not in before[changed]] == ["test/database/new.jpg"]


def test_a_huge_folder_beside_small_ones() -> None:
    parts = cut(CITY + folder("huge", 1000), 100)
    of_huge = {key for key, paths in parts.items() if paths[0].startswith("huge/")}
    assert len(of_huge) == 16
    assert all(path.startswith("huge/") for key in of_huge for path in parts[key])


def test_small_folders_do_not_touch_a_huge_one() -> None:
    huge = folder("huge", 1000)
    alone = alike(cut(huge, 100))
    for count in range(1, 40, 6):
        names = [f"38.{number}" for number in range(count)]
        parts = alike(cut([*huge, *(path for name in names for path in folder(name, 30))], 100))
        assert {key: parts[key] for key in alone} == alone


def test_images_without_a_folder_are_a_folder_of_their_own() -> None:
    loose = [f"{number}.jpg" for number in range(30)]
    parts = cut([*loose, *folder("a", 30), *folder("a/b", 30)], 40)
    assert sorted(map(len, parts.values())) == [30, 30, 30]


def test_keys_are_the_first_bits_of_the_folders_hashes() -> None:
    assert hash_of("37.70/") == "d7573a838cbd83b9"  # printf 37.70/ | b2sum --length 64
    sizes = {b"37.%d/" % number: 10 for number in range(64)}
    keys = folders_by_key(sizes, 40)
    assert sorted(folder for folders in keys.values() for folder in folders) == sorted(sizes)
    for key, folders in keys.items():
        assert all(f"{int(hash_of(folder.decode()), 16):064b}".startswith(key[1:]) for folder in folders)


def test_many_small_folders_are_few_partitions() -> None:
    sizes = {b"%d/" % number: 3 for number in range(20_000)}
    keys = folders_by_key(sizes, 2_500)
    assert 24 <= len(keys) <= 48
    assert max(3 * len(folders) for folders in keys.values()) <= 2_500
