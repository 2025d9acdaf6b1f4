"""Builds of manifest and groups that are killed at any moment, and builds that run side by side."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_manifest.store.find import list_artifacts, list_current
from data_manifest.store.recipe import is_published, read_recipe
from data_manifest.store.staging import STAGING
from pipeline.groups import gather as members
from pipeline.groups.build_groups import build_groups
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import current_tables

NameWith = Callable[..., str]
ROWS, ROWS_OF_BUNDLE, FOLDERS, NAMES, KILLS = 150, 80, 15, 500, 24
# A process that has everything imported and forks each build: a build starts at once. It holds no thread yet, so that
# forking is safe. A build may be told to end itself before its n-th step on files.
CODE = f"""
import os
import signal
import sys
from functools import partial
from pathlib import Path
from pipeline.groups import build_groups as groups, gather as members
from pipeline.manifest import build_manifest as manifest

manifest.ROWS_PER_PARTITION = {ROWS}
members.ROWS_PER_FILE = {ROWS_OF_BUNDLE}
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background


def build(images_folder, artifacts, die_at, how):
    steps = 0

    def count(event, given):
        nonlocal steps
        steps += event == "open" or event.startswith(("os.", "shutil.", "fcntl."))
        if steps == die_at:
            os.kill(os.getpid(), how)

    sys.addaudithook(count)
    groups.build_groups(manifest.build_manifest(images_folder, artifacts, "city"), artifacts)
    taken = steps
    artifacts.with_name(artifacts.name + ".steps").write_text(str(taken))


for line in sys.stdin:
    order, *given = line.rstrip("\\n").split("\\t")
    if order == "build":
        number = os.fork()
        if not number:
            code = 1
            try:
                build(Path(given[0]), Path(given[1]), *map(int, given[2:]))
                code = 0
            finally:
                os._exit(code)
        print(number, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(int(given[0]), 0)[1]), flush=True)
"""


class Builder:
    """Starts builds of a folder's manifest and groups, each in a process of its own, from this very moment."""

    def __init__(self, process: subprocess.Popen[str], images_folder: Path) -> None:
        self._process, self._images_folder = process, images_folder

    def _ask(self, *words: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, artifacts: Path, die_at: int = 0, how: signal.Signals = signal.SIGKILL) -> int:
        """Return the number of a process that builds; it ends itself before a step on files, counted from 1."""
        return self._ask("build", self._images_folder, artifacts, die_at, int(how))

    def wait(self, number: int) -> int:
        """Return the exit status of a process, when it has ended."""
        return self._ask("wait", number)

    def kill(self, artifacts: Path, after_s: float) -> None:
        """Build, and kill that after so many seconds."""
        number = self.start(artifacts)
        time.sleep(after_s)
        os.kill(number, signal.SIGKILL)
        self.wait(number)


def finished_parts(artifacts: Path) -> set[str]:
    """The names of partitions that were finished but not published."""
    return {path.name for path in (artifacts / STAGING).glob("*/manifest/part-*.parquet")}


