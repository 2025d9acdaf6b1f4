"""Requests beyond the limits, hostile photos, slow clients; the server answers good photos afterwards."""

import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from evaluation.localization.localize import Localizer
from tests.serve.client import Client, Parts, encoded, form_of, photo_of, wait_until
from tests.serve.conftest import holding, running


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG that states a size and has no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + photo_of("red")[33:]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8))
HOSTILE = {
    "empty": (b"", "The photo is empty (0 bytes)"),
    "HTML": (b"<!DOCTYPE html><script>alert(1)</script>", "Not an image, or not in a format that is read: JPEG, PNG"),
    "truncated PNG": (photo_of("red", (300, 300))[:-200], "The photo is damaged or incomplete"),
    "truncated JPEG": (encoded(NOISE, "JPEG")[:40_000], "The photo is damaged or incomplete"),
    "other format": (encoded(Image.new("RGB", (50, 50)), "BMP"), "Not an image, or not in a format that is read"),
    "EPS, which Ghostscript would run": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "Not an image"),
    "too many bytes": (encoded(NOISE) + b"\0", "bytes, but 1 MB are allowed"),
    "too many pixels": (encoded(Image.new("L", (1100, 1000))), "1 million are allowed, not 1,100 x 1,000"),
    "bomb": (png_of_size(60_000, 60_000), "The photo has too many pixels: 1 million are allowed"),
    "elongated": (encoded(Image.new("L", (1000, 20))), "one side may be at most 10 times the other"),
}


@pytest.mark.parametrize(("photo", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_photos_get_a_reason(client: Client, photo: bytes, message: str) -> None:
    answer = client.send_form([("a.jpg", photo)])
    assert answer.status == 422
    assert message in answer.json["error"]
    assert answer.json["error"] == answer.json["photos"][0]["error"]
    good = client.send_form([("bad", photo), ("good", photo_of("red"))])
    assert good.status == 200
    assert good.json["photos"][1]["matches"][0]["image"] == 0


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{}", "application/json", 415, "Send photos as files of multipart/form-data, or one photo as image/jpeg"),
        (b"photo", "", 415, "Send photos as files"),
        (form_of([]), "multipart/form-data; boundary=border", 400, "The form has no file"),
        (form_of([("a", b"b")])[:-6], "multipart/form-data; boundary=border", 400, "its last boundary is missing"),
        (form_of([("a", b"b")]), "multipart/form-data", 400, "without a boundary"),
        (form_of([("a", b"b")]), "multipart/form-data; boundary=other", 400, "its last boundary is missing"),
        (form_of([("a", b"b")] * 5), "multipart/form-data; boundary=border", 413, "5 photos in a request, but 4 are"),
        (b"a" * 4_010_000, "multipart/form-data; boundary=x", 413, "4,010,000 bytes, but 4,008,000 are allowed: 4 ph"),
        (b"a" * 1_010_000, "image/jpeg", 413, "1,010,000 bytes, but 1,002,000 are allowed: a photo of 1 MB"),
        (b"--x" + b"\r\n--x" * 200 + b"--", "multipart/form-data; boundary=x", 413, "has more than 104 parts"),
        (b"--x" + b"\r\na: b" * 999 + b"\r\n--x--", "multipart/form-data; boundary=x", 400, "headers of more than 2,0"),
    ],
)
def test_wrong_requests_get_a_reason(client: Client, content: bytes, kind: str, status: int, message: str) -> None:
    answer = client.send(content, kind)
    assert answer.status == status
    assert message in answer.json["error"]
    assert client.send(photo_of("red")).status == 200


@pytest.mark.parametrize("query", ["?top=0", "?top=21", "?top=x", "?min_certainty=2", "?format=xml"])
def test_wrong_parameters_are_named(client: Client, query: str) -> None:
    answer = client.send(photo_of("red"), query=query)
    assert answer.status == 400
    assert answer.json["error"].startswith(query[1:].split("=")[0])


