"""Log levels as in a new process, so that tests of a command line do not affect others, and a server of objects."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from data_manifest.console import LOGGERS
from data_manifest.images import object_store
from tests.object_server import ObjectServer, s3_server, serving


@pytest.fixture(autouse=True)
def _default_log_levels() -> None:
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Serve objects as s3://bucket, and as plain HTTP, with short waits between retries."""
    pytest.importorskip("obstore")
    waits = {"init_backoff": timedelta(milliseconds=5), "max_backoff": timedelta(milliseconds=20), "base": 2}
    monkeypatch.setattr(object_store, "RETRY", {**object_store.RETRY, "max_retries": 4, "backoff": waits})
    monkeypatch.setattr(object_store, "INTERRUPTED_WAIT_S", 0.005)
    with serving() as server, s3_server(server.url, monkeypatch):
        yield server
