"""Partitions on a real Dask cluster: a scheduler and two workers, processes of this machine."""

import functools
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.store.find import list_artifacts
from data_manifest.store.recipe import read_recipe
from data_manifest.store.staging import STAGING
from pipeline.execution import dask_cluster as cluster_module
from pipeline.execution.dask_cluster import ClusterSettings, differing_versions, executor_at
from pipeline.execution.executor import run_all
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest import build_manifest as manifest_module
from pipeline.manifest.build_manifest import build_manifest
from pipeline.packs import plan_shards
from pipeline.packs.pack_groups import pack_groups
from pipeline.packs.settings import PackSettings
from pipeline.panoramas import crop_panoramas as panoramas
from pipeline.panoramas.settings import CropSettings
from pipeline.sources import photo_source as exif
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.verification.verify_images import verify_images
from tests.helpers import files_in, published_files
from tests.pipeline.conftest import small_files

pytest.importorskip("distributed", reason="Dask is not installed")
pytest.importorskip("dask", reason="Dask is not installed")

ROOT = Path(__file__).parents[3]
ROWS, NAMES, FOLDERS, WORKERS = 50, 500, 20, 2
HOST = socket.gethostname()
DRIVER = f"""
import sys
from pathlib import Path
from pipeline.manifest import build_manifest as manifest
from pipeline.execution.dask_cluster import executor_at
from pipeline.verification.verify_images import verify_images
manifest.ROWS_PER_PARTITION = {ROWS}
with executor_at(sys.argv[1]) as executor:
    manifest.build_manifest(Path(sys.argv[2]), Path(sys.argv[3]), "city", executor=executor)
"""


class Cluster:
    """A scheduler and workers that were started from the command line, in a folder of their own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.workers = folder, list[subprocess.Popen[bytes]]()
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self.file = folder / "scheduler.json"
        # A scheduler that nobody uses, and workers without one, end by themselves: should the tests be killed.
        words = ("--scheduler-file", "scheduler.json", "--host", "127.0.0.1", "--port", "0", "--idle-timeout", "300")
        self.scheduler = self._start("scheduler", *words)
        while not self.file.is_file() or not self.file.read_text().endswith("}"):
            assert self.scheduler.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        self.address: str = json.loads(self.file.read_text())["address"]

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, *words, "--no-dashboard"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)

    def start_worker(self) -> None:
        words = ("--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", "--death-timeout", "60")
        self.workers.append(self._start("worker", self.address, *words, "--local-directory", str(self.folder)))

    def wait_for_workers(self, count: int) -> None:
        from distributed import Client

        with Client(self.address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(count, 30)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def cluster(two_workers: Cluster) -> Cluster:
    """The cluster, with as many workers as ever, whatever the test before did to them."""
    alive = [worker for worker in two_workers.workers if worker.poll() is None]
    two_workers.workers[:] = alive
    for _ in range(WORKERS - len(alive)):
        two_workers.start_worker()
    two_workers.wait_for_workers(WORKERS)
    return two_workers


@pytest.fixture
def progress() -> Iterator[Progress]:
    with Progress("testing", None, "jobs") as progress:
        yield progress


def name(number: int) -> str:
    east, north, heading = 545_000 + number % 3 * 10, 4_184_900 + number // 3 % 3 * 10, number * 31 % 120
    return f"@0{east}.19@{north}.70@10@S@@@pano{number}@@{heading}@@@@{2007 + number % 15}@@.jpg"


@pytest.fixture(scope="module")
def paths() -> list[str]:
    choose = random.Random(0)
    folders = (f"37.{choose.randrange(FOLDERS)}/" if number % 5 else "huge/" for number in range(NAMES))
    return [f"{folder}{name(number)}" for number, folder in enumerate(folders)] + ["37.1/odd.jpg", "37.2/odd.jpg"]


@pytest.fixture(scope="module")
def images(paths: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The images as a tree, and as a list beside a folder that is not there."""
    root = tmp_path_factory.mktemp("images")
    for path in paths:
        (root / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "tree" / path).touch()
    (root / "list_images_paths.txt").write_text("\n".join(paths))
    return {"tree": root / "tree", "list": root / "list"}


@pytest.fixture(scope="module", autouse=True)
def _small_files() -> Iterator[None]:
    with small_files(ROWS, ROWS):
        yield


