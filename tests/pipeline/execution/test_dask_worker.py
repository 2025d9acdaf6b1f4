"""What a machine of a cluster tells of its jobs, and what is sent to it."""

import errno
import os
import pickle
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.store.staging import STAGING
from data_manifest.tables import read_table
from pipeline.execution import dask_worker as worker_module
from pipeline.execution.dask_worker import code_digest, run_on_worker
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import list_images
from pipeline.listing.shuffle import Shuffle, SpilledPaths
from pipeline.manifest.build_manifest import build_manifest
from pipeline.manifest.build_partition import ManifestBuild, build_partition

NameWith = Callable[..., str]
HOST = socket.gethostname()


def on_worker(work: Callable[[Any], Any], job: Any) -> Any:
    return run_on_worker(work, code_digest(), job)


def test_job_runs() -> None:
    assert on_worker(abs, -3) == 3


def test_other_code_is_an_error() -> None:
    with pytest.raises(UserError, match=f"^{HOST} runs another version of this pipeline. Install the same"):
        run_on_worker(abs, "0123456789abcdef", -3)


def test_code_digest_covers_all_packages_that_run_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        tmp_path / package / "code.py" for package in ("data_manifest", "pipeline", "training", "evaluation", "methods")
    ]
    for file in files:
        file.parent.mkdir()
        file.write_text("one")
    monkeypatch.setattr(worker_module, "__file__", str(tmp_path / "pipeline" / "execution" / "dask_worker.py"))
    digests = [code_digest.__wrapped__()]
    for file in files:
        file.write_text("another")
        digests.append(code_digest.__wrapped__())
    assert len(set(digests)) == 6
    assert code_digest() not in digests, "what was imported stays the code of the process"


def test_user_error_names_the_host() -> None:
    def mistaken(job: int) -> None:
        raise UserError("M = 0: too small")

    with pytest.raises(UserError) as error:
        on_worker(mistaken, 0)
    assert str(error.value) == f"M = 0: too small (on {HOST})"


def test_full_disk_names_the_host() -> None:
    with pytest.raises(OSError, match=f"No space left on device \\(on {HOST}\\)") as error:
        on_worker(Path("/dev/full").write_text, "x")
    again = pickle.loads(pickle.dumps(error.value))
    assert (again.errno, str(again)) == (errno.ENOSPC, str(error.value))


@pytest.fixture
def train(tmp_path: Path, name_with: NameWith) -> Path:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name_with()).touch()
    return tmp_path / "train"


def images_of(train: Path) -> SpilledPaths:
    """Return all paths of a folder, spilled beside it."""
    scratch = train.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    shuffle = Shuffle(list_images(train), scratch)
    (images,) = shuffle.paths(shuffle.partitions)
    return images


def test_paths_that_a_machine_does_not_see(tmp_path: Path, train: Path) -> None:
    images = images_of(train)
    train.with_name("scratch").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError) as error:
        on_worker(partial(build_partition, ManifestBuild(tmp_path, strict=True)), images)
    assert str(error.value) == (
        f"{HOST} does not see {images.file}: "
        "all machines of the cluster must see the shared folders under the same paths"
    )


def test_a_folder_that_a_machine_does_not_see_is_told_and_not_made(tmp_path: Path, train: Path) -> None:
    manifest = ManifestBuild(tmp_path / "A" / "staging", strict=True)
    with pytest.raises(UserError, match=f"^{HOST} does not see {manifest.folder}/rejects: all machines of the cluster"):
        on_worker(partial(build_partition, manifest), images_of(train))
    assert not (tmp_path / "A").exists()


class Posting(Executor):
    """Sends jobs and results through pickle, as a cluster does, and keeps how large they are."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.returned: list[int] = []

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        posted = pickle.dumps((work, given, named))
        self.sent.append(len(posted))
        work, given, named = pickle.loads(posted)
        answer = pickle.dumps(work(*given, **named))
        self.returned.append(len(answer))
        future: Future[Any] = Future()
        future.set_result(pickle.loads(answer))
        return future


@pytest.mark.parametrize("from_list", [True, False])
def test_paths_and_counts_are_sent_and_no_rows(
    tmp_path: Path, name_with: NameWith, rows_per_partition: Callable[[int], None], from_list: bool
) -> None:
    """Partitions of 500 images, 50 kB of paths, in 20 classes."""
    rows_per_partition(500)
    images = tmp_path / "train"
    paths = [
        f"{folder}/{name_with(utm_east=545_000 + folder * 20, heading=90 * (number % 2), pano_id=number)}"
        for folder in range(40)
        for number in range(50)
    ]
    for path in () if from_list else paths:
        (images / path).parent.mkdir(parents=True, exist_ok=True)
        (images / path).touch()
    if from_list:
        (tmp_path / "train_images_paths.txt").write_text("\n".join(paths))
    of_manifest, of_groups = Posting(), Posting()
    manifest = build_manifest(images, tmp_path / "A", executor=of_manifest)
    groups = build_groups(manifest, tmp_path / "A", GroupSettings(), executor=of_groups)
    assert len(read_table(groups, "members")) == len(paths)
    assert len(of_manifest.sent) >= 4
    assert max(of_manifest.sent + of_groups.sent) < 8000
    assert max(of_manifest.returned + of_groups.returned) < 4000


def test_a_partition_that_is_made_twice_at_once(tmp_path: Path, train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that was thought dead links the rejects just when another has linked both files."""
    first = build_manifest(train, tmp_path / "A")
    folder = tmp_path / "A" / STAGING / "being made"
    folder.mkdir(parents=True)
    job = ManifestBuild(folder, strict=True, earlier=(first,)), images_of(train)
    made = build_partition(*job)
    assert made.is_linked
    assert build_partition(*job) == made
    monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))
    again = build_partition(*job)
    assert (again.name, again.counts) == (made.name, made.counts)
    for table in ("manifest", "rejects"):
        assert [path.name for path in (folder / table).iterdir()] == [made.name]
        assert (folder / table / made.name).read_bytes() == (first / table / made.name).read_bytes()
