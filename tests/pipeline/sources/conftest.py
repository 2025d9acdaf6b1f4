"""Photos with any EXIF and XMP, byte by byte since libraries refuse to write what some cameras do, and tables."""

import io
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings

# A value is ASCII (text), rational numbers (tuple of pairs), signed ones (list of pairs), or bytes of no kind.
Value = str | bytes | tuple[tuple[int, int], ...] | list[tuple[int, int]]
MakePhoto = Callable[..., Path]
Build = Callable[..., Path]


def _packed(value: Value) -> tuple[int, int, bytes]:
    """The TIFF type, the count and the bytes of a value."""
    if isinstance(value, str):
        text = value.encode("latin-1") + b"\0"
        return 2, len(text), text
    if isinstance(value, bytes):
        return 7, len(value), value
    kind, form = (5, "<II") if isinstance(value, tuple) else (10, "<ii")
    return kind, len(value), b"".join(struct.pack(form, *pair) for pair in value)


def _directory(entries: Mapping[int, Value], begin: int, pointers: Mapping[int, int]) -> bytes:
    """A TIFF directory that begins so many bytes into the block, with its values behind it."""
    head, data = b"", b""
    behind = begin + 2 + 12 * (len(entries) + len(pointers)) + 4
    for tag in sorted((*entries, *pointers)):
        if tag in pointers:
            head += struct.pack("<HHII", tag, 4, 1, pointers[tag])
            continue
        kind, count, content = _packed(entries[tag])
        inside = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", behind + len(data))
        data += b"" if len(content) <= 4 else content + b"\0" * (len(content) % 2)
        head += struct.pack("<HHI", tag, kind, count) + inside
    return struct.pack("<H", len(entries) + len(pointers)) + head + b"\0\0\0\0" + data


def _segment(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


@pytest.fixture
def make_photo() -> MakePhoto:
    """Write a JPEG with the given tags of the GPS and the camera directory of EXIF, and with XMP."""

    def make_photo(
        path: Path,
        gps: Mapping[int, Value] | None = None,
        camera: Mapping[int, Value] | None = None,
        xmp: str = "",
        image: Image.Image | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        (image or Image.new("RGB", (30, 20))).save(content, "JPEG", quality=95, subsampling=0)
        of_gps, length = _directory(gps or {}, 38, {}), 38  # behind the first directory, of two pointers
        of_camera = _directory(camera or {}, length + len(of_gps), {})
        first = _directory({}, 8, {0x8825: length, 0x8769: length + len(of_gps)})
        tiff = b"II*\0" + struct.pack("<I", 8) + first + of_gps + of_camera
        segments = _segment(b"Exif\0\0" + tiff)
        segments += _segment(b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode()) if xmp else b""
        jpeg = content.getvalue()
        path.write_bytes(jpeg[:2] + segments + jpeg[2:])
        return path

    return make_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a/1.jpg", "a/2.jpg", "b/3.JPG", "b/4.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


@pytest.fixture
def build(photos: Path, tmp_path: Path) -> Build:
    """Build a manifest of the photos from a table given as CSV text."""

    def build(text: str | bytes, strict: bool = True, **options: Any) -> Path:
        table = tmp_path / "photos.csv"
        table.write_bytes(text if isinstance(text, bytes) else text.encode())
        source = make_source(SourceSettings(source="table", table=table, **options))
        return build_manifest(photos, tmp_path / "A", source=source, strict=strict)

    return build