def build(images: Path, artifacts: Path, scheduler: str | None = None) -> dict[str, bytes]:
    """Build manifest and groups of images, here or on a cluster, and return their tables."""
    with executor_at(scheduler) as executor:
        told: list[int] = []
        manifest = build_manifest(images, artifacts, "city", on_percentage=told.append, executor=executor)
        assert (told, told[-1]) == (sorted(told), 100)
        told.clear()
        build_groups(manifest, artifacts, on_percentage=told.append, executor=executor)
        assert (told, told[-1]) == (sorted(told), 100)
    return published_files(artifacts)


@pytest.fixture(scope="module")
def local(images: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The tables that this machine's threads make."""
    return {kind: build(images[kind], tmp_path_factory.mktemp("local")) for kind in images}


def count(tables: dict[str, bytes], part: str) -> int:
    return sum(part in path for path in tables)


@pytest.mark.parametrize("kind", ["list", "tree"])
def test_cluster_writes_the_same_bytes_with_relative_paths(
    images: dict[str, Path],
    local: dict[str, dict[str, bytes]],
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    assert count(local[kind], "/manifest/part-") > 10
    assert count(local[kind], "/members/group-") > 10
    monkeypatch.chdir(images[kind].parent)
    assert build(Path(kind), Path(os.path.relpath(tmp_path)), cluster.address) == local[kind]


@pytest.mark.parametrize(
    ("first_file", "all_files"),
    [
        ("manifest/part-*.parquet", "/manifest/part-"),
        ("scratch/*.arrow", "/manifest/part-"),
        ("members/*.parquet", "/members/group-"),
    ],
)
def test_killed_worker_is_replaced(
    images: dict[str, Path],
    local: dict[str, dict[str, bytes]],
    cluster: Cluster,
    tmp_path: Path,
    first_file: str,
    all_files: str,
) -> None:
    found_when_killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while not over.is_set() and not found_when_killed:
            if found := len(list((tmp_path / STAGING).glob(f"*/{first_file}"))):
                cluster.workers[0].kill()
                found_when_killed.append(found)
            time.sleep(0.002)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        assert build(images["list"], tmp_path, cluster.address) == local["list"]
    finally:
        over.set()
        thread.join()
    assert 0 < found_when_killed[0] < count(local["list"], all_files)
    assert cluster.workers[0].wait(30) == -signal.SIGKILL
    assert list((tmp_path / STAGING).iterdir()) == []


def test_verification_writes_the_same_bytes(
    images: dict[str, Path], cluster: Cluster, tmp_path: Path, paths: list[str]
) -> None:
    made: list[dict[str, bytes]] = []
    for scheduler in (None, cluster.address):
        artifacts = tmp_path / f"A{len(made)}"
        with executor_at(scheduler) as executor:
            manifest = build_manifest(images["tree"], artifacts, "city", executor=executor)
            checks = verify_images(manifest, images["tree"], artifacts, executor=executor)
        assert read_recipe(checks)["summary"]["bad"] == {"zero bytes": NAMES}
        made.append({path.name: path.read_bytes() for path in checks.glob("checks/*.parquet")})
    assert len(made[0]) > 10
    assert made[0] == made[1]


@pytest.mark.parametrize("kind", ["table", "exif"])
def test_table_and_exif_sources_write_the_same_bytes(
    kind: str, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of photos in eight folders; the table and the artifacts lie in the driver's working folder."""
    monkeypatch.setattr(exif, "MIN_JOBS_FOR_PROCESSES", 100)
    monkeypatch.setattr(manifest_module, "ROWS_PER_PARTITION", 2)
    monkeypatch.setattr(exif, "PHOTOS_PER_PARTITION", 2)
    monkeypatch.chdir(tmp_path)
    photo = Image.Exif()
    photo.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 2.16), 3: "W", 4: (2.0, 20.0, 5.28)})
    names = [f"{number // 2}/{number}.jpg" for number in range(16)]
    for each in names:
        (tmp_path / "photos" / each).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / each, exif=photo)
    rows = [f"{each},48.85,2.33" for each in (*names[1:], "gone.jpg")]
    (tmp_path / "photos.csv").write_text("\n".join(["path,lat,lon", *rows]))
    table = Path("photos.csv") if kind == "table" else None
    made: list[dict[str, bytes]] = []
    for scheduler in (None, cluster.address):
        source = make_source(SourceSettings(source=kind, table=table, heading="given"))
        with executor_at(scheduler) as executor:
            folder = build_manifest(Path("photos"), Path(f"A{len(made)}"), executor=executor, source=source)
        summary = read_recipe(folder)["summary"]
        assert (summary["usable"], sum(summary["rejects"].values())) == ((15, 2) if kind == "table" else (16, 0))
        made.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")})
    assert count(made[0], "manifest/part-") > 4
    assert made[0] == made[1]


