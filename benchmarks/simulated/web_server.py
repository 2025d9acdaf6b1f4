"""A web server with 20 ms per request and 30 MB/s in total; also the GET and HEAD of S3.

Concurrent requests wait at the same time, and share the bandwidth.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

DELAY_S, RATE, SLICE = 0.02, 30e6, 2**16
BYTES_SENT = "/bytes-sent"


class Server:
    """Serves the files of a folder."""

    def __init__(self, folder: Path, rate: float) -> None:
        self.folder, self.rate, self.free_at, self.bytes_sent = folder, rate, 0.0, 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self.respond(head.decode(), writer)
        except (asyncio.IncompleteReadError, ConnectionError):  # the client is done
            writer.close()

    async def respond(self, head: str, writer: asyncio.StreamWriter) -> None:
        """Answer a request with a file, a part of it, or 404."""
        request, *lines = head.splitlines()
        method, target, _ = request.split()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path = unquote(urlsplit(target).path)
        if path == BYTES_SENT:
            return _send(writer, "200 OK", {}, str(self.bytes_sent).encode())
        await asyncio.sleep(DELAY_S)
        file = self.folder / path.strip("/")
        if not file.is_file():
            return _send(writer, "404 Not Found", {}, b"")
        state, wanted = file.stat(), headers.get("range")
        begin, end = _range(wanted, state.st_size) if wanted else (0, state.st_size)
        answer = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{state.st_mtime_ns:x}"',
            "Last-Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(state.st_mtime)),
            "Content-Length": str(end - begin),
        }
        if wanted:
            answer["Content-Range"] = f"bytes {begin}-{end - 1}/{state.st_size}"
        _send(writer, "206 Partial Content" if wanted else "200 OK", answer)
        if method == "GET":
            await self.send_file(file, begin, end, writer)

    async def send_file(self, file: Path, begin: int, end: int, writer: asyncio.StreamWriter) -> None:
        """Send a part of a file, no faster than the bandwidth allows."""
        with file.open("rb") as content:
            for offset in range(begin, end, SLICE):
                count = min(SLICE, end - offset)
                self.free_at = max(self.free_at, time.monotonic()) + count / self.rate
                await asyncio.sleep(self.free_at - time.monotonic())
                writer.write(os.pread(content.fileno(), count, offset))
                self.bytes_sent += count
                await writer.drain()


def _range(wanted: str, size: int) -> tuple[int, int]:
    """Return the first byte of a Range header, and the byte after its last."""
    begin, end = wanted.removeprefix("bytes=").split("-")
    return (int(begin), min(int(end) + 1, size) if end else size) if begin else (max(0, size - int(end)), size)


def _send(writer: asyncio.StreamWriter, status: str, headers: dict[str, str], body: bytes | None = None) -> None:
    """Send the head of an answer, and its body if that needs no bandwidth."""
    if body is not None:
        headers = {**headers, "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + (body or b""))


def run(folder: Path, rate: float, port: Connection) -> None:
    """Serve a folder until the process is terminated; send the port first."""
    with contextlib.suppress(PermissionError):
        os.nice(-20)  # another machine does not wait for a core of this one
    asyncio.run(_serve(folder, rate, port))


async def _serve(folder: Path, rate: float, port: Connection) -> None:
    server = await asyncio.start_server(Server(folder, rate).answer, "127.0.0.1", 0, backlog=256)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


@contextlib.contextmanager
def running(folder: Path, rate: float = RATE) -> Iterator[str]:
    """Run the server's process, with a bandwidth in bytes per second; yield its URL."""
    receiver, sender = Pipe(duplex=False)
    process = get_context("spawn").Process(target=partial(run, folder, rate, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()


def bytes_sent(url: str) -> int:
    """Return the bytes of files that the server has sent."""
    with urlopen(url + BYTES_SENT) as answer:
        return int(answer.read())
