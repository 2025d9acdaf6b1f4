"""BuildGroups on full and read-only disks."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.groups.build_groups import build_groups
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import ROOT, current_tables

# `step` records the output, status and files of a command; `unchecked` builds without the check for disk space;
# `leave` shrinks the disk.
SCRIPT = """
step() { name=$1; shift; "$@" >"$WORK/$name.out" 2>"$WORK/$name.err"; echo $? >"$WORK/$name.status"
         (cd "$A" && find . -type f -not -path "./.listings/*" | sort) >"$WORK/$name.files"; }
run() { step "$@" --train-folder "$WORK/train" --artifacts-folder "$A"; }
luigi() { name=$1; shift; run "$name" "$PYTHON" -m luigi --module workflows "$@"; }
unchecked() { name=$1; shift; run "$name" "$PYTHON" -c "$UNCHECKED" --module workflows "$@"; }
disk() { mount -t tmpfs -o "size=$1" none "$A"; }
resize() { mount -o "remount,size=$1" "$A"; }
leave() { resize "$(($(df -k --output=used "$A" | tail -1) + $1))k"; }
read_only() { mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; }
copy_out() { cp -r "$A" "$WORK/out"; }
"""
UNCHECKED = """
import sys
import luigi.cmdline
import pipeline.groups.build_groups
import pipeline.manifest.build_manifest
pipeline.groups.build_groups.check_space = pipeline.manifest.build_manifest.check_space = lambda *given, **named: None
luigi.cmdline.luigi_run(sys.argv[1:])
"""


class Steps:
    """Recorded steps of a script."""

    def __init__(self, work: Path) -> None:
        self._work = work

    def status(self, name: str) -> int:
        return int((self._work / f"{name}.status").read_text())

    def said(self, name: str) -> str:
        """Return the output of a step, which must have no traceback."""
        text = (self._work / f"{name}.out").read_text() + (self._work / f"{name}.err").read_text()
        assert "Traceback" not in text, text
        return text

    def files(self, name: str) -> list[str]:
        """Return the files in the artifacts folder after a step, without the listing cache."""
        return (self._work / f"{name}.files").read_text().split()


Script = Callable[..., Steps]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run a script that may mount disks; $A is the artifacts folder."""
    (tmp_path / "A").mkdir()
    (tmp_path / "own.cfg").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LUIGI_CONFIG_PATH": str(tmp_path / "own.cfg")}
    environment |= {"WORK": str(tmp_path), "A": str(tmp_path / "A"), "PYTHON": sys.executable, "UNCHECKED": UNCHECKED}

    def run(text: str) -> subprocess.CompletedProcess[str]:
        words = ["unshare", "--map-root-user", "--mount", "sh", "-c", f"{SCRIPT}\n{text}"]
        return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def script(*lines: str) -> Steps:
        if shutil.which("unshare") is None:
            pytest.skip("there is no unshare to mount disks with")
        probe = run("disk 1m")
        if probe.returncode:
            pytest.skip(f"no disk can be mounted here: {probe.stderr.strip()}")
        done = run(" &&\n".join(lines))
        assert done.returncode == 0, done.stderr
        return Steps(tmp_path)

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
    for part in ("train: needs about ", f"free in {tmp_path / 'A'}: free some, or choose --artifacts-folder"):
        assert steps.said("small").count(part) == 1
    assert [path for path in steps.files("small") if not path.startswith("./.names/")] == []
    assert steps.status("large") == 0
    assert "train: needs about " in steps.said("large")
    check_tables(train, tmp_path)


def test_disk_fills_up_during_the_manifest(script: Script, train: Path, tmp_path: Path) -> None:
    shutil.move(f"{train}_images_paths.txt", tmp_path / "many")
    write_list(train, 300)
    steps = script(
        *("disk 8m", "luigi few BuildGroups", "leave 200", 'mv "$WORK/many" "$WORK/train_images_paths.txt"'),
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
    steps = script('read_only "$A"', "luigi refused BuildGroups")
    assert steps.status("refused") != 0
    message = f"cannot write in {tmp_path / 'A'}: Read-only file system; choose --artifacts-folder"
    assert steps.said("refused").count(message) == 1
    assert steps.files("refused") == []


def test_finished_artifacts_are_used_on_a_read_only_disk(script: Script, train: Path) -> None:
    steps = script(
        *("luigi coarse BuildGroups --M 20", "luigi finished BuildGroups", 'read_only "$A"'),
        *("luigi again BuildGroups", "luigi earlier BuildGroups --M 20"),
    )
    assert steps.status("again") == steps.status("earlier") == 0
    for name in ("again", "earlier"):
        assert "BuildGroups: up to date" in steps.said(name)
    assert "/current lead to " in steps.said("earlier")
    assert "Cannot" not in steps.said("again")


def test_read_only_cache(script: Script, train: Path, tmp_path: Path) -> None:
    steps = script('mkdir "$A/.listings"', 'read_only "$A/.listings"', "luigi finished BuildGroups", "copy_out")
    assert steps.status("finished") == 0, steps.said("finished")
    check_tables(train, tmp_path)