def test_crops_have_the_same_bytes(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panoramas, "PANORAMAS_AT_A_TIME", 1)
    monkeypatch.chdir(tmp_path)
    Path("panoramas").mkdir()
    for number in range(4):
        Image.effect_noise((208, 32), 60).save(Path("panoramas", name(number)))
    for scheduler, output in ((None, "here"), (cluster.address, "there")):
        with executor_at(scheduler) as executor:
            settings = CropSettings(crop_size=16)
            panoramas.crop_panoramas(Path("panoramas"), Path(output), Path("A"), settings, executor=executor)
    here, there = ({path.name: path.read_bytes() for path in Path(each).rglob("*.jpg")} for each in ("here", "there"))
    assert len(here) == 48
    assert here == there


def test_packs_have_the_same_bytes(
    images: dict[str, Path], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_shards, "MEGABYTE", 10_000)
    manifest = build_manifest(images["tree"], tmp_path / "A", "city")
    groups = build_groups(manifest, tmp_path / "A", GroupSettings(min_images_per_class=1, N=1, L=1))
    made: list[dict[str, bytes]] = []
    for scheduler in (None, cluster.address):
        with executor_at(scheduler) as executor:
            settings = PackSettings(shard_megabytes=1)
            packs = pack_groups(groups, [0], images["tree"], tmp_path / "A", settings, executor=executor)
        made.append(files_in(packs))
        shutil.rmtree(packs)
    assert sum(path.endswith(".tar") for path in made[0]) > 3
    assert made[0] == made[1]


