import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_manifest.tables import read_notes, read_table, write_table
from pipeline.listing.leaves import LeafRange
from pipeline.listing.shuffle import SpilledPaths
from pipeline.manifest import build_partition as partition_module
from pipeline.manifest.build_partition import Built, ManifestBuild, build_partition
from pipeline.metadata.paths import Paths
from tests.pipeline.conftest import as_lines

NameWith = Callable[..., str]


def spill(paths: list[bytes], folder: Path) -> SpilledPaths:
    """Write the spill file of a single partition."""
    file, leaves = folder / "spilled", LeafRange("b01", 0, 1, len(paths), str(sorted(paths)))
    file.write_bytes(as_lines(paths).content.tobytes())
    return SpilledPaths(leaves, file, np.array([[0, file.stat().st_size]]), escapes_newlines=False)


Make = Callable[..., Built]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build the partition of paths in tmp_path/<folder>."""

    def make(paths: list[bytes], folder: str, earlier: tuple[str, ...] = (), strict: bool = True) -> Built:
        (tmp_path / folder).mkdir(exist_ok=True)
        artifacts = tuple(tmp_path / each for each in earlier)
        manifest = ManifestBuild(tmp_path / folder, strict, artifacts)
        return build_partition(manifest, spill(paths, tmp_path))

    return make


@pytest.fixture
def paths(name_with: NameWith) -> list[bytes]:
    """Two usable images and a reject."""
    return [b"x.jpg", name_with(pano_id=2).encode(), name_with(pano_id=1).encode()]


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in sorted(folder.rglob("*.parquet"))}


def test_what_is_made(make: Make, paths: list[bytes], tmp_path: Path) -> None:
    made = make([*paths, paths[1], paths[1]], "A")
    assert (made.counts["repeats"], made.is_linked) == (2, False)
    assert (made.counts["usable"], made.counts["rejects"], made.counts["first_year"]) == (2, 1, 2014)
    assert [path.name for path in (tmp_path / "A" / "manifest").iterdir()] == [made.name]
    assert made.name.startswith("part-b01-")
    assert read_table(tmp_path / "A", "manifest")["path"].to_list() == [path.decode() for path in sorted(paths)[:2]]
    assert read_table(tmp_path / "A", "rejects")["path"].to_list() == ["x.jpg"]
    assert '"usable": 2' in read_notes(tmp_path / "A" / "manifest" / made.name)["counts"]


def test_a_partition_that_is_there_is_linked(make: Make, paths: list[bytes], tmp_path: Path) -> None:
    made = make(paths, "A")
    again = make([*reversed(paths)], "B", earlier=("none", "A"))
    assert again == dataclasses.replace(made, is_linked=True)
    assert inodes(tmp_path / "B") == inodes(tmp_path / "A")


def test_what_makes_another_partition(make: Make, paths: list[bytes]) -> None:
    made = [make(paths, "A"), make(paths, "B", earlier=("A",), strict=False), make(paths[1:], "B", earlier=("A",))]
    made += [make([b"ab", b"c", paths[1]], "B", earlier=("A",)), make([b"a", b"bc", paths[1]], "B", earlier=("A",))]
    assert len({each.name for each in made}) == 5
    assert not any(each.is_linked for each in made)


@pytest.mark.parametrize("gone", ["manifest", "rejects"])
def test_half_a_partition_is_made_anew(make: Make, paths: list[bytes], tmp_path: Path, gone: str) -> None:
    made = make(paths, "A")
    expected = {table: (tmp_path / "A" / table / made.name).read_bytes() for table in ("manifest", "rejects")}
    (tmp_path / "A" / gone / made.name).unlink()
    assert make(paths, "B", earlier=("A",)) == made
    assert {table: (tmp_path / "B" / table / made.name).read_bytes() for table in expected} == expected
    left = (tmp_path / "A").rglob("*.parquet")
    assert not {path.stat().st_ino for path in left} & set(inodes(tmp_path / "B").values())


def test_the_manifests_file_comes_last(
    make: Make, paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is killed between the two leaves a partition that is not taken for a finished one."""
    tables: list[str] = []
    link = os.link

    def noted_link(source: Path, target: Path) -> None:
        tables.append(target.parent.name)
        link(source, target)

    def noted_write(frame: pl.DataFrame, path: Path, *more: Any, **named: Any) -> None:
        tables.append(path.parent.name)
        write_table(frame, path, *more, **named)

    monkeypatch.setattr(os, "link", noted_link)
    monkeypatch.setattr(partition_module, "write_table", noted_write)
    make(paths, "A")
    make(paths, "B", earlier=("A",))
    assert tables == ["rejects", "manifest"] * 2


def test_a_file_system_without_links(
    make: Make, paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: object) -> None:
        raise OSError("no links here")

    made = make(paths, "A")
    monkeypatch.setattr(os, "link", refused)
    assert make(paths, "B", earlier=("A",)) == made
    assert inodes(tmp_path / "B").keys() == inodes(tmp_path / "A").keys()


def test_no_images_are_tables_without_rows(make: Make, tmp_path: Path) -> None:
    made = make([], "A")
    assert (made.counts["usable"], made.counts["rejects"], made.counts["first_year"]) == (0, 0, None)
    assert len(read_table(tmp_path / "A", "manifest")) == len(read_table(tmp_path / "A", "rejects")) == 0


def test_images_that_cannot_be_read_leave_nothing(paths: list[bytes], tmp_path: Path) -> None:
    images = spill(paths, tmp_path)
    images.file.unlink()
    with pytest.raises(FileNotFoundError):
        build_partition(ManifestBuild(tmp_path, strict=True), images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "text", "is_utf8"),
    [
        (b"a.jpg", "a.jpg", True),
        ("é 100%/ß.jpg".encode(), "é 100%/ß.jpg", True),
        (b"\xe4.jpg", "./%E4.jpg", False),
        (b"100%\xff\xfe/\x80", "./100%25%FF%FE/%80", False),
        ("é".encode() + b"\xc3", "./é%C3", False),
        (b"\xed\xa0\x80", "./%ED%A0%80", False),  # half a surrogate pair
        (b"\xc0\xaf", "./%C0%AF", False),  # a slash in more bytes than it needs
        (b"\xef\xbb\xbf.jpg", "\ufeff.jpg", True),
        (b"a\0b", "a\0b", True),
    ],
)
def test_paths_as_text(path: bytes, text: str, is_utf8: bool) -> None:
    good = ["good.jpg", "100%.jpg"]
    decoded = Paths(pl.Series([path, *map(str.encode, good)])).decode()
    assert decoded.rows() == [(text, is_utf8), *((name, True) for name in good)]


def test_half_a_partition_of_other_headings_leaves_nothing(make: Make, paths: list[bytes], tmp_path: Path) -> None:
    """Its rejects were written when a run was killed that read -1 as 359 degrees."""
    (tmp_path / "A").mkdir()
    other = build_partition(ManifestBuild(tmp_path / "A", True), spill(paths, tmp_path), negative_headings=True)
    (tmp_path / "A" / "manifest" / other.name).unlink()
    made = make(paths, "B", earlier=("A",))
    assert made.name != other.name
    assert [path.name for table in ("manifest", "rejects") for path in (tmp_path / "B" / table).iterdir()] == [
        made.name,
        made.name,
    ]
