"""Run the server until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from serve.api.app import make_app
from serve.databases.reloader import Reloader
from serve.service import Service
from serve.settings import ServerSettings

STDIN = 0
GRACE_S = 10  # for running requests to finish
HEAD_S = 10.0  # from connecting to the end of the first request's headers
MAX_CONNECTIONS = 256


def run_server(service: Service, settings: ServerSettings, bound: socket.socket, reloader: Reloader) -> None:
    """Serve on a bound socket until Ctrl-C or SIGTERM, then finish running requests. SIGHUP reloads.

    A closed terminal sends SIGHUP too, and ends the server.
    """
    server = make_server(service, dataclasses.replace(settings, port=bound.getsockname()[1]), reloader)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    has_terminal = os.isatty(STDIN)

    def hang_up(*_: object) -> None:
        if has_terminal and not os.isatty(STDIN):  # its terminal was closed
            server.should_exit = True
        else:
            reloader.ask()

    signal.signal(signal.SIGHUP, hang_up)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn repeats the signal after it has shut down
        server.run(sockets=[bound])
    print("Stopped.")


def make_server(service: Service, settings: ServerSettings, reloader: Reloader) -> "Server":
    """Return a server that is ready to run."""
    config = uvicorn.Config(
        make_app(service, settings, reloader),
        http=PunctualProtocol,
        ws="none",
        lifespan="on",
        log_level="error",
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
