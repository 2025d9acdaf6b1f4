"""Training images of all kinds: complete and upright, or an error."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image, ImageOps

from data_manifest.errors import UserError
from evaluation.descriptors.open_image import open_image
from tests.helpers import read_image
from training.data.image_files import UnreadableImageError

Factors = tuple[tuple[int, int], ...]
NAMELESS, FOUR_FOUR_ONE = ((2, 2), (2, 1), (1, 2)), ((1, 4), (1, 1), (1, 1))
ODD: tuple[Factors, ...] = (NAMELESS, FOUR_FOUR_ONE, ((4, 2), (1, 1), (1, 1)), ((3, 1), (1, 1), (1, 1)))


def _picture(width: int = 72, height: int = 52) -> Image.Image:
    """Return a colour gradient with a different value in each corner."""
    east, south = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([east, south, 255 - (east + south) / 2], axis=-1).astype(np.uint8))


def _jpeg(image: Image.Image, factors: Factors) -> bytes:
    """Return a JPEG with unusual chroma subsampling, assembled from the scans of three grey JPEGs."""
    most = [max(each[axis] for each in factors) for axis in (0, 1)]
    header, scans = b"", b""
    for number, (plane, own) in enumerate(zip(image.convert("YCbCr").split(), factors, strict=True), 1):
        size = [-(-side * factor // all_of) for side, factor, all_of in zip(image.size, own, most, strict=True)]
        buffer = io.BytesIO()
        plane.resize((size[0], size[1]), Image.Resampling.BOX).save(buffer, "JPEG", quality=95)
        header, _, scan = buffer.getvalue().partition(b"\xff\xda")
        scans += b"\xff\xda\x00\x08\x01" + bytes([number]) + scan[4:].removesuffix(b"\xff\xd9")
    before, frame, after = header.partition(b"\xff\xc0")
    components = b"".join(bytes([number, 16 * x + y, 0]) for number, (x, y) in enumerate(factors, 1))
    sizes = b"\x00\x11\x08" + image.height.to_bytes(2, "big") + image.width.to_bytes(2, "big") + b"\x03"
    return before + frame + sizes + components + after[11:] + scans + b"\xff\xd9"


def _pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


@pytest.mark.parametrize("factors", ODD)
def test_reads_unusual_chroma_subsampling(tmp_path: Path, factors: Factors) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(_jpeg(_picture(), factors))
    assert path.read_bytes()[2:].count(b"\xff\xda") == 3
    read = read_image(path).int()
    assert (read - _pixels(_picture()).int()).abs().float().mean() < 4
    assert torch.equal(read, _pixels(open_image(path)).int()) or factors == FOUR_FOUR_ONE


def test_simplejpeg_does_not_read_the_unusual_jpegs() -> None:
    for factors in ODD:
        with pytest.raises((KeyError, ValueError), match=r"6|subsampling"):
            simplejpeg.decode_jpeg_header(_jpeg(_picture(), factors))


def _save(path: Path) -> bytes:
    Image.effect_noise((64, 64), 80).convert("RGB").save(path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_truncated_image_is_unreadable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"image.{kind}"
    content = _save(path)
    half = len(content) // 2
    for broken in (content[:half], content[:half] + bytes(half), content[:half] + content[-2:], b""):
        path.write_bytes(broken)
        with pytest.raises(UnreadableImageError):
            read_image(path)


@pytest.mark.parametrize("factors", [NAMELESS, FOUR_FOUR_ONE])
def test_truncated_unusual_jpeg_is_unreadable(tmp_path: Path, factors: Factors) -> None:
    content = _jpeg(_picture(), factors)
    for left in (len(content) // 2, len(content) - 40, len(content) - 2):
        (tmp_path / "image.jpg").write_bytes(content[:left])
        with pytest.raises(UnreadableImageError):
            read_image(tmp_path / "image.jpg")


def test_damaged_sampling_factors_are_unreadable(tmp_path: Path) -> None:
    content = bytearray(_jpeg(_picture(), ((1, 1), (1, 1), (1, 1))))
    content[content.index(b"\xff\xc0") + 11] = 0x14  # two flipped bits of its sampling factors
    (tmp_path / "image.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match="Corrupt JPEG data"):
        read_image(tmp_path / "image.jpg")


def test_jpeg_pixels_equal_pillows(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(_save(path) + b"appended, as phones do")
    for mode in ("RGB", "L", "CMYK"):
        with Image.open(path) as image:
            image.convert(mode).save(tmp_path / f"{mode}.jpg")
        with Image.open(tmp_path / f"{mode}.jpg") as image:
            expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        assert torch.equal(read_image(tmp_path / f"{mode}.jpg"), expected)


def test_too_many_open_files_is_not_a_bad_image(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    error = None
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        read_image(tmp_path / "image.jpg")
    except Exception as raised:  # pytest needs files itself
        error = raised
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(error, UserError)
    assert str(error).startswith(f"Cannot read {tmp_path}/image.jpg: Too many open files.")


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_training_and_evaluation_apply_the_orientation(tmp_path: Path, kind: str) -> None:
    for orientation in range(1, 9):
        path, exif = tmp_path / f"{orientation}.{kind}", Image.Exif()
        exif[0x0112] = orientation
        _picture().save(path, exif=exif, lossless=True)  # only WebP uses `lossless`
        with Image.open(path) as image:
            expected = _pixels(ImageOps.exif_transpose(image))
        assert (expected.shape == (3, 72, 52)) == (orientation > 4)
        assert torch.equal(read_image(path), expected)
        assert torch.equal(_pixels(open_image(path)), expected)


def test_applies_the_orientation_in_xmp(tmp_path: Path) -> None:
    _picture().save(tmp_path / "a.jpg", xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>')
    assert read_image(tmp_path / "a.jpg").shape == (3, 72, 52)
    assert open_image(tmp_path / "a.jpg").size == (52, 72)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_ignores_broken_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for left in range(6, len(exif.tobytes()) - 4):
        _picture().save(tmp_path / "a.jpg", exif=exif.tobytes()[:left])
        assert read_image(tmp_path / "a.jpg").shape == (3, 52, 72), left
        assert open_image(tmp_path / "a.jpg").size == (72, 52), left


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_per_sample_become_eight(tmp_path: Path, order: str) -> None:
    deep = np.arange(0, 65536, 37, dtype=np.uint16)[:1750].reshape(35, 50)
    Image.fromarray(deep.astype(f"{order}u2")).save(tmp_path / "a.tif")
    expected = torch.from_numpy((deep // 256).astype(np.uint8)).expand(3, -1, -1)
    assert torch.equal(read_image(tmp_path / "a.tif"), expected)
    assert torch.equal(_pixels(open_image(tmp_path / "a.tif", "L")), expected)


def test_grey_images_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (30, 20), 90).save(tmp_path / "image.jpg")
    pixels = read_image(tmp_path / "image.jpg")
    assert pixels.shape == (3, 20, 30)
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels, torch.full_like(pixels, 90))
