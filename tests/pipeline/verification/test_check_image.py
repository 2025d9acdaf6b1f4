"""Single images, whole and damaged in every way that was thought of."""

import errno
import io
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from data_manifest.images import image_store
from data_manifest.images.image_store import FolderStore
from pipeline.verification.check_image import Checked, check_image
from pipeline.verification.settings import DECODE, HEADER, VerifySettings

CHECKS = (HEADER, DECODE)
EXIF_PHOTOS = sorted((Path(__file__).parents[4] / "shared" / "data" / "exif").glob("*/*.[jJ]*"))
Check = Callable[..., Checked]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def picture() -> Image.Image:
    """Something with edges and noise, so that all coefficients are used."""
    rng = np.random.default_rng(0)
    pixels = np.add.outer(np.arange(64), np.arange(96))[..., None] * [1, 2, 1] + rng.integers(0, 60, (64, 96, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def with_thumbnail() -> bytes:
    """A JPEG with another JPEG, end marker and all, in its header."""
    thumbnail = encoded(picture().resize((24, 16)), "JPEG")
    whole = encoded(picture(), "JPEG")
    segment = b"Exif\0\0" + thumbnail
    return whole[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + whole[2:]


WHOLE = {
    "baseline": encoded(picture(), "JPEG"),
    "progressive": encoded(picture(), "JPEG", progressive=True),
    "restarts": encoded(picture(), "JPEG", restart_marker_blocks=3),
    "all samples": encoded(picture(), "JPEG", subsampling=0),
    "grey": encoded(picture().convert("L"), "JPEG"),
    "cmyk": encoded(picture().convert("CMYK"), "JPEG"),
    "thumbnail": with_thumbnail(),
    "png": encoded(picture(), "PNG"),
    "palette": encoded(picture().quantize(), "PNG"),
}


def check_file(path: Path, *options: Any, **more: Any) -> Checked:
    for opened in FolderStore(path.parent).open([path.name]):
        return check_image(path.name, opened, *options, **more)
    raise AssertionError


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a content under a name."""

    def check(content: bytes, how: str = DECODE, name: str = "x.jpg", **options: Any) -> Checked:
        (tmp_path / name).write_bytes(content)
        return check_file(tmp_path / name, how, **options)

    return check


@pytest.mark.parametrize("how", CHECKS)
@pytest.mark.parametrize("kind", WHOLE)
def test_complete_image_is_ok_with_and_without_trailing_bytes(check: Check, kind: str, how: str) -> None:
    for more in (b"", b"\0" * 100, os.urandom(9000).replace(b"\xff", b"")):
        found = check(WHOLE[kind] + more, how)
        assert (found.status, found.width, found.height) == ("ok", 96, 64), found
        assert found.bytes == len(WHOLE[kind] + more)


@pytest.mark.parametrize("how", CHECKS)
@pytest.mark.parametrize("kind", WHOLE)
def test_every_truncation_is_found(check: Check, kind: str, how: str) -> None:
    content = WHOLE[kind]
    near = {*range(1, 60), *range(len(content) - 40, len(content))}
    for length in sorted(near | set(range(60, len(content), 37))):
        found = check(content[:length], how)
        assert found.status in ("truncated", "not an image"), (length, len(content), found)
        assert length < 8 or found.status == "truncated"


def test_missing_end_marker_is_found(check: Check) -> None:
    without_end = WHOLE["baseline"][:-2]
    assert check(without_end, HEADER).status == check(without_end).status == "truncated"


def flipped(content: bytes, seed: int) -> Iterator[bytes]:
    choose = random.Random(seed)
    for _ in range(200):
        changed, bit = bytearray(content), choose.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def test_flipped_bits_are_all_found_in_png_and_more_than_by_pillow_in_jpeg(check: Check) -> None:
    assert all(check(each).status != "ok" for each in flipped(WHOLE["png"], 1))
    found = [check(each).status != "ok" for each in flipped(WHOLE["baseline"], 2)]
    by_pillow = 0
    for each in flipped(WHOLE["baseline"], 2):
        try:
            Image.open(io.BytesIO(each)).load()
        except OSError:
            by_pillow += 1
    assert by_pillow < sum(found) < 200


@pytest.mark.parametrize(
    ("content", "name", "mode", "detail"),
    [
        (WHOLE["png"], "x.jpg", "RGB", "a PNG by its content"),
        (WHOLE["baseline"], "x.PNG", "RGB", "a JPEG by its content"),
        (WHOLE["cmyk"], "x.JPG", "CMYK", None),
        (WHOLE["palette"], "x.png", "P", None),
        (encoded(Image.new("I;16", (9, 7)), "PNG"), "x.png", "I;16", "16 bits per sample"),
        (encoded(picture(), "GIF", save_all=True, append_images=[picture().rotate(9)]), "x.jpg", "P",
         "a GIF by its content; 2 frames: only the first is used"),
        (encoded(picture(), "PNG", save_all=True, append_images=[picture().rotate(9)]), "x.png", "RGB",
         "2 frames: only the first is used"),
        (encoded(picture(), "WEBP"), "x.jpg", "RGB", "a WEBP by its content"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", CHECKS)
def test_detail_notes_unusual_properties(
    check: Check, how: str, content: bytes, name: str, mode: str, detail: str | None
) -> None:
    found = check(content, how, name)
    assert (found.status, found.mode, found.detail) == ("ok", mode, detail)


@pytest.mark.parametrize("orientation", [1, 6])
def test_detail_notes_exif_orientation(check: Check, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = check(encoded(picture(), "JPEG", exif=exif.tobytes()))
    expected = "EXIF orientation 6: stored rotated" if orientation == 6 else None
    assert (found.status, found.width, found.detail) == ("ok", 96, expected)


@pytest.mark.parametrize("how", CHECKS)
def test_files_that_are_not_images(check: Check, how: str, tmp_path: Path) -> None:
    assert check(b"", how).status == "zero bytes"
    page = check(b"<!DOCTYPE html><html>404</html>", how)
    assert (page.status, page.detail) == ("not an image", "begins with b'<!DOCTYPE ht'")
    assert check(b"\0" * 5000, how).status == "not an image"
    gone = check_file(tmp_path / "gone.jpg", how)
    assert (gone.status, gone.bytes, gone.width) == ("vanished", None, None)
    os.mkfifo(tmp_path / "pipe.jpg")
    assert check_file(tmp_path / "pipe.jpg", how).status == "not an image"
    (tmp_path / "folder.jpg").mkdir()
    assert check_file(tmp_path / "folder.jpg", how).status == "not an image"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_io_errors_are_raised(check: Check, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuses(*_: object) -> int:
        raise OSError(number, "refused")

    monkeypatch.setattr(image_store, "_open_without_blocking", refuses)
    with pytest.raises(OSError, match="refused"):
        check(WHOLE["baseline"])


@pytest.mark.parametrize("kind", ["baseline", "png"])
def test_decompression_bomb_is_not_decoded(check: Check, kind: str) -> None:
    few = VerifySettings(max_pixels=96 * 64 - 1)
    assert check(WHOLE[kind], settings=few).status == "decompression bomb"
    assert check(WHOLE[kind], settings=VerifySettings(max_pixels=96 * 64)).status == "ok"
    huge = bytearray(WHOLE["baseline"])
    frame = huge.index(b"\xff\xc0")
    huge[frame + 5 : frame + 9] = b"\xff\xdc" * 2
    assert check(bytes(huge), HEADER).status == "decompression bomb"


def test_expected_size_and_checksum(check: Check) -> None:
    content = WHOLE["grey"]
    assert check(content, settings=VerifySettings(expected_size="96 x 64")).status == "ok"
    assert check(content, settings=VerifySettings(expected_size="64x96")).detail == "96x64, not 64x96"
    assert check(content, HEADER, checksum="0" * 32).status == "checksum differs"


def test_arithmetic_jpeg_is_unsupported(check: Check) -> None:
    arithmetic = WHOLE["baseline"].replace(b"\xff\xc0", b"\xff\xc9", 1)
    assert check(arithmetic, HEADER).status == "unsupported"


def test_jpeg_with_subsampling_unknown_to_turbojpeg_is_decoded_by_pillow(check: Check) -> None:
    """Colours that are sampled more finely than brightness: seldom, and no damage."""
    odd = bytearray(WHOLE["all samples"])
    frame = odd.index(b"\xff\xc0")
    odd[frame + 14] = odd[frame + 17] = 0x12
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(bytes(odd), strict=True)
    Image.open(io.BytesIO(odd)).load()
    assert check(bytes(odd)).status == "ok"
    assert check(bytes(odd[:-300])).status == "truncated"


def test_header_check_reads_two_blocks(check: Check) -> None:
    large = encoded(Image.effect_noise((900, 900), 90).convert("RGB"), "JPEG", quality=95)
    found = check(large, HEADER)
    assert found.status == "ok"
    assert found.bytes_read <= 2 * 4096 < len(large) / 50


def test_length_of_the_first_png_chunk_of_pixels_is_checked_without_decoding(check: Check) -> None:
    longer = bytearray(WHOLE["png"])
    longer[longer.index(b"IDAT") - 4] = 1
    assert check(bytes(longer), HEADER).status == "truncated"


def test_any_exception_of_pillow_is_a_verdict(check: Check) -> None:
    """A TIFF with a second, empty directory makes Pillow raise TypeError."""
    tiff = bytearray(encoded(picture(), "TIFF"))
    directory = int.from_bytes(tiff[4:8], "little")
    end = directory + 2 + 12 * int.from_bytes(tiff[directory : directory + 2], "little")
    tiff[end : end + 4] = len(tiff).to_bytes(4, "little")
    tiff += bytes(6)  # an empty directory
    found = check(bytes(tiff), name="x.tif")
    assert (found.status, found.detail) == ("corrupt", "Missing dimensions")


@pytest.mark.skipif(not EXIF_PHOTOS, reason="../shared with real photos is not here")
def test_real_photos_complete_and_truncated(check: Check) -> None:
    for path in EXIF_PHOTOS:
        assert {check_file(path, how).status for how in CHECKS} == {"ok"}
        content = path.read_bytes()
        for share in (0.001, 0.01, 0.05, 0.5):
            assert check(content[: int(share * len(content))], HEADER).status == "truncated", (path, share)
