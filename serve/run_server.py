"""Run the server until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from evaluation.localization.localize import Localizer
from serve.app import make_app
from serve.service import Service
from serve.settings import ServerSettings

GRACE_S = 10  # for running requests to finish
HEAD_S = 10.0  # from connecting to the end of the first request's headers
MAX_CONNECTIONS = 256
logger = logging.getLogger(__name__)


def run_server(localizer: Localizer, model_name: str, settings: ServerSettings, bound: socket.socket) -> None:
    """Serve on a bound socket until Ctrl-C or SIGTERM, then finish running requests."""
    server = make_server(localizer, model_name, dataclasses.replace(settings, port=bound.getsockname()[1]))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if localizer.database.uncalibrated:
        logger.info(localizer.database.uncalibrated)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn repeats the signal after it has shut down
        server.run(sockets=[bound])
    print("Stopped.")


def make_server(localizer: Localizer, model_name: str, settings: ServerSettings) -> "Server":
    """Return a server that is ready to run."""
    app = make_app(Service(localizer, model_name, settings.limits), settings.token)
    config = uvicorn.Config(
        app,
        http=PunctualProtocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config, settings)


class Server(uvicorn.Server):
    """Prints its address when it is ready."""

    def __init__(self, config: uvicorn.Config, settings: ServerSettings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        print(f"Open {self._settings.url} (Ctrl-C stops)", flush=True)


class PunctualProtocol(H11Protocol):
    """Closes connections that do not send a request in time; uvicorn waits for them without end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
