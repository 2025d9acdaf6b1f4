"""Log levels as in a new process, one fork server for all tests, fast data loaders, and a server of objects."""

import logging
import multiprocessing
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.context import ForkServerContext

import pytest

from data_manifest.console import LOGGERS
from data_manifest.images import object_store
from tests.helpers import SLOW_IMPORTS
from tests.object_server import ObjectServer, s3_server, serving


@pytest.fixture(scope="session", autouse=True)
def _one_preload() -> Iterator[None]:
    """Let the fork server import what is slow, whichever test starts it."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(SLOW_IMPORTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ForkServerContext, "set_forkserver_preload", lambda *_: None)
        yield


@pytest.fixture(autouse=True)
def _default_log_levels() -> None:
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def loader_notices_dead_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let data loaders check their workers every 0.1 seconds; torch's interval is 5 seconds."""
    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter  # late: torch takes seconds to import

    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Serve objects as s3://bucket, and as plain HTTP, with short waits between retries."""
    pytest.importorskip("obstore")
    waits = {"init_backoff": timedelta(milliseconds=5), "max_backoff": timedelta(milliseconds=20), "base": 2}
    monkeypatch.setattr(object_store, "RETRY", {**object_store.RETRY, "max_retries": 4, "backoff": waits})
    monkeypatch.setattr(object_store, "INTERRUPTED_WAIT_S", 0.005)
    with serving() as server, s3_server(server.url, monkeypatch):
        yield server
