"""A client of a server, and the photos that it sends."""

import http.client
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from tests.evaluation.conftest import COLOURS, pattern

TOKEN = "a token of 24 characters"
Parts = list[tuple[str, bytes]]


@dataclass
class Answer:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Client:
    """Sends requests to a server."""

    port: int

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, **headers)

    def picture(self, number: int | str) -> str:
        """Return the address of an image of the first database."""
        return f"/api/images/{self.get('/api/database').json['digest']}/{number}"

    def send(self, photo: bytes, kind: str = "image/png", query: str = "", **headers: str) -> Answer:
        return self.request("POST", f"/api/localize{query}", photo, Content_Type=kind, **headers)

    def send_form(self, photos: Parts, query: str = "") -> Answer:
        return self.send(form_of(photos), "multipart/form-data; boundary=border", query)


def form_of(photos: Parts) -> bytes:
    parts = [
        f'--border\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'.encode()
        + photo
        + b"\r\n"
        for name, photo in photos
    ]
    return b"".join([*parts, b"--border--\r\n"])


def wait_until(is_met: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_met():
            return
        time.sleep(0.05)
    raise AssertionError


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def photo_of(colour: str, size: tuple[int, int] = (64, 48), form: str = "PNG") -> bytes:
    return encoded(pattern(COLOURS[colour], size), form)


def with_gps(gps: Mapping[int, object], colour: str = "blue", form: str = "JPEG") -> bytes:
    """Return a photo whose EXIF has the tags of a position."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    return encoded(pattern(COLOURS[colour], (64, 48)), form, quality=95, exif=exif)