def test_a_body_of_unknown_length_is_refused(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), 20) as connection:
        connection.sendall(b"POST /api/localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
        assert b" 411 " in connection.recv(4096).splitlines()[0]


def test_errors_of_the_network_spare_other_photos(
    client: Client, localizer: Localizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, narrow = localizer.search, (3, 90, 48)

    def fails_on_narrow(photos: list[Tensor]) -> object:
        if any(tuple(photo.shape) == narrow for photo in photos):
            raise ValueError(f"secret {narrow}")
        return search(photos)

    monkeypatch.setattr(localizer, "search", fails_on_narrow)
    answer = client.send_form([("a", photo_of("red")), ("b", photo_of("red", (48, 90))), ("c", photo_of("blue"))])
    photos = answer.json["photos"]
    assert [photo["error"] for photo in photos][::2] == [None, None]
    assert photos[1]["error"] == "The photo cannot be localized; the server's log has the reason"
    assert b"secret" not in answer.content


def test_a_full_queue_answers_429(localizer: Localizer, monkeypatch: pytest.MonkeyPatch) -> None:
    photos: Parts = [("a", photo_of("red")), ("b", photo_of("green"))]
    with (
        holding(localizer, monkeypatch) as (started, released),
        running(localizer, queue=2) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        first = threads.submit(client.send_form, photos)
        assert started.wait(20)
        refused = client.send(photo_of("red"))
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json == {"error": "Too many photos are waiting. Try again"}
        assert client.get("/healthz").status == 200
        released.set()
        assert first.result().status == 200
        assert client.send(photo_of("red")).status == 200


def test_bytes_in_memory_are_bounded(localizer: Localizer) -> None:
    with running(localizer, photos=1, megabytes=1) as client:
        connections = [start_request(client, 1_000_000, 999_999) for _ in range(40)]
        wait_until(lambda: client.service.held_bytes.taken > 30_900_000)
        assert client.service.held_bytes.taken <= 32_000_000
        assert client.send(photo_of("red") + bytes(1_001_000)).status == 429
        for connection in connections:
            connection.close()
        wait_until(lambda: client.service.held_bytes.taken == 0)
        assert client.send(photo_of("red")).status == 200


def test_a_stated_length_takes_no_room(localizer: Localizer) -> None:
    with running(localizer, photos=1, megabytes=1) as client:
        connections = [start_request(client, 1_000_000) for _ in range(40)]
        wait_until(lambda: client.service.held_bytes.taken == 40)
        assert client.send(photo_of("red")).status == 200
        for connection in connections:
            connection.close()


def start_request(client: Client, length: int, sent: int = 1) -> socket.socket:
    """Send the head of a request and some bytes of its body."""
    connection = socket.create_connection(("127.0.0.1", client.port), 20)
    head = f"POST /api/localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {length}"
    connection.sendall(f"{head}\r\n\r\n".encode() + bytes(sent))
    return connection


def test_slow_clients_are_cut_off(localizer: Localizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.run_server.HEAD_S", 0.5)
    with running(localizer, seconds=1) as client:
        with start_request(client, 1000) as slow:
            answer = b"".join(iter(lambda: slow.recv(4096), b"")).decode()
            assert " 408 " in answer.splitlines()[0]
            assert '"The request did not arrive within 1 seconds"' in answer
            assert client.send(photo_of("red")).status == 200
        with socket.create_connection(("127.0.0.1", client.port), 20) as silent:
            silent.sendall(b"POST /api")
            assert silent.recv(4096) == b"", "closed"


def test_connections_beyond_the_limit_get_a_reason(localizer: Localizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.run_server.MAX_CONNECTIONS", 1)
    with running(localizer) as client:
        with start_request(client, 1000):
            wait_until(lambda: client.service.held_bytes.taken == 1)
            answer = client.get("/healthz")
            assert (answer.status, answer.json) == (503, {"error": "Too many connections. Try again"})
            assert answer.headers["retry-after"] == "1"
        wait_until(lambda: client.get("/healthz").status == 200)


def test_senders_that_leave_and_a_stop_leave_no_traceback(
    localizer: Localizer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.run_server.GRACE_S", 0.1)
    with running(localizer) as client:
        start_request(client, 1000).close()
        stuck = start_request(client, 1000)
        wait_until(lambda: client.service.held_bytes.taken == 1)
    with stuck:
        answer = b"".join(iter(lambda: stuck.recv(4096), b""))
    assert b" 503 " in answer.splitlines()[0]
    assert b"The server was stopped before" in answer
    assert "Traceback" not in capfd.readouterr().err


def test_work_beyond_the_time_answers_503(localizer: Localizer, monkeypatch: pytest.MonkeyPatch) -> None:
    with holding(localizer, monkeypatch) as (_, released), running(localizer, seconds=1) as client:
        answer = client.send(photo_of("red"))
        assert answer.status == 503
        assert answer.json == {"error": "Not localized within 1 seconds. Try again"}
        released.set()
        assert client.send(photo_of("red")).status == 200