def published_files(artifacts: Path) -> dict[Path, int]:
    """When each published file was written."""
    return {path: path.stat().st_mtime_ns for each in list_artifacts(artifacts) for path in each.rglob("*.*")}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of many names, in many folders and a huge one, not in their order."""
    choose, folder = random.Random(0), tmp_path_factory.mktemp("data")
    lines = [
        f"{choose.randrange(FOLDERS) if number % 5 else 'huge'}/@{545900 + choose.randrange(40)}.19@4184971.70@10@S@@"
        f"@pano{number}@@{number % 360}@@@@{2007 + number % 15}@@.jpg"
        for number in range(NAMES)
    ]
    (folder / "train_images_paths.txt").write_text("\n".join(lines))
    return folder / "train"


@pytest.fixture(scope="module")
def builder(train: Path) -> Iterator[Builder]:
    words = [sys.executable, "-c", CODE]
    with subprocess.Popen(
        words, cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Builder(process, train)


@pytest.fixture(scope="module")
def undisturbed(train: Path, builder: Builder) -> tuple[dict[str, bytes], float, int]:
    """The tables of a build that was left alone, how long it took, and in how many steps on files."""
    begun = time.monotonic()
    assert builder.wait(builder.start(train.with_name("A"))) == 0
    seconds = time.monotonic() - begun
    return current_tables(train.with_name("A")), seconds, int(train.with_name("A.steps").read_text())


Undisturbed = tuple[dict[str, bytes], float, int]


@pytest.fixture
def finish(
    train: Path,
    undisturbed: Undisturbed,
    tmp_path: Path,
    rows_per_partition: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], int]:
    """Build in tmp_path, check all of it, and return how many partitions were not made again."""

    def finish() -> int:
        rows_per_partition(ROWS)
        monkeypatch.setattr(members, "ROWS_PER_FILE", ROWS_OF_BUNDLE)
        finished, published = finished_parts(tmp_path), published_files(tmp_path)
        nothing_was_to_be_done = len(list_artifacts(tmp_path)) == 2
        manifest = build_manifest(train, tmp_path, "city")
        groups = build_groups(manifest, tmp_path)
        assert current_tables(tmp_path) == undisturbed[0]
        assert list_artifacts(tmp_path) == list_current(tmp_path) == sorted([manifest, groups])
        assert is_published(groups)
        left = [path.suffix for path in (tmp_path / STAGING).iterdir()]
        assert left == [] or (left == [".lock"] and nothing_was_to_be_done)
        assert published.items() <= published_files(tmp_path).items()
        summary = read_recipe(manifest)["summary"]
        if published:
            return int(summary["partitions"])
        assert summary["partitions_from_before"] == len(finished)
        return len(finished)

    return finish


def test_many_partitions_and_bundles(undisturbed: Undisturbed) -> None:
    assert sum(name.startswith("manifest/manifest/") for name in undisturbed[0]) > 3
    assert sum(name.startswith("groups/members/") for name in undisturbed[0]) > 4
    assert undisturbed[2] > 200


@pytest.mark.parametrize("moment", range(KILLS))
def test_killed_and_finished_by_the_next_run(
    builder: Builder, tmp_path: Path, undisturbed: Undisturbed, finish: Callable[[], int], moment: int
) -> None:
    """Every other time before a step on files, else at any time."""
    share = (moment + random.Random(moment).random()) / KILLS
    if moment % 2:
        assert builder.wait(builder.start(tmp_path, die_at=1 + int(share * undisturbed[2]))) in (-signal.SIGKILL, 0)
    else:
        builder.kill(tmp_path, share * undisturbed[1])
    finish()


def test_killed_again_and_again(
    builder: Builder, tmp_path: Path, undisturbed: Undisturbed, finish: Callable[[], int]
) -> None:
    for step in (60, 80, 100):
        assert builder.wait(builder.start(tmp_path, die_at=step)) == -signal.SIGKILL
    assert len(list((tmp_path / STAGING).glob("*.lock"))) == 3
    assert finish() > 0


def test_stopped_from_the_keyboard(builder: Builder, tmp_path: Path, finish: Callable[[], int]) -> None:
    assert builder.wait(builder.start(tmp_path, die_at=100, how=signal.SIGINT)) == 1
    assert list_artifacts(tmp_path) == []
    assert finish() > 0


def test_two_builds_at_once(builder: Builder, tmp_path: Path, undisturbed: Undisturbed) -> None:
    first, second = builder.start(tmp_path), builder.start(tmp_path)
    assert (builder.wait(first), builder.wait(second)) == (0, 0)
    assert list_artifacts(tmp_path) == list_current(tmp_path)
    assert current_tables(tmp_path) == undisturbed[0]
    assert list((tmp_path / STAGING).iterdir()) == []
