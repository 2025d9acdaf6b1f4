"""Crops of panoramas whose pixels encode their azimuth or elevation."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.panoramas.projection import crop_headings, cut
from pipeline.panoramas.settings import CropSettings
from pipeline.verification.bad_image import BadImageError

THETA = Path(__file__).parents[4] / "shared" / "data" / "exif" / "openwanderer_theta"
Floats = npt.NDArray[np.float64]


def encoded(width: int, height: int) -> Image.Image:
    """Return an image: red and green are cosine and sine of the azimuth, blue is the elevation."""
    turn = 2 * np.pi * (np.arange(width) + 0.5) / width
    red, green = (np.broadcast_to(128 + 120 * each(turn), (height, width)) for each in (np.cos, np.sin))
    blue = np.broadcast_to(((np.arange(height) + 0.5) / height * 240)[:, None], (height, width))
    return Image.fromarray(np.stack((red, green, blue), -1).astype(np.uint8))


def azimuths(crop: Image.Image, row: int) -> Floats:
    """Return the azimuth that each pixel of a row encodes, degrees from the panorama's left edge."""
    pixels = np.asarray(crop)[row].astype(float) - 127.5
    degrees: Floats = np.degrees(np.arctan2(pixels[:, 1], pixels[:, 0])) % 360
    return degrees


def apart(one: Floats, other: Floats) -> float:
    return float(np.abs((np.asarray(one) - other + 180) % 360 - 180).max())


def of_rows(first: float, end: float, size: tuple[int, int]) -> Image.Image:
    """Return rows from one fraction of the height to another; grey is 0 at the zenith and 180 at the nadir."""
    rows = (first + (end - first) * (np.arange(size[1]) + 0.5) / size[1]) * 180
    return Image.fromarray(np.broadcast_to(rows[:, None, None], (size[1], size[0], 3)).round().astype(np.uint8))


