from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from data_manifest.errors import UserError
from evaluation.descriptors.images import ImageFiles
from evaluation.descriptors.open_image import open_image, resize_shorter_side


def test_pixels_are_bytes_channel_by_channel(tmp_path: Path) -> None:
    image = Image.new("RGB", (3, 2), (0, 0, 0))
    image.putpixel((2, 1), (255, 128, 51))
    image.save(tmp_path / "a.png")
    tensor = ImageFiles(tmp_path, pa.array(["a.png"]))[0]
    assert tensor.dtype == torch.uint8
    assert tensor.tolist() == [[[0, 0, 0], [0, 0, value]] for value in (255, 128, 51)]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (4, 4), (200, 200, 200)).convert(mode).save(tmp_path / "a.tiff")
    image = open_image(tmp_path / "a.tiff")
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == pytest.approx((200, 200, 200), abs=4)


@pytest.mark.parametrize(
    ("size", "resized"), [((640, 480), (682, 512)), ((480, 640), (512, 682)), ((64, 64), (512, 512))]
)
def test_shorter_side_is_resized_and_proportions_kept(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert resize_shorter_side(Image.new("RGB", size), 512).size == resized


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # a filter that skips pixels would see one colour of stripe alone
    shrunk = np.asarray(resize_shorter_side(Image.fromarray(stripes), 8))
    np.testing.assert_allclose(shrunk[:, 1:-1], 127.5, atol=10)


def test_images_keep_their_own_size_unless_asked(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    paths = pa.array(["a.png"])
    assert ImageFiles(tmp_path, paths)[0].shape == (3, 20, 30)
    assert ImageFiles(tmp_path, paths, shorter_side=10)[0].shape == (3, 10, 15)


def _truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "spoil", [lambda path: None, lambda path: path.write_bytes(b"no image"), Path.mkdir, _truncated]
)
def test_what_cannot_be_opened_is_named(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    spoil(tmp_path / "broken.jpg")
    with pytest.raises(UserError, match=r"broken\.jpg cannot be opened"):
        open_image(tmp_path / "broken.jpg")


def test_a_side_of_zero_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_size = 0"):
        ImageFiles(tmp_path, pa.array(["a.png"]), shorter_side=0)


def test_images_for_a_grayscale_network_have_one_channel(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), (255, 0, 0)).save(tmp_path / "a.png")
    grey = ImageFiles(tmp_path, pa.array(["a.png"]), mode="L")[0]
    assert grey.tolist() == [[[76] * 3] * 2]


def test_a_large_jpeg_is_decoded_smaller_only_when_asked_and_never_below_what_is_enough(tmp_path: Path) -> None:
    Image.new("RGB", (800, 600), (200, 100, 50)).save(tmp_path / "a.jpg")
    assert open_image(tmp_path / "a.jpg").size == (800, 600)
    assert open_image(tmp_path / "a.jpg", enough=250).size == (400, 300)
    assert open_image(tmp_path / "a.jpg", enough=301).size == (800, 600)
    assert open_image(tmp_path / "a.jpg", enough=75).getpixel((50, 50)) == pytest.approx((200, 100, 50), abs=4)
    Image.new("RGB", (800, 600)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png", enough=75).size == (800, 600)
