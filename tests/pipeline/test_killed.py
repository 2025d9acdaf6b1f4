"""Builds that are killed, and builds that run side by side."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.artefacts import is_published, list_artefacts, list_current, read_recipe
from data_manifest.staging import STAGING
from pipeline.manifest import build_manifest

NameWith = Callable[..., str]
ROWS, FOLDERS, NAMES, KILLS = 1000, 300, 20_000, 12
CODE = f"""
import signal
import sys
from pathlib import Path
from pipeline import manifest
from pipeline.partitions import partitions
manifest.partitions = lambda listing, scratch: partitions(listing, scratch, {ROWS})
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
print("ready", flush=True)
manifest.build_manifest(Path(sys.argv[1]), Path(sys.argv[2]), "city")
print("done", flush=True)
"""


def tables_in(artefact: Path) -> dict[str, bytes]:
    return {str(path.relative_to(artefact)): path.read_bytes() for path in artefact.rglob("*.parquet")}


def started(images_folder: Path, artifacts: Path) -> subprocess.Popen[str]:
    """Return a process that builds the manifest from this very moment."""
    words = [sys.executable, "-c", CODE, str(images_folder), str(artifacts)]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def build_and_kill(images_folder: Path, artifacts: Path, after_s: float, how: signal.Signals = signal.SIGKILL) -> None:
    with started(images_folder, artifacts) as process:
        time.sleep(after_s)
        process.send_signal(how)


def finished_parts(artifacts: Path) -> set[str]:
    """The names of partitions that were finished but not published."""
    return {path.name for path in (artifacts / STAGING).glob("*/manifest/part-*.parquet")}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of many names, in many folders and a huge one, not in their order."""
    choose, folder = random.Random(0), tmp_path_factory.mktemp("data")
    lines = [
        f"{choose.randrange(FOLDERS) if number % 5 else 'huge'}/@0545981.19@4184971.70@10@S@037.81098@-122.47762"
        f"@pano{number}@@{number % 360}@@@@{2007 + number % 15}@@.jpg"
        for number in range(NAMES)
    ]
    (folder / "train_images_paths.txt").write_text("\n".join(lines))
    return folder / "train"


@pytest.fixture(scope="module")
def undisturbed(train: Path) -> tuple[dict[str, bytes], float]:
    """The tables of a build that was left alone, and how long it took."""
    with started(train, train.with_name("A")) as process:
        begun = time.monotonic()
        assert process.wait(60) == 0
    (artefact,) = list_artefacts(train.with_name("A"))
    return tables_in(artefact), time.monotonic() - begun


@pytest.fixture
def finish(
    train: Path,
    undisturbed: tuple[dict[str, bytes], float],
    tmp_path: Path,
    rows_per_partition: Callable[[int], None],
) -> Callable[[], int]:
    """Build in tmp_path, check the artefact, and return how many partitions were there already."""

    def finish() -> int:
        rows_per_partition(ROWS)
        finished, was_published = finished_parts(tmp_path), bool(list_artefacts(tmp_path))
        artefact = build_manifest(train, tmp_path, "city")
        assert tables_in(artefact) == undisturbed[0]
        assert list_artefacts(tmp_path) == list_current(tmp_path) == [artefact]
        assert is_published(artefact)
        assert list((tmp_path / STAGING).iterdir()) == []
        from_before: int = read_recipe(artefact)["summary"]["partitions_from_before"]
        assert was_published or from_before == len(finished)
        return len(undisturbed[0]) // 2 if was_published else from_before

    return finish


def test_many_partitions(undisturbed: tuple[dict[str, bytes], float]) -> None:
    assert len(undisturbed[0]) > 50


@pytest.mark.parametrize("moment", range(KILLS))
def test_killed_and_finished_by_the_next_run(
    train: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float], finish: Callable[[], int], moment: int
) -> None:
    share = (moment + random.Random(moment).random()) / KILLS
    build_and_kill(train, tmp_path, share * undisturbed[1])
    finish()


def test_killed_again_and_again(
    train: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float], finish: Callable[[], int]
) -> None:
    build_and_kill(train, tmp_path, 0.5 * undisturbed[1])
    build_and_kill(train, tmp_path, 0.6 * undisturbed[1])
    if not list_artefacts(tmp_path):
        assert len(list((tmp_path / STAGING).iterdir())) == 2
    finish()


def test_stopped_from_the_keyboard(train: Path, tmp_path: Path, finish: Callable[[], int]) -> None:
    with started(train, tmp_path) as process:
        while not finished_parts(tmp_path) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert list_artefacts(tmp_path) == []
    assert finish() > 0


def test_two_builds_at_once(train: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    with started(train, tmp_path) as first, started(train, tmp_path) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    (artefact,) = list_artefacts(tmp_path)
    assert list_current(tmp_path) == [artefact]
    assert tables_in(artefact) == undisturbed[0]
    assert list((tmp_path / STAGING).iterdir()) == []