def with_rows(first: int, end: int, scale: int = 1) -> Image.Image:
    """Return a panorama of 1000 pixels width with XMP that says it shows these thousandths of the height."""
    image = of_rows(first / 1000, end / 1000, (1000 // scale, (end - first) // 2 // scale))
    sizes = {"FullPanoWidth": 2000, "FullPanoHeight": 1000, "CroppedAreaImageWidth": 2000}
    sizes |= {"CroppedAreaImageHeight": end - first, "CroppedAreaLeft": 0, "CroppedAreaTop": first}
    attributes = " ".join(f'GPano:{tag}Pixels="{value}"' for tag, value in sizes.items())
    image.info["xmp"] = f"<rdf:Description {attributes}/>".encode()
    return image


@pytest.mark.parametrize("size", [(3328, 512), (3328, 1664), (1930, 965), (832, 128)])
def test_columns_match_the_names_across_the_seam(size: tuple[int, int]) -> None:
    crops = list(cut(encoded(*size), CropSettings(crop_size=128)))
    assert [crop.size for crop in crops] == [(128, 128)] * 12
    seen = 360 * 512 / 3328
    for number, crop in enumerate(crops):
        expected = 30 * number + seen * (np.arange(128) + 0.5) / 128
        assert apart(azimuths(crop, 64), expected) < 1.2


def test_a_whole_panorama_gives_the_rows_of_sf_xl() -> None:
    whole = next(cut(encoded(3328, 1664), CropSettings()))
    rows = np.asarray(whole)[:, 0, 2] / 240 * 1664
    assert abs(rows[0] - 512) < 8
    assert abs(rows[-1] - 1024) < 8


def test_a_crop_of_a_strip_has_its_pixels() -> None:
    strip = np.random.default_rng(0).integers(0, 255, (512, 3328, 3), np.uint8)
    crops = [np.asarray(crop) for crop in cut(Image.fromarray(strip), CropSettings())]
    for number, left in ((0, 0), (1, 277), (2, 555), (3, 832), (11, 3051)):
        assert (crops[number] == np.roll(strip, -left, 1)[:, :512]).all()


@pytest.mark.parametrize("size", [(3328, 512), (1664, 832)])
@pytest.mark.parametrize("fov", [30.0, 55.0])
def test_columns_of_a_view_are_equal_steps_of_the_tangent(size: tuple[int, int], fov: float) -> None:
    settings = CropSettings(projection="perspective", fov=fov, crop_size=128)
    steps = (2 * (np.arange(128) + 0.5) / 128 - 1) * np.tan(np.radians(fov / 2))
    for number, crop in enumerate(cut(encoded(*size), settings)):
        expected = 30 * number + fov / 2 + np.degrees(np.arctan(steps))
        for row in (3, 64, 120):  # upright lines stay upright
            assert apart(azimuths(crop, row), expected) < 1.2


def test_a_camera_looks_at_the_horizon() -> None:
    settings = CropSettings(projection="perspective", fov=90, crop_size=101)
    crop = np.asarray(next(cut(encoded(1664, 832), settings)))[..., 2] / 240
    assert abs(crop[50] - 0.5).max() < 0.01
    assert abs(crop[0, 50] - 0.25) < 0.01, "45 degrees up is a quarter of the height"


def test_a_strip_has_too_few_rows_for_a_wide_view() -> None:
    with pytest.raises(BadImageError, match="a strip shows 56"):
        next(cut(encoded(832, 128), CropSettings(projection="perspective", fov=60)))
    with pytest.raises(BadImageError, match="640x480 is neither 2:1"):
        next(cut(encoded(640, 480), CropSettings()))


def test_headings_are_of_the_left_or_the_centre() -> None:
    left = crop_headings(180, CropSettings())
    assert left == [30 * number for number in range(12)]
    assert crop_headings(0, CropSettings(crops_num=4)) == [180, 270, 0, 90]
    assert crop_headings(179.999, CropSettings(crops_num=1)) == [0], "no heading of 360"
    centre = crop_headings(180, CropSettings(heading_of="centre"))
    assert np.allclose(np.array(centre) - left, 360 * 256 / 3328, atol=0.005)
    camera = crop_headings(180, CropSettings(heading_of="centre", projection="perspective", fov=50))
    assert [a - b for a, b in zip(camera, left, strict=True)] == [25] * 12


@pytest.mark.skipif(not THETA.is_dir(), reason="../shared with real panoramas is not here")
def test_crops_of_a_real_panorama_overlap(tmp_path: Path) -> None:
    with Image.open(THETA / "1200.jpg") as image:
        panorama = image.convert("RGB")
    crops = [np.asarray(each).astype(int) for each in cut(panorama, CropSettings(crop_size=297))]
    for number in range(12):  # the left of a crop is in the one before, across the seam too
        shift = round((number + 1) * 1930 / 12) - round(number * 1930 / 12)
        assert np.abs(crops[number][:, shift:] - crops[(number + 1) % 12][:, : 297 - shift]).mean() < 1


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("rows", [(250, 750), (200, 650), (0, 800)])
def test_crops_show_the_rows_of_sf_xl_whatever_the_panorama_shows(rows: tuple[int, int], scale: int) -> None:
    for crop in cut(with_rows(*rows, scale), CropSettings(crop_size=64, crops_num=4)):
        grey = np.asarray(crop.convert("L")).mean(1)
        expected = (512 + 512 * (np.arange(64) + 0.5) / 64) / 1664 * 180
        assert abs(grey - expected).max() < 3


@pytest.mark.parametrize(("rows", "up"), [((250, 750), 0.0), ((100, 600), 0.1965), ((400, 900), -0.1965)])
def test_a_camera_looks_as_near_to_the_horizon_as_the_rows_allow(rows: tuple[int, int], up: float) -> None:
    """A view of 55 degrees reaches tan(27.5) from its middle; rows to 18 degrees below the horizon lift it."""
    crop = next(cut(with_rows(*rows), CropSettings(crop_size=64, crops_num=4, projection="perspective")))
    grey = np.asarray(crop.convert("L"))[:, 31:33].mean(1)
    steps = 1 - 2 * (np.arange(64) + 0.5) / 64
    elevations = np.degrees(np.arctan(steps * np.tan(np.radians(27.5)) + up))
    assert abs(grey - (90 - elevations)).max() < 3


def test_too_few_rows_for_a_camera_are_an_error() -> None:
    with pytest.raises(BadImageError, match=r"a strip shows 45\.0 degrees, less than fov = 55"):
        next(cut(with_rows(375, 625), CropSettings(projection="perspective")))
