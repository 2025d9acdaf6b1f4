"""Run the server until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import threading
from types import FrameType

import uvicorn
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from serve.api.app import make_app
from serve.databases.reloader import Reloader
from serve.service import Service
from serve.settings import ServerSettings

STDIN = 0
GRACE_S = 7  # for running requests to finish
STOP_S = 8.0  # from the signal to the end of the process
HEAD_S = 10.0  # from connecting to the end of the first headers
MAX_CONNECTIONS = 256


def run_server(service: Service, settings: ServerSettings, bound: socket.socket, reloader: Reloader) -> None:
    """Serve on a bound socket until Ctrl-C or SIGTERM, then finish running requests. SIGHUP reloads.

    The SIGHUP of a closed terminal stops the server. The process ends within 10 seconds of the signal.
    """
    server = make_server(service, dataclasses.replace(settings, port=bound.getsockname()[1]), reloader)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    has_terminal = os.isatty(STDIN)

    def hang_up(*_: object) -> None:
        if has_terminal and not os.isatty(STDIN):  # the terminal was closed
            server.handle_exit(signal.SIGTERM, None)
        else:
            reloader.request()

    signal.signal(signal.SIGHUP, hang_up)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn repeats the signal after it has shut down
        server.run(sockets=[bound])
    print("Stopped.", flush=True)


def make_server(service: Service, settings: ServerSettings, reloader: Reloader) -> "Server":
    """Return a server of a service."""
    config = uvicorn.Config(
        make_app(service, settings, reloader),
        http=PunctualProtocol,
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config, settings.url)


class Server(uvicorn.Server):
    """Prints its address when it is ready, and ends its process soon after a signal."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        print(f"Open {self._url} (Ctrl-C stops)", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after a signal, at the latest after `STOP_S` seconds: a running batch cannot be interrupted."""
        super().handle_exit(sig, frame)
        timer = threading.Timer(STOP_S, os._exit, [0])
        timer.daemon = True
        timer.start()


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request on a connection beyond the limit."""
    headers = {"retry-after": "1", "connection": "close"}
    await JSONResponse({"error": "Too many connections. Try again"}, 503, headers)(scope, receive, send)


class PunctualProtocol(H11Protocol):
    """Closes connections without a request in time, and answers 503 beyond `MAX_CONNECTIONS`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self.app = _busy
        self.loop.call_later(HEAD_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
