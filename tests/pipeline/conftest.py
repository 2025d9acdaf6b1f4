"""Names in SF-XL's form, listings of them, and what is in a folder."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.groups import gather
from pipeline.listing.lines import Lines
from pipeline.listing.list_images import Listing, list_images
from pipeline.manifest import build_manifest as manifest
from pipeline.metadata.fields import FIELDS

SAN_FRANCISCO = {
    **{"utm_east": "0545981.19", "utm_north": "4184971.70", "utm_zone": "10", "utm_band": "S"},
    **{"latitude": "037.81098", "longitude": "-122.47762", "pano_id": "rtCs5-P_9NGDzUbKyzStWA", "heading": "174"},
    **{"timestamp": "201409", "extension": ".jpg"},
}


def write(folder: Path, *names: str) -> None:
    """Make empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def as_lines(paths: Iterable[bytes]) -> Lines:
    """Return paths as lines, whatever is in them."""
    lines = [path + b"\n" for path in paths]
    return Lines(np.frombuffer(b"".join(lines), np.uint8), np.cumsum([0, *map(len, lines)]))


@pytest.fixture(scope="session")
def name_with() -> Callable[..., str]:
    """Return a usable name of SF-XL with the given fields in place of its own."""

    def name_with(**fields: object) -> str:
        unknown = set(fields) - set(FIELDS)
        assert not unknown, unknown
        return "@".join(str({**SAN_FRANCISCO, **fields}.get(field, "")) for field in FIELDS)

    return name_with


@pytest.fixture
def listing_of(tmp_path: Path) -> Callable[..., Listing]:
    """Return a listing of paths, as text or bytes, from a list file beside tmp_path/train, in the order given."""

    def listing_of(paths: Iterable[str | bytes]) -> Listing:
        lines = [path.encode() if isinstance(path, str) else path for path in paths]
        assert not any(b"\n" in line for line in lines), "no list can hold such a path"
        (tmp_path / "train_images_paths.txt").write_bytes(b"".join(line + b"\n" for line in lines))
        return list_images(tmp_path / "train")

    return listing_of


@contextmanager
def small_files(rows_per_partition: int, rows_per_file: int) -> Iterator[None]:
    """Have partitions, and files of members, of few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "ROWS_PER_PARTITION", rows_per_partition)
        patch.setattr(gather, "ROWS_PER_FILE", rows_per_file)
        yield


@pytest.fixture
def rows_per_partition(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have `build_manifest` cut partitions of so many rows."""

    def rows_per_partition(rows: int) -> None:
        monkeypatch.setattr(manifest, "ROWS_PER_PARTITION", rows)

    return rows_per_partition


@pytest.fixture
def an_hour_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the clock that scans look at run an hour ahead, so that what was done before is long ago."""

    def an_hour_passes() -> None:
        now_ns = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() + 3600 * 10**9)

    return an_hour_passes


@pytest.fixture
def listed_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the name of each folder is added whose entries are read."""
    seen: list[str] = []
    scandir = os.scandir

    def noted(path: bytes) -> object:
        if isinstance(path, bytes):
            seen.append(os.path.basename(os.fsdecode(path).removesuffix("/")))  # noqa: PTH119
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    return seen


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A folder with images in it and below, and with what is none."""
    for name in ("a.jpg", "37.70/b.JPG", "37.70/deep/c.Jpeg", "@x/d.png", "notes.txt", "e.jpg.part", "jpg", "f.gif"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "train" / "folder.jpg").mkdir()
    (tmp_path / "train" / "nothing").mkdir()
    return tmp_path / "train"
