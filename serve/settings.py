"""Settings of the server and its limits, with their flags. Imports neither fastapi nor torch."""

import argparse
import contextlib
import errno
import importlib.util
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from data_manifest.command_line.command_parser import at_least_one
from data_manifest.errors import UserError

PACKAGES = ("fastapi", "uvicorn")
INSTALL = "pip install 'cosplace-pipeline[serve]'"
LOCALHOST = "127.0.0.1"
TOKEN_VARIABLE = "COSPLACE_TOKEN"
MIN_TOKEN = 16  # characters
MAX_PORT = 65_535
MB = 1_000_000
HELD_PHOTOS = 32  # photos of the largest size that fit in memory
TILES_EXAMPLE = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
_TILES = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/?&=%+@{}-]*")  # its origin goes into a header


@dataclass(frozen=True)
class Limits:
    """Limits of a request."""

    photos: int = 16  # per request
    megabytes: int = 20  # per photo
    megapixels: int = 80  # per photo
    queue: int = 64  # photos that wait or are being localized
    seconds: int = 30  # to receive a request, and to answer it

    @property
    def photo_bytes(self) -> int:
        """The largest photo, in bytes."""
        return self.megabytes * MB

    @property
    def held_bytes(self) -> int:
        """The most bytes of requests in memory, enough for the largest request."""
        return max(self.photos, HELD_PHOTOS) * self.photo_bytes


@dataclass(frozen=True)
class Tiles:
    """A tile server, and its credit on the map."""

    url: str  # with {z}, {x} and {y}
    attribution: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @classmethod
    def of(cls, url: str | None, attribution: str | None) -> Self | None:
        """Return the tile server of the flags; None without --tiles.

        Raises:
            UserError: The address is invalid, or missing.
        """
        if url is None:
            if attribution is not None:
                raise UserError(f"--tiles-attribution {attribution}: no effect without --tiles")
            return None
        placeholders = sorted(re.findall(r"{[^{}]*}|[{}]", url))
        if not _TILES.fullmatch(url) or placeholders != ["{x}", "{y}", "{z}"]:
            raise UserError(f"--tiles {url}: must be an address with {{z}}, {{x}} and {{y}}, as in {TILES_EXAMPLE}")
        if url.startswith("http:") and not is_local(urlsplit(url).hostname or ""):
            raise UserError(f"--tiles {url}: must begin with https://, unless the tile server is on this machine")
        return cls(url, attribution or "")


@dataclass(frozen=True)
class ServerSettings:
    """Address, token, limits and tiles of the server."""

    host: str = LOCALHOST
    port: int = 8000  # 0: any free port
    token: str | None = None  # required of requests
    limits: Limits = Limits()
    tiles: Tiles | None = None
    watch: bool = False  # reload when a database or the model moves

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return the settings of the flags.

        Raises:
            UserError: A package is missing, port or tiles are invalid, or the server is open to other machines
                without a token.
        """
        if missing := missing_packages():
            raise UserError(f"cosplace serve needs the packages {', '.join(missing)}: {INSTALL}")
        if not 0 <= options.port <= MAX_PORT:
            raise UserError(f"--port {options.port}: must be from 0 (any free port) to {MAX_PORT:,}")
        token = os.environ.get(TOKEN_VARIABLE) or None if options.token is None else options.token
        if token is None and not is_local(options.host):
            raise UserError(
                f"--host {options.host}: other machines can reach it. Pass --token, or set {TOKEN_VARIABLE}, "
                f"to at least {MIN_TOKEN} characters that are hard to guess"
            )
        if token is not None and not (len(token) >= MIN_TOKEN and token.isascii() and token.isprintable()):
            raise UserError(f"--token: must be at least {MIN_TOKEN} characters of ASCII, not {len(token)}")
        names = {"photos": "max_photos", "megabytes": "max_megabytes", "megapixels": "max_megapixels"}
        limits = {field: getattr(options, names.get(field, field)) for field in Limits.__dataclass_fields__}
        tiles = Tiles.of(options.tiles, options.tiles_attribution)
        return cls(options.host, options.port, token, Limits(**limits), tiles, options.watch)


def missing_packages() -> list[str]:
    """Return the packages of the extra `serve` that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the server."""
    add = parser.add_argument
    text = "address to listen on; addresses that other machines can reach need --token [%(default)s]"
    add("--host", default=LOCALHOST, metavar="TEXT", help=text)
    port = ServerSettings.port
    add("--port", type=int, default=port, metavar="N", help="port to listen on; 0: any free port [%(default)s]")
    text = f"text that requests must carry as `Authorization: Bearer TOKEN`; by default from {TOKEN_VARIABLE}"
    add("--token", metavar="TEXT", help=text)
    text = "reload when `current` of the model or a database moves, or the model's file changes; SIGHUP always reloads"
    add("--watch", action="store_true", help=text)
    text = f"tile server of a street map, such as {TILES_EXAMPLE}; the page loads nothing from other hosts"
    add("--tiles", metavar="URL", help=text)
    add("--tiles-attribution", metavar="TEXT", help="credit for the tiles, shown on the map")
    helps = {
        "--max-photos": (Limits.photos, "photos per request"),
        "--max-megabytes": (Limits.megabytes, "size of a photo in MB"),
        "--max-megapixels": (Limits.megapixels, "size of a photo in millions of pixels"),
        "--queue": (Limits.queue, "photos that may wait; further requests get the status 429"),
        "--seconds": (Limits.seconds, "time to receive a request, and to answer it"),
    }
    for flag, (default, text) in helps.items():
        add(flag, type=at_least_one, default=default, metavar="N", help=f"{text} [%(default)s]")


def is_local(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # another name
        return False


def listen(settings: ServerSettings) -> socket.socket:
    """Return a socket bound to the host and port. It refuses connections until the server runs.

    Raises:
        UserError: The port is in use or not permitted, or the host is not an address of this machine.
    """
    with contextlib.ExitStack() as on_error:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            bound = on_error.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            raise _not_bound(settings, error) from error
        on_error.pop_all()
    return bound


def _not_bound(settings: ServerSettings, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(f"--port {settings.port}: already in use on {settings.host}. Pass another --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"--port {settings.port}: not permitted. Pass a --port from 1024")
    return UserError(f"--host {settings.host}: not an address of this machine ({error.strerror})")
