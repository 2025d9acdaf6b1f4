"""Refuse requests without the token or to another host, and set security headers."""

import asyncio
import hmac
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.answers import LINKS
from serve.settings import Tiles, is_local

PAGE = "/page/"
OPEN, OPEN_FOLDERS = ("/", "/healthz"), (PAGE, f"/{LINKS}/")  # paths that need no token
STOPPED = {"error": "The server was stopped before the photos were localized. Try again"}
FAILED = {"error": "The server failed; its log has the reason"}
DRAIN_S = 2.0  # to read the rest of a refused request; closing the connection earlier would lose the answer


class Guard:
    """ASGI middleware.

    Args:
        app: The application behind it.
        token: Required of requests; None requires this machine as their host instead.
        count: Called with the status of each answer.
        tiles: The tile server of the page.
    """

    def __init__(self, app: ASGIApp, token: str | None, count: Callable[[int], None], tiles: Tiles | None) -> None:
        self._app, self._token, self._count, self._headers = app, token, count, security_headers(tiles)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, is_answered = _Body(scope, receive), False

        async def send_guarded(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                self._count(message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                if not body.is_read:
                    await body.drain()
                    headers["connection"] = "close"
            await send(message)

        refusal = self._refusal(scope["path"], Headers(scope=scope))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]  # uvicorn drops the body
        try:
            await (refusal or self._app)({**scope, "method": method}, body.receive, send_guarded)
        except (ClientDisconnect, asyncio.CancelledError):  # the sender left, or the server stops
            if not is_answered:
                await JSONResponse(STOPPED, 503)(scope, body.receive, send)
        except Exception:
            if not is_answered:
                await JSONResponse(FAILED, 500)(scope, body.receive, send_guarded)
            raise  # to be logged

    def _refusal(self, path: str, headers: Headers) -> JSONResponse | None:
        """Return the answer to a refused request; None accepts it."""
        if self._token is None:
            host = headers.get("host", "")
            if is_local(host if host.endswith("]") else host.rsplit(":", 1)[0]):  # without the port
                return None  # another name may be a web page's that resolves to this machine
            return JSONResponse({"error": "Open the server by its address on this machine, such as 127.0.0.1"}, 403)
        if path in OPEN or path.startswith(OPEN_FOLDERS):
            return None
        given = headers.get("authorization", "").encode("latin-1")
        if hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return None
        text = "Send the token of the server in the header Authorization: Bearer TOKEN"
        return JSONResponse({"error": text}, 401, {"www-authenticate": "Bearer"})


def security_headers(tiles: Tiles | None) -> dict[str, str]:
    """Return the headers of all answers. They allow the page to load images from the tile server."""
    images = f"'self' blob: data: {tiles.origin}" if tiles else "'self' blob: data:"
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin" if tiles else "no-referrer",  # OpenStreetMap requires the origin
        "cross-origin-resource-policy": "same-origin",
    }


class _Body:
    """The body of a request, and whether all of it has been read."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self.is_read = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        """Return the next message."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.is_read = True
        return message

    async def drain(self) -> None:
        """Read and drop the rest, for at most `DRAIN_S` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self.is_read:
                    await self.receive()
