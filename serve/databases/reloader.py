"""Reload databases on request, and when they have moved; the old ones serve while the new ones load."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from data_manifest.errors import UserError, first_line
from serve.databases.databases import Databases
from serve.databases.served import Served

WATCH_S = 5.0  # between checks whether a database has moved
logger = logging.getLogger(__name__)
T = TypeVar("T")


class Reloader:
    """Reloads databases and replaces them at once. If that fails, the old ones stay.

    Args:
        databases: The databases that are served.
        load: Returns the current databases, given the served ones, which are reused if unchanged.
        has_moved: Returns whether a database or the model has moved since `load` last began; None: not watched.
        seconds: Between two calls of `has_moved`.
    """

    def __init__(
        self,
        databases: Databases,
        load: Callable[[Sequence[Served]], list[Served]],
        has_moved: Callable[[], bool] | None = None,
        seconds: float = WATCH_S,
    ) -> None:
        self._databases, self._load, self._has_moved, self._seconds = databases, load, has_moved, seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Request a reload; may be called by a signal handler or another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._requested.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reload on demand while a context lasts."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._loop = None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._due()
                logger.info("reloading")
                served = await _on_daemon_thread(lambda: self._load(self._databases.served))
            except Exception as error:
                logger.error("not reloaded, the old databases stay: %s", _reason(error))
                continue
            self._databases.replace(served)
            logger.info("reloaded: %s", ", ".join(f"{each.name}, {len(each.pictures):,} images" for each in served))

    async def _due(self) -> None:
        """Return when a reload is requested, or a database has moved; log once why this cannot be checked."""
        logged = ""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._has_moved is None else self._seconds):
                    await self._requested.wait()
            if self._requested.is_set():
                self._requested.clear()
                return
            try:
                if self._has_moved is not None and await _on_daemon_thread(self._has_moved):
                    return
            except Exception as error:
                reason = _reason(error)
                if reason != logged:
                    logger.error("cannot check for changes of the databases: %s", reason)
                logged = reason


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
    return " ".join(text.split())


async def _on_daemon_thread(run: Callable[[], T]) -> T:
    """Return the result of a function, run on a thread that does not keep a stopped server alive."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # the thread always finishes it

    def work() -> None:
        try:
            future.set_result(run())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, name="reload", daemon=True).start()
    return await asyncio.wrap_future(future)
