"""Hostile uploads: truncated, bombs, HTML, 0 bytes, 200 MB, wrong types, slow clients."""

import contextlib
import http.client
import random
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from serve_process import Server, send_photos

CLIENTS, GOOD_CLIENTS = 16, 2
HUGE = 200_000_000
RARE = 5  # huge uploads and slow clients are 5 times rarer than others
SLOW_S = 40.0  # longer than the server waits
CLOSED = "connection closed"
FORM = "multipart/form-data; boundary=x"
Send = Callable[[Server], str]


def attack(server: Server, good: bytes, count: int) -> tuple[Counter[tuple[str, str]], int, list[float], list[int]]:
    """Send hostile uploads and, at the same time, good photos.

    Returns:
        The number of uploads by kind and answer, the most bytes in memory, the seconds of the good photos that were
        localized, and the statuses of those that were not.
    """
    kinds = hostile(good)
    chosen = random.Random(0).choices(
        list(kinds), [1 / RARE if kind.startswith(("200", "stops")) else 1 for kind in kinds], k=count
    )
    answers: Counter[tuple[str, str]] = Counter()
    is_over, peak = threading.Event(), server.resident()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.2):
            peak = max(peak, server.resident())

    def attack_once(kind: str) -> None:
        answers[kind, kinds[kind](server)] += 1

    with ThreadPoolExecutor(CLIENTS + 2) as threads:
        watcher = threads.submit(watch)
        sent = threads.submit(send_photos, server, [good], GOOD_CLIENTS, lambda _: is_over.is_set())
        attacks = [threads.submit(attack_once, kind) for kind in chosen]
        for each in attacks:
            each.result()
        is_over.set()
        watcher.result()
    return answers, peak, sent.result().times, sent.result().refused


def hostile(good: bytes) -> dict[str, Send]:
    """Return functions that send an upload, by its kind; each returns the status, or that there was none."""
    bodies: dict[str, tuple[bytes, str]] = {
        "0 bytes": (b"", "image/jpeg"),
        "HTML": (b"<!DOCTYPE html><script>alert(1)</script>" * 50, "image/jpeg"),
        "truncated JPEG": (good[: len(good) // 2], "image/jpeg"),
        "JPEG with zeros inside": (good[:1000] + bytes(len(good) - 1000), "image/jpeg"),
        "bomb of 60,000 x 60,000": (bomb(60_000, 60_000, 1), "image/png"),
        "truncated bomb of 9,000 x 8,000": (bomb(9_000, 8_000, 72_000_000), "image/png"),
        "1 x 60,000 pixels": (bomb(1, 60_000, 60_000), "image/png"),
        "random bytes": (random.Random(1).randbytes(100_000), "application/octet-stream"),
        "JSON": (b'{"photo": "no"}', "application/json"),
        "form without its end": (b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\n' + good, FORM),
        "form of 100 photos": (form([b"x"] * 100), FORM),
        "form of 2 million parts": (b"--x" + b"\r\n--x" * 2_000_000 + b"--\r\n", FORM),
        "form with a head of 10 MB": (b"--x\r\n" + b"A: b\r\n" * 1_700_000 + b"\r\n--x--\r\n", FORM),
        "200 MB": (bytes(HUGE), "image/jpeg"),
        "200 MB in a form": (form([bytes(HUGE)]), FORM),
    }
    sends: dict[str, Send] = {
        kind: lambda server, body=body, kind=content_type: _post(server, body, kind)  # type: ignore[misc]
        for kind, (body, content_type) in bodies.items()
    }
    head = b"POST /api/localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 20000000\r\n"
    sends["stops in the head"] = lambda server: _stall(server, head[:40])
    sends["stops in the photo"] = lambda server: _stall(server, head + b"\r\n" + good[:1000])
    sends["not HTTP"] = lambda server: _stall(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    return sends


def form(photos: Sequence[bytes]) -> bytes:
    """Return a form with photos."""
    head = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
    return b"".join([*(head + photo + b"\r\n" for photo in photos), b"--x--\r\n"])


def bomb(width: int, height: int, zeros: int) -> bytes:
    """Return a PNG that states a size, with zeros as its compressed pixels."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(bytes(zeros), 9))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (*chunks, b"IEND")
    )


def _post(server: Server, body: bytes, kind: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        with contextlib.suppress(OSError):  # the answer may come before all is sent
            connection.request("POST", "/api/localize", body, {"Content-Type": kind})
        try:
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException):
            return CLOSED


def _stall(server: Server, sent: bytes) -> str:
    """Send some bytes and wait; return the status, or that there was none."""
    with socket.create_connection(("127.0.0.1", server.port), SLOW_S) as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(4096)
        except TimeoutError:
            return "no answer"
        except OSError:
            return CLOSED
        return answer.split()[1].decode() if answer else CLOSED
