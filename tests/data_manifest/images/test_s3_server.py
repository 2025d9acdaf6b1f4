"""Buckets of a real S3 server, if moto[server] is installed: it is not in dev, as pip then needs minutes."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from data_manifest.images import object_listing, object_store
from data_manifest.images.file_states import stat_images
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_listing import list_objects
from data_manifest.images.object_store import ObjectStore, client_of

FOLDER = ImagesUrl.parse("s3://photos/city")
NAMES = sorted([f"{number:04}/@é {number}@.jpg" for number in range(1_100)])  # two pages of a listing


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run moto's server in a process, with a bucket of images."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            _create_bucket(url, server, log)
            yield url
        finally:
            server.terminate()


def _create_bucket(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{url}/photos", method="PUT")).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


@pytest.fixture
def filled(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    variables = {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1", "ENDPOINT_URL": endpoint}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    object_store._client.cache_clear()
    list_objects.cache_clear()
    for name in NAMES:
        client_of(FOLDER.root).put(f"city/{name}", name.encode())
    return endpoint


@pytest.mark.slow
def test_bucket_of_a_real_server(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    *read, missing = ObjectStore(FOLDER).read([*NAMES[:50], "no.jpg"])
    assert read == [name.encode() for name in NAMES[:50]]
    assert isinstance(missing, FileNotFoundError)
    assert list_objects(FOLDER).file.path.read_text().splitlines() == NAMES
    some = pl.Series("path", ["no.jpg", *NAMES[::100]])
    single = stat_images(some, FOLDER)
    monkeypatch.setattr(object_listing, "MAX_HEADS", 0)
    assert stat_images(some, FOLDER).equals(single)
    assert single["bytes"].to_list() == [None, *(len(name.encode()) for name in NAMES[::100])]