def test_killed_driver_leaves_partitions_to_reuse(
    images: dict[str, Path], local: dict[str, dict[str, bytes]], cluster: Cluster, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", DRIVER, cluster.address, str(images["list"]), str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, env=cluster.environment) as driver:
        while not list((tmp_path / STAGING).glob("*/manifest/part-*.parquet")) and driver.poll() is None:
            time.sleep(0.002)
        driver.kill()
    assert list_artifacts(tmp_path) == []
    assert build(images["list"], tmp_path, cluster.address) == local["list"]
    (recipe,) = (read_recipe(path) for path in list_artifacts(tmp_path) if path.parents[1].name == "manifest")
    assert recipe["summary"]["partitions_from_before"] > 0
    assert list((tmp_path / STAGING).iterdir()) == []


def test_errors_on_a_worker_name_its_host(cluster: Cluster, tmp_path: Path, progress: Progress) -> None:
    with executor_at(cluster.address) as executor:
        with pytest.raises(UserError, match=f"^{HOST} does not see /no/such: all machines of the cluster must see"):
            list(run_all(os.listdir, ["/no/such"], progress, executor))
        with pytest.raises(OSError, match=f"No space left on device .on {HOST}"):
            list(run_all(Path("/dev/full").write_text, ["x"], progress, executor))
        assert list(run_all(abs, [-1, -2], progress, executor)) == [1, 2], "and the cluster goes on"
        assert list(run_all(len, [bytes(15_000_000)], progress, executor)) == [15_000_000], "and nothing is warned of"
    assert list_artifacts(tmp_path / "A") == []


def test_luigi_uses_the_configured_cluster(images: dict[str, Path], cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text(f"[dask]\nscheduler = {cluster.address}\n")
    environment = {**cluster.environment, "LUIGI_CONFIG_PATH": str(tmp_path / "own.cfg")}
    folders = ("--train-folder", str(images["list"]), "--artifacts-folder", str(tmp_path / "A"))

    def luigi(task: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "luigi", "--module", "workflows", task, *folders, *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    made = luigi("BuildGroups")
    assert made.returncode == 0, made.stderr
    assert made.stderr.count(f"{cluster.address}: {WORKERS} workers") == 2  # for the manifest and for the groups
    again = luigi("BuildGroups", "--dask-scheduler", "tcp://127.0.0.1:1")
    assert again.stdout.startswith("BuildGroups: up to date"), "where tables were built is no part of what they are"


def test_missing_dead_and_lost_workers_are_errors(
    tmp_path: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "WORKERS_TIMEOUT_S", 0.3)
    cluster = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        without = f"^The scheduler {cluster.address} has no workers. Start some with `dask worker {cluster.address}`.$"
        with pytest.raises(UserError, match=without), executor_at(cluster.address):
            pass
        cluster.start_worker()
        cluster.wait_for_workers(1)
        died = f"^1 workers of {cluster.address} died on the same job, last tcp://127.0.0.1:"
        with pytest.raises(UserError, match=died), executor_at(cluster.address) as executor:
            list(run_all(os._exit, [1], progress, executor))
        cluster.start_worker()
        cluster.wait_for_workers(1)
        lost = f"^The connection to the scheduler {cluster.address} was lost. Check that it runs"
        with pytest.raises(UserError, match=lost), executor_at(cluster.address) as executor:
            list(run_all(functools.partial(os.kill, cluster.scheduler.pid), [0, signal.SIGKILL, 0], progress, executor))
    finally:
        cluster.end()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_scheduler_that_does_not_answer_is_an_error(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_module.CONNECT_TIMEOUT_S <= 10
    monkeypatch.setattr(cluster_module, "CONNECT_TIMEOUT_S", 0.2)
    for address in ("tcp://127.0.0.1:1", "tcp://no-such-host.invalid:8786", silent_server):
        with pytest.raises(UserError) as error, executor_at(address):
            pass
        assert str(error.value) == (
            f"dask_scheduler = {address} does not answer within 0.2 seconds. "
            "Check that `dask scheduler` runs and that this machine can reach it."
        )


def test_no_address_means_this_machine() -> None:
    with executor_at(None) as executor:
        assert executor is None
    assert ClusterSettings("").dask_scheduler is None


@pytest.mark.parametrize("address", ["tcp://host:8786", "tcp://10.0.0.3:1", "tls://[::1]:8786"])
def test_valid_addresses(address: str) -> None:
    assert ClusterSettings(address).dask_scheduler == address


@pytest.mark.parametrize(
    "address",
    [
        *("host:8786", "host", "8786", "tcp://host", "tcp://:8786", "tcp://host:port", "tcp://host:99999"),
        *("tcp://host:0", "http://host:8787", "tcp:/host:8786", "tcp://host:8786/status"),
    ],
)
def test_invalid_addresses(address: str) -> None:
    with pytest.raises(UserError) as error:
        ClusterSettings(address)
    assert str(error.value) == (
        f"dask_scheduler = {address!r} is not an address such as tcp://host:8786. "
        "Give the one that `dask scheduler` prints when it starts."
    )


def test_differing_versions() -> None:
    ours: dict[str, str | None] = {
        "python": "3.11.7.final.0",
        "polars": "2.1.0",
        "pyarrow": "26.0.1",
        "numpy": "2.3.0",
        "utm": "0.8.1",
    }
    assert differing_versions(ours, {**ours, "pandas": "3.0"}) == ""
    theirs = {**ours, "polars": "1.30.0", "utm": None}
    assert differing_versions(ours, theirs) == "polars 1.30.0 (here 2.1.0), utm None (here 0.8.1)"


def test_workers_with_other_versions_are_logged(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from distributed import Client

    get_versions = Client.get_versions

    def older(client: Client, packages: list[str]) -> object:
        found = get_versions(client, packages=packages)
        assert isinstance(found, dict)
        next(iter(found["workers"].values()))["packages"]["polars"] = "1.30.0"
        return found

    monkeypatch.setattr(Client, "get_versions", older)
    with caplog.at_level(logging.WARNING, "pipeline.execution.dask_cluster"), executor_at(cluster.address):
        pass
    (message,) = caplog.messages
    assert message.startswith("worker tcp://127.0.0.1:")
    assert " has polars 1.30.0 (here " in message
