"""BuildGroups on folders without permissions and on file systems with wrong times."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import polars as pl
import pytest

from pipeline.listing.cache import cache_folder, read_scan, write_scan
from tests.helpers import Luigi, as_main, run_forked

GROUPING = ("--min-images-per-class", "1", "--M", "1000")
Build = Callable[..., CompletedProcess[str]]


def name(number: int) -> str:
    return f"@0545981.19@4184971.70@10@S@@@pano{number}@@0@@@@201409@@.jpg"


@pytest.fixture
def train(tmp_path: Path) -> Path:
    for number in range(4):
        (tmp_path / "train" / f"37.{number}").mkdir(parents=True)
        (tmp_path / "train" / f"37.{number}" / name(number)).touch()
    return tmp_path / "train"


def luigi_without_privileges(*arguments: str) -> None:
    """Run Luigi without the capabilities that let root ignore permissions."""
    if os.geteuid() == 0:
        libc, version = ctypes.CDLL(None), 0x20080522
        header, sets = (ctypes.c_uint32 * 2)(version, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, sets) == 0
        sets[0] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, of those in effect
        assert libc.capset(header, sets) == 0
    as_main("luigi", *arguments)


@pytest.fixture
def build(train: Path, tmp_path: Path) -> Build:
    """Return a function that runs BuildGroups as a user whom permissions restrict."""
    if sys.platform != "linux" and os.geteuid() == 0:
        pytest.skip("root may read and write anything")
    (tmp_path / "own.cfg").touch()

    def build() -> CompletedProcess[str]:
        folders = ("--train-folder", str(train), "--artifacts-folder", str(tmp_path / "artifacts"))
        command = ("--module", "workflows", "BuildGroups", *GROUPING, *folders)
        return run_forked(luigi_without_privileges, *command, LUIGI_CONFIG_PATH=str(tmp_path / "own.cfg"))

    return build


@pytest.fixture
def permit(tmp_path: Path) -> Iterator[Callable[[Path, int], None]]:
    """Set the permissions of a folder until the end of the test."""
    changed: list[Path] = []

    def permit(folder: Path, mode: int) -> None:
        changed.append(folder)
        folder.chmod(mode)

    yield permit
    for folder in changed:
        folder.chmod(0o755)


Permit = Callable[[Path, int], None]


def images_in_groups(tmp_path: Path) -> int:
    (members,) = (tmp_path / "artifacts" / "groups").glob("*/current/members")
    return len(pl.read_parquet(members / "*.parquet"))


@pytest.mark.parametrize("mode", [0o000, 0o100])
def test_unreadable_image_folder(build: Build, train: Path, tmp_path: Path, permit: Permit, mode: int) -> None:
    permit(train / "37.2", mode)
    refused = build()
    assert refused.returncode != 0
    assert refused.stderr == f"ERROR: {train / '37.2'}: cannot be listed: Permission denied\n"
    assert list((tmp_path / "artifacts").glob("*/*")) == []
    permit(train / "37.2", 0o755)
    assert build().returncode == 0
    assert images_in_groups(tmp_path) == 4


def test_image_folder_without_execute_permission(build: Build, train: Path, permit: Permit) -> None:
    permit(train, 0o600)
    refused = build()
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert "cannot be listed: Permission denied\n" in refused.stderr


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_unwritable_artifacts_folder(build: Build, tmp_path: Path, permit: Permit, mode: int) -> None:
    (tmp_path / "artifacts").mkdir()
    permit(tmp_path / "artifacts", mode)
    refused = build()
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert refused.stderr.count("Permission denied") == 1
    assert str(tmp_path / "artifacts") in refused.stderr
    permit(tmp_path / "artifacts", 0o755)
    assert build().returncode == 0
    assert images_in_groups(tmp_path) == 4


@pytest.mark.parametrize("place", ["manifest", "groups", ".staging", ".listings"])
def test_unwritable_folder_in_the_artifacts_folder(
    build: Build, train: Path, tmp_path: Path, permit: Permit, place: str
) -> None:
    assert build().returncode == 0
    (train / "37.0" / name(4)).touch()
    permit(tmp_path / "artifacts" / place, 0o500)
    (first,) = (tmp_path / "artifacts" / place).iterdir() if place in ("manifest", "groups") else (train,)
    permit(first, 0o500 if first != train else 0o755)
    refused = build()
    assert "Traceback" not in refused.stderr
    assert (refused.returncode == 0) == (place == ".listings")
    if place != ".listings":
        assert refused.stderr.count(": Permission denied; choose --artifacts-folder\n") == 1
        assert str(tmp_path / "artifacts") in refused.stderr
        assert images_in_groups(tmp_path) == 4
    for folder in (tmp_path / "artifacts" / place, first):
        permit(folder, 0o755)
    assert build().returncode == 0
    assert images_in_groups(tmp_path) == 5


def test_rescan_ignores_modification_times(luigi: Luigi, train: Path, tmp_path: Path) -> None:
    """On some network file systems a changed folder keeps its old times."""
    command = ("BuildGroups", *GROUPING, "--train-folder", str(train))
    assert luigi(*command).returncode == 0
    cache = cache_folder(tmp_path / "artifacts", train)
    known = read_scan(cache)
    (train / "37.0" / name(4)).touch()
    times = (train / "37.0").stat()
    folder = replace(
        known.folders[b"37.0/"],
        modified_ns=times.st_mtime_ns,
        changed_ns=times.st_ctime_ns,
        listed_ns=time.time_ns() + 10**12,
    )
    write_scan(replace(known, folders={**known.folders, b"37.0/": folder}), cache)
    assert "up to date" in luigi(*command).stdout
    assert images_in_groups(tmp_path) == 4
    assert "BuildGroups: done (" in luigi(*command, "--rescan").stdout
    assert images_in_groups(tmp_path) == 5
    assert "up to date" in luigi(*command).stdout
