"""Many names in one folder, and many folders: no row lost or doubled, partitions of the right size, little memory."""

import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table, table_files
from pipeline.listing.list_images import Images, Skipped
from pipeline.manifest.build_manifest import build_manifest
from pipeline.partitions import ROWS_PER_PARTITION, folders_by_key, partitions
from pipeline.runs import Run
from pipeline.texts import Texts

MILLION = 1_000_000
SF_XL = 41_200_000
# The peak of this program alone: what getrusage says begins with that of the process that started it.
PEAK = """
import re
import sys
from pathlib import Path
from pipeline.manifest.build_manifest import build_manifest

print(build_manifest(Path(sys.argv[1]), Path(sys.argv[2])))
print(1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""


def name(number: int) -> str:
    return f"@0545{number % 1000:03}.19@4184971.70@10@S@@@pano{number}@@{number % 360}@@@@201409@@.jpg"


def check_rows(artifact: Path, expected: Iterable[str]) -> None:
    """Check the paths of the manifest, and that of the rejects there is none."""
    paths = read_table(artifact, "manifest", ["path"])["path"]
    assert paths.sort().equals(pl.Series("path", expected).sort())
    assert read_recipe(artifact)["summary"]["files"] == len(paths)
    assert len(read_table(artifact, "rejects")) == 0


def rows_of_partitions(artifact: Path) -> list[int]:
    return [pl.scan_parquet(file).select(pl.len()).collect().item() for file in table_files(artifact, "manifest")]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
def test_a_million_names_in_one_folder(tmp_path: Path) -> None:
    names = [f"train/{name(number)}" for number in range(MILLION)]
    (tmp_path / "train_images_paths.txt").write_text("\n".join(names))
    words = [sys.executable, "-c", PEAK, str(tmp_path / "train"), str(tmp_path / "A")]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    artifact, peak_bytes = done.stdout.split()
    check_rows(Path(artifact), names)
    rows = rows_of_partitions(Path(artifact))
    assert len(rows) == 4
    assert max(rows) < 1.05 * ROWS_PER_PARTITION
    assert int(peak_bytes) < 1.2e9


def test_fifty_thousand_files_in_one_folder(tmp_path: Path, rows_per_partition: Callable[[int], None]) -> None:
    rows_per_partition(10_000)
    names = [name(number) for number in range(50_000)]
    (tmp_path / "train").mkdir()
    for each in names:
        (tmp_path / "train" / each).touch()
    artifact = build_manifest(tmp_path / "train", tmp_path / "A")
    check_rows(artifact, names)
    assert len(rows_of_partitions(artifact)) == 8
    (tmp_path / "train" / names[0]).rename(tmp_path / "train" / name(MILLION))
    again = build_manifest(tmp_path / "train", tmp_path / "A")
    check_rows(again, [*names[1:], name(MILLION)])
    assert read_recipe(again)["summary"]["partitions_from_before"] >= 6


def test_thousands_of_folders(tmp_path: Path, rows_per_partition: Callable[[int], None]) -> None:
    rows_per_partition(1000)
    names = [f"{number % 40}/{number}/{name(number)}" for number in range(4000)]
    for each in names:
        (tmp_path / "train" / each).parent.mkdir(parents=True)
        (tmp_path / "train" / each).touch()
    artifact = build_manifest(tmp_path / "train", tmp_path / "A")
    check_rows(artifact, names)
    rows = rows_of_partitions(artifact)
    assert 4 <= len(rows) <= 8
    assert max(rows) <= 1000


def test_a_million_small_folders_are_few_partitions() -> None:
    keys = folders_by_key({b"%d/" % number: 3 for number in range(MILLION)}, ROWS_PER_PARTITION)
    assert 12 <= len(keys) <= 24
    assert sum(map(len, keys.values())) == len({folder for folders in keys.values() for folder in folders}) == MILLION
    assert max(3 * len(folders) for folders in keys.values()) <= ROWS_PER_PARTITION


class Counted:
    """A listing of one folder that says that it has so many images, and has a few thousand at hand."""

    origin, fingerprint, digest, skipped = Path("counted"), "", None, Skipped()

    def __init__(self, count: int) -> None:
        self.count = count

    def estimate(self) -> tuple[int, int]:
        return self.count, 100 * self.count

    def sizes(self, scratch: Path) -> Mapping[bytes, int]:
        return {b"database/": self.count}

    def images(self, folders: Iterable[bytes]) -> Images:
        return self

    def blocks(self) -> Iterator[Texts]:
        for start in range(0, 50_000, 1000):
            yield Texts.of(b"database/" + name(number).encode() for number in range(start, start + 1000))

    def check_unchanged(self) -> None:
        pass


@pytest.mark.parametrize(
    ("count", "parts"), [(ROWS_PER_PARTITION, 1), (ROWS_PER_PARTITION + 1, 2), (2_805_840, 16), (SF_XL, 256)]
)
def test_partitions_of_a_folder_of_any_size(tmp_path: Path, count: int, parts: int) -> None:
    """The test database of SF-XL is one folder; all of it might be. A part of two is half the images, and so on."""
    assert count / parts <= ROWS_PER_PARTITION
    found = dict(partitions(Counted(count), tmp_path))
    assert len(found) == parts
    paths = {key: [path for block in images.blocks() for path in block] for key, images in found.items()}
    assert sum(map(len, paths.values())) == 50_000
    for index, key in enumerate(sorted(paths)):
        assert {zlib.crc32(path) * parts >> 32 for path in paths[key]} == {index}
        assert len(paths[key]) < 1.5 * 50_000 / parts


def test_where_the_lines_of_a_huge_folder_stand_is_all_that_is_held(tmp_path: Path) -> None:
    for _, images in partitions(Counted(SF_XL), tmp_path):
        runs = images.runs  # type: ignore[attr-defined]
        assert all(isinstance(run, Run) for run in runs)
        assert len(runs) <= 50  # at most one of each block
