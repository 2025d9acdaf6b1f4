"""Buckets of a real S3 server, if moto[server] is installed: it is not in dev, as pip then needs minutes."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from data_manifest.images import object_listing
from data_manifest.images.file_states import stat_images
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_listing import list_objects
from data_manifest.images.object_store import ObjectStore
from tests.helpers import ROOT
from tests.object_server import s3_server

FOLDER = ImagesUrl.parse("s3://photos/city")
NAMES = sorted([f"{number:04}/@é {number}@.jpg" for number in range(1_100)])  # two pages of a listing
CONTENTS = [name.encode() for name in NAMES]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    folder = tmp_path_factory.mktemp("images")
    for name, content in zip(NAMES, CONTENTS, strict=True):
        (folder / "city" / name).parent.mkdir(parents=True)
        (folder / "city" / name).write_bytes(content)
    return folder


@contextmanager
def serving_s3(port: int, images: Path, log: Path, fail_every: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server process with a bucket of the images; yield it once it answers."""
    words = [sys.executable, str(ROOT / "tests/s3_process.py"), str(port), "photos", str(images), str(fail_every)]
    with log.open("ab") as output, subprocess.Popen(words, stdout=output, stderr=output) as server:
        try:
            for _ in range(600):
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield server
        finally:
            server.kill()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A free port, at which the environment has an S3 server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    with s3_server(f"http://127.0.0.1:{number}", monkeypatch):
        yield number


def test_bucket_of_a_real_server(port: int, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_s3(port, images, tmp_path / "log"):
        *read, missing = ObjectStore(FOLDER).read([*NAMES[:50], "no.jpg"])
        assert read == CONTENTS[:50]
        assert isinstance(missing, FileNotFoundError)
        assert list_objects(FOLDER).file.path.read_text().splitlines() == NAMES
        some = pl.Series("path", ["no.jpg", *NAMES[::100]])
        single = stat_images(some, FOLDER)
        monkeypatch.setattr(object_listing, "MAX_HEADS", 0)
        assert stat_images(some, FOLDER).equals(single)
        assert single["bytes"].to_list() == [None, *map(len, CONTENTS[::100])]


def test_one_request_in_a_hundred_fails(port: int, images: Path, tmp_path: Path) -> None:
    with serving_s3(port, images, tmp_path / "log", fail_every=100):
        assert list(ObjectStore(FOLDER).read(NAMES)) == CONTENTS
    assert (tmp_path / "log").read_text().count('" 503 ') >= len(NAMES) // 100


def test_server_that_is_killed_and_comes_back(port: int, images: Path, tmp_path: Path) -> None:
    read = list[bytes | OSError]()
    with serving_s3(port, images, tmp_path / "log") as server:
        contents = ObjectStore(FOLDER).read(NAMES)
        read += [next(contents) for _ in range(100)]
        server.kill()
    rest = threading.Thread(target=lambda: read.extend(contents))
    rest.start()
    time.sleep(0.5)
    assert rest.is_alive(), "it waits for the server"
    with serving_s3(port, images, tmp_path / "log"):
        rest.join()
    assert read == CONTENTS
