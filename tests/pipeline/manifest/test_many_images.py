"""Many names in one folder, and many folders: no row lost or doubled, partitions of the right size, little memory."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table, table_files
from pipeline.listing.shuffle import ROWS_PER_PARTITION
from pipeline.manifest.build_manifest import build_manifest

MANY = 500_000
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
def test_half_a_million_names_in_one_folder(tmp_path: Path) -> None:
    names = [f"train/{name(number)}" for number in range(MANY)]
    (tmp_path / "train_images_paths.txt").write_text("\n".join(names))
    words = [sys.executable, "-c", PEAK, str(tmp_path / "train"), str(tmp_path / "A")]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    artifact, peak_bytes = done.stdout.split()
    check_rows(Path(artifact), names)
    rows = rows_of_partitions(Path(artifact))
    assert 2 <= len(rows) <= 4
    assert max(rows) <= ROWS_PER_PARTITION
    assert int(peak_bytes) < 0.9e9


def test_many_files_in_one_folder(tmp_path: Path, rows_per_partition: Callable[[int], None]) -> None:
    rows_per_partition(1000)
    names = [name(number) for number in range(5000)]
    (tmp_path / "train").mkdir()
    for each in names:
        (tmp_path / "train" / each).touch()
    artifact = build_manifest(tmp_path / "train", tmp_path / "A")
    check_rows(artifact, names)
    assert 5 <= len(rows_of_partitions(artifact)) <= 10
    (tmp_path / "train" / names[0]).rename(tmp_path / "train" / name(MANY))
    again = build_manifest(tmp_path / "train", tmp_path / "A")
    check_rows(again, [*names[1:], name(MANY)])
    assert read_recipe(again)["summary"]["partitions_from_before"] >= 3


def test_thousands_of_folders(tmp_path: Path, rows_per_partition: Callable[[int], None]) -> None:
    rows_per_partition(500)
    names = [f"{number % 40}/{number}/{name(number)}" for number in range(2000)]
    for each in names:
        (tmp_path / "train" / each).parent.mkdir(parents=True)
        (tmp_path / "train" / each).touch()
    artifact = build_manifest(tmp_path / "train", tmp_path / "A")
    check_rows(artifact, names)
    rows = rows_of_partitions(artifact)
    assert 4 <= len(rows) <= 8
    assert max(rows) <= 500
