from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from evaluation.descriptors.image_dataset import ImageDataset
from evaluation.descriptors.open_image import SizeRule, open_image, resize


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (4, 4), (200, 200, 200)).convert(mode).save(tmp_path / "a.tiff")
    image = open_image(tmp_path / "a.tiff")
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == pytest.approx((200, 200, 200), abs=4)


@pytest.mark.parametrize(
    ("size", "resized"), [((640, 480), (682, 512)), ((480, 640), (512, 682)), ((64, 64), (512, 512))]
)
def test_the_shorter_side_is_resized_and_proportions_kept(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert resize(Image.new("RGB", size), 512).size == resized


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # a filter that skips pixels would only see one colour
    shrunk = np.asarray(resize(Image.fromarray(stripes), 8))
    np.testing.assert_allclose(shrunk[:, 1:-1], 127.5, atol=10)


def _truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "damage", [lambda path: None, lambda path: path.write_bytes(b"no image"), Path.mkdir, _truncated]
)
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    damage(tmp_path / "broken.jpg")
    with pytest.raises(UserError, match=r"broken\.jpg cannot be opened") as error:
        open_image(tmp_path / "broken.jpg")
    assert "BytesIO" not in str(error.value)


def test_a_large_jpeg_is_decoded_smaller_but_not_below_min_side(tmp_path: Path) -> None:
    Image.new("RGB", (800, 600), (200, 100, 50)).save(tmp_path / "a.jpg")
    assert open_image(tmp_path / "a.jpg").size == (800, 600)
    assert open_image(tmp_path / "a.jpg", min_side=250).size == (400, 300)
    assert open_image(tmp_path / "a.jpg", min_side=301).size == (800, 600)
    assert open_image(tmp_path / "a.jpg", min_side=75).getpixel((50, 50)) == pytest.approx((200, 100, 50), abs=4)
    Image.new("RGB", (800, 600)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png", min_side=75).size == (800, 600)


@pytest.mark.parametrize(
    ("rule", "shorter_side", "expected"),
    [
        (SizeRule(), None, (640, 480)),
        (SizeRule(), 240, (320, 240)),
        (SizeRule(multiple_of=14), None, (644, 476)),  # 45.7 and 34.3 patches
        (SizeRule(multiple_of=14), 240, (322, 238)),
        (SizeRule(ImageSize(322, 322), 14), None, (322, 322)),
        (SizeRule(ImageSize(100, 200)), None, (200, 100)),
        (SizeRule(ImageSize(100, 200)), 240, (320, 240)),
        (SizeRule(multiple_of=1000), None, (1000, 1000)),  # at least one
    ],
)
def test_images_get_the_size_of_the_rule(
    rule: SizeRule, shorter_side: int | None, expected: tuple[int, int], tmp_path: Path
) -> None:
    photo = Image.effect_noise((640, 480), 80).convert("RGB")
    assert resize(photo, shorter_side, rule=rule).size == expected
    photo.save(tmp_path / "a.png")
    pixels = ImageDataset(tmp_path, pa.array(["a.png"]), shorter_side, size_rule=rule)[0]
    assert pixels.shape == (3, expected[1], expected[0])
