"""BuildGroups on full and read-only disks."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.groups.build_groups import build_groups
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import current_tables, run_forked
from tests.workflows.disk_steps import Steps, run_steps

Script = Callable[..., Steps]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a function that runs steps on disks."""
    (tmp_path / "A").mkdir()
    (tmp_path / "own.cfg").touch()

    def script(*lines: str) -> Steps:
        probe = run_forked(run_steps, tmp_path, "disk 1m")
        if probe.returncode:
            pytest.skip(f"no disk can be mounted here: {probe.stderr.strip()}")
        done = run_forked(run_steps, tmp_path, *lines)
        assert done.returncode == 0, done.stderr
        steps = Steps(tmp_path)
        steps.records = json.loads((tmp_path / "records.json").read_text())
        return steps

    return script


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """An images folder with a list file of 20,000 random names."""
    write_list(tmp_path / "train", 20_000)
    return tmp_path / "train"


def write_list(folder: Path, count: int) -> None:
    choose = random.Random(count)
    lines = [
        f"{number % 7}/@{545900 + choose.randrange(40)}.{choose.randrange(100):02}@4184971.70@10@S@@"
        f"@{choose.randbytes(11).hex()}@@{choose.randrange(360)}@@@@201409@@.jpg\n"
        for number in range(count)
    ]
    folder.with_name(folder.name + "_images_paths.txt").write_text("".join(lines))


def check_tables(train: Path, tmp_path: Path) -> None:
    """Compare the copied tables with those of a build with enough space."""
    build_groups(build_manifest(train, tmp_path / "B"), tmp_path / "B")
    assert current_tables(tmp_path / "out") == current_tables(tmp_path / "B") != {}


def full_disk(tmp_path: Path) -> str:
    """Return the error message."""
    reason = f"the disk of {tmp_path / 'A'} is full (No space left on device): nothing was published"
    return f"ERROR: {reason}; free some space, or choose --artifacts-folder, and run again\n"


def test_too_little_disk_space_is_an_error_before_work_starts(script: Script, train: Path, tmp_path: Path) -> None:
    steps = script("disk 1m", "luigi small BuildGroups", "resize 64m", "luigi large BuildGroups", "copy_out")
    assert steps.status("small") != 0
    for part in ("train: needs about ", f"free in {tmp_path / 'A'}. Free some or choose --artifacts-folder"):
        assert steps.said("small").count(part) == 1
    assert [path for path in steps.files("small") if not path.startswith(".names/")] == []
    assert steps.status("large") == 0
    assert "train: needs about " in steps.said("large")
    check_tables(train, tmp_path)


def test_disk_fills_up_during_the_manifest(script: Script, train: Path, tmp_path: Path) -> None:
    shutil.move(f"{train}_images_paths.txt", tmp_path / "many")
    write_list(train, 300)
    steps = script(
        *("disk 8m", "luigi few BuildGroups", "leave 200", "move many train_images_paths.txt"),
        *("unchecked full BuildGroups", "leave 64000", "luigi finished BuildGroups", "copy_out"),
    )
    assert steps.status("few") == 0
    assert steps.status("full") != 0
    assert steps.said("full").count(full_disk(tmp_path)) == 1
    assert steps.files("full") == steps.files("few")
    assert steps.status("finished") == 0, steps.said("finished")
    check_tables(train, tmp_path)


@pytest.mark.parametrize("kilobytes", [0, 1000, 1850], ids=["counts", "scratch", "members"])
def test_disk_fills_up_during_the_groups(script: Script, train: Path, tmp_path: Path, kilobytes: int) -> None:
    steps = script(
        *("disk 64m", "luigi manifest BuildManifest", f"leave {kilobytes}", "unchecked full BuildGroups"),
        *("luigi refused BuildGroups", "leave 64000", "luigi finished BuildGroups", "copy_out"),
    )
    assert steps.status("full") != 0
    assert steps.said("full").count(full_disk(tmp_path)) == 1
    assert steps.status("refused") != 0
    assert "train: needs about " in steps.said("refused")
    assert steps.files("refused") == steps.files("full") == steps.files("manifest") != []
    assert steps.status("finished") == 0, steps.said("finished")
    check_tables(train, tmp_path)


def test_read_only_disk(script: Script, train: Path, tmp_path: Path) -> None:
    steps = script("read_only A", "luigi refused BuildGroups")
    assert steps.status("refused") != 0
    message = f"cannot write in {tmp_path / 'A'}: Read-only file system; choose --artifacts-folder"
    assert steps.said("refused").count(message) == 1
    assert steps.files("refused") == []


def test_finished_artifacts_are_used_on_a_read_only_disk(script: Script, train: Path) -> None:
    steps = script(
        *("luigi coarse BuildGroups --M 20", "luigi finished BuildGroups", "read_only A"),
        *("luigi again BuildGroups", "luigi earlier BuildGroups --M 20"),
    )
    assert steps.status("again") == steps.status("earlier") == 0
    for name in ("again", "earlier"):
        assert "BuildGroups: up to date" in steps.said(name)
    assert "/current lead to " in steps.said("earlier")
    assert "Cannot" not in steps.said("again")


def test_read_only_cache(script: Script, train: Path, tmp_path: Path) -> None:
    (tmp_path / "A" / ".listings").mkdir()
    steps = script("read_only A/.listings", "luigi finished BuildGroups", "copy_out")
    assert steps.status("finished") == 0, steps.said("finished")
    check_tables(train, tmp_path)
