"""A server of objects for tests: plain HTTP, and as much of S3 as reading, listing, writing and copying need."""

import hashlib
import http.server
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from data_manifest.images import object_store
from data_manifest.images.object_listing import list_objects
from tests.helpers import files_in

BUCKET = "bucket"
RESET, CUT_OFF = "reset", "cut off"  # failures besides status codes
PAGE = 3  # objects per answer of a listing


class ObjectServer(http.server.ThreadingHTTPServer):
    """Objects by key, and failures by key, or as in "GET a.jpg": each is the answer to one request, in order."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}  # seconds
        self.failures: dict[str, list[int | str]] = {}
        self.requests: Counter[tuple[str, str]] = Counter()  # by method and key
        self.with_etags = self.with_ranges = True
        self.delay_s = 0.0  # of each request
        self.most_at_once = self.at_once = self.bytes_sent = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, key: str, content: bytes, modified: float = 1_700_000_000) -> None:
        self.objects[key], self.modified[key] = content, modified

    def put_files(self, folder: Path, key: str, pattern: str = "*") -> None:
        """Put the matching files below a folder below a key."""
        for path, content in files_in(folder, pattern).items():
            self.put(f"{key}/{path}", content)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: clients may go away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ObjectServer

    def log_message(self, *args: Any) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        source = unquote(self.headers.get("x-amz-copy-source", "")).removeprefix(BUCKET).strip("/")
        with self.server.lock:
            self.server.requests[self.command, key] += 1
            failures = self.server.failures.get(key, [])
            failure = failures.pop(0) if failures else None
        if isinstance(failure, int) or (source and source not in self.server.objects):
            self._answer(failure if isinstance(failure, int) else 404, b"")
            return
        content = self.server.objects[source] if source else body
        self.server.put(key, content)
        result = f"<CopyObjectResult><ETag>{escape(_etag(content))}</ETag></CopyObjectResult>" if source else ""
        self._answer(200, result.encode(), {"ETag": _etag(content)})

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.delay_s)
        with self.server.lock:
            self.server.at_once -= 1  # before the answer: its client may send the next request at once
        self._respond()

    def _respond(self) -> None:
        url = urlsplit(self.path)
        key, query = unquote(url.path).removeprefix(f"/{BUCKET}").strip("/"), parse_qs(url.query)
        with self.server.lock:
            self.server.requests[self.command, key] += 1
            failures = self.server.failures.get(f"{self.command} {key}", self.server.failures.get(key, []))
            failure = failures.pop(0) if failures else None
        if failure == RESET:
            linger = struct.pack("ii", 1, 0)  # closing sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif isinstance(failure, int):
            self._answer(failure, b"")
        elif "list-type" in query:
            self._answer(200, self._list(query))
        elif key not in self.server.objects:
            self._answer(404, b"")
        else:
            self._send_object(key, cut_off=failure == CUT_OFF)

    def _send_object(self, key: str, cut_off: bool) -> None:
        content = self.server.objects[key]
        headers = {"Last-Modified": formatdate(self.server.modified[key], usegmt=True)}
        if self.server.with_etags:
            headers["ETag"] = _etag(content)
        status = 200
        if self.headers.get("If-Match") not in (None, _etag(content)):
            return self._answer(412, b"")
        if self.server.with_ranges and (wanted := self.headers.get("Range")):
            begin, end = wanted.removeprefix("bytes=").split("-")
            if int(begin) >= len(content):
                return self._answer(416, b"")
            content, total = content[int(begin) : int(end or len(content)) + 1], len(content)
            headers["Content-Range"] = f"bytes {begin}-{int(begin) + len(content) - 1}/{total}"
            status = 206
        return self._answer(status, content, headers, len(content) // 2 if cut_off else None)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with self.server.lock:
                self.server.bytes_sent += len(body[:sent])
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
        if sent is not None:
            self.close_connection = True

    def _list(self, query: dict[str, list[str]]) -> bytes:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = [key for key in sorted(self.server.objects) if key.startswith(prefix) and key > after]
        page, more = keys[:PAGE], len(keys) > PAGE
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[key])}</Size>"
            f"<LastModified>{_iso(self.server.modified[key])}</LastModified>"
            f"<ETag>{escape(_etag(self.server.objects[key]))}</ETag></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        is_truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return f"<ListBucketResult>{rows}{token}{is_truncated}</ListBucketResult>".encode()


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.123Z")


@contextmanager
def serving(port: int = 0, objects: Mapping[str, bytes] | None = None) -> Iterator[ObjectServer]:
    """Yield a running server, with objects from its first answer on."""
    server = ObjectServer(port)
    for key, content in (objects or {}).items():
        server.put(key, content)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def s3_server(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have s3:// lead to a server, without clients and listings of earlier tests."""
    variables = {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "very-secret", "REGION": "us-east-1", "ENDPOINT_URL": url}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for cached in (object_store._client, list_objects):
        cached.cache_clear()
    yield
    for cached in (object_store._client, list_objects):
        cached.cache_clear()
