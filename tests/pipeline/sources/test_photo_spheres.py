"""Photo spheres whose XMP says which part of the sphere they show, and in which projection."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.panoramas.settings import CropSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.names_source import NAMES_SOURCE
from pipeline.sources.settings import SourceSettings

MakePhoto = Callable[..., Path]
SOURCE = make_source(SourceSettings(source="exif"))
GPS = {1: "N", 2: ((48, 1), (51, 1), (2, 1)), 3: "E", 4: ((2, 1), (20, 1), (5, 1)), 16: "T", 17: ((90, 1),)}
FULL = (512, 256)


def of_rows(first: float, end: float, size: tuple[int, int]) -> Image.Image:
    """A picture whose grey is the elevation: 0 at the zenith, 180 at the nadir, between two fractions of the height."""
    rows = (first + (end - first) * (np.arange(size[1]) + 0.5) / size[1]) * 180
    return Image.fromarray(np.broadcast_to(rows[:, None, None], (size[1], size[0], 3)).round().astype(np.uint8))


def sizes(full: tuple[int, int], area: tuple[int, int], left: int = 0, top: int = 0, **more: str) -> dict[str, str]:
    tags = "FullPanoWidth FullPanoHeight CroppedAreaImageWidth CroppedAreaImageHeight CroppedAreaLeft CroppedAreaTop"
    names = [f"{tag}Pixels" for tag in tags.split()]
    return {**dict(zip(names, map(str, (*full, *area, left, top)), strict=True)), **more}


def attributes(said: dict[str, str], quote: str = '"') -> str:
    return f"<rdf:Description {' '.join(f'GPano:{name}={quote}{value}{quote}' for name, value in said.items())}/>"


def elements(said: dict[str, str]) -> str:
    inside = "\n".join(f"<GPano:{name}>{value}</GPano:{name}>" for name, value in said.items())
    return f"<rdf:Description>{inside}</rdf:Description>"


@pytest.fixture
def cut_with_good(make_photo: MakePhoto, tmp_path: Path) -> Callable[..., tuple[str, str | None, list[Path]]]:
    """Cut a panorama beside a good one: its status, detail and crops."""

    def cut_with_good(xmp: str, image: Image.Image, **settings: object) -> tuple[str, str | None, list[Path]]:
        folder = tmp_path / "panoramas"
        make_photo(folder / "good.jpg", GPS, image=of_rows(0, 1, FULL))
        make_photo(folder / "x.jpg", GPS, xmp=xmp, image=image)
        small = CropSettings(crop_size=64, crops_num=4, **settings)  # type: ignore[arg-type]
        artifact = crop_panoramas(folder, tmp_path / "crops", tmp_path / "A", small, source=SOURCE)
        rows = {row["path"]: row for row in read_table(artifact, "cropped").to_dicts()}
        assert rows["good.jpg"]["status"] == "ok"
        crops = sorted((tmp_path / "crops").glob("*@x@*"))
        assert len(crops) == rows["x.jpg"]["crops"]
        return rows["x.jpg"]["status"], rows["x.jpg"]["detail"], crops

    return cut_with_good


CutWithGood = Callable[..., tuple[str, str | None, list[Path]]]
HALF = sizes(FULL, (256, 128), 128, 64)
WHOLE = sizes(FULL, FULL)


@pytest.mark.parametrize(
    ("said", "size", "status", "detail"),
    [
        (HALF, (256, 128), "partial panorama", "shows 180 of 360 degrees (GPano)"),
        (HALF, (512, 256), "partial panorama", "shows 180 of 360"),
        (
            {**WHOLE, "CroppedAreaTopPixels": "", "CroppedAreaImageHeightPixels": "79"},
            (512, 79),
            "wrong size",
            "lacks CroppedAreaTop",
        ),
        (sizes((1000, 500), (900, 450)), (512, 256), "partial panorama", "shows 324 of 360"),
        ({"FullPanoWidthPixels": "1000", "CroppedAreaImageWidthPixels": "500"}, FULL, "partial panorama", "shows 180"),
        (
            sizes(FULL, (512, 64), 0, 96),
            (512, 64),
            "partial panorama",
            "elevations from 22.5 to -22.5 degrees; crops need",
        ),
        (sizes(FULL, (512, 79), 0, 60), (512, 79), "partial panorama", "elevations from 47.8 to -7.7"),
        ({"ProjectionType": "cubemap"}, FULL, "other projection", "GPano:ProjectionType is cubemap"),
        ({**WHOLE, "ProjectionType": "cylindrical"}, FULL, "other projection", "is cylindrical"),
        ({**WHOLE, "ProjectionType": "fisheye"}, FULL, "other projection", "is fisheye"),
        (WHOLE, (512, 79), "wrong size", "512x79 pixels have other proportions than GPano's 512x256"),
        (sizes(FULL, (512, 128), 0, 64), FULL, "wrong size", "512x256 pixels have other proportions"),
        (sizes((512, 128), (512, 128)), (512, 128), "wrong size", "GPano's whole panorama is 512x128, not 2:1"),
        (sizes(FULL, FULL, 100), FULL, "wrong size", "GPano's cropped area goes beyond"),
        (sizes(FULL, (512, 128), 0, 200), (512, 128), "wrong size", "GPano's cropped area goes beyond"),
        (sizes(FULL, (1024, 512)), FULL, "wrong size", "GPano's cropped area goes beyond"),
    ],
)
def test_what_does_not_show_360_degrees_is_not_cut(
    cut_with_good: CutWithGood, said: dict[str, str], size: tuple[int, int], status: str, detail: str
) -> None:
    found, why, _ = cut_with_good(attributes(said), of_rows(0, 1, size))
    assert (found, detail in str(why)) == (status, True), why


@pytest.mark.parametrize("form", [attributes, elements, lambda said: attributes(said, "'")])
def test_xmp_in_any_of_its_forms(cut_with_good: CutWithGood, form: Callable[[dict[str, str]], str]) -> None:
    assert cut_with_good(form(HALF), of_rows(0, 1, (256, 128)))[0] == "partial panorama"


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({**WHOLE, "ProjectionType": "Equirectangular"}, FULL),
        (sizes((5760, 2880), (5760, 2880)), FULL),
        (sizes((513, 256), (512, 256)), FULL),
        ({"FullPanoWidthPixels": "0", "FullPanoHeightPixels": "x"}, FULL),
        ({"FullPanoWidthPixels": "5760", "FullPanoHeightPixels": "2880"}, FULL),
    ],
)
def test_whole_panoramas_are_cut_whatever_their_scale(
    cut_with_good: CutWithGood, said: dict[str, str], size: tuple[int, int]
) -> None:
    status, _, crops = cut_with_good(attributes(said), of_rows(0, 1, size))
    assert (status, len(crops)) == ("ok", 4)
    _check_elevations(crops)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("rows", [(0.25, 0.75), (0.2, 0.65), (0.0, 0.8)])
def test_rows_are_found_where_only_the_height_is_cropped(
    cut_with_good: CutWithGood, rows: tuple[float, float], scale: int
) -> None:
    first, end = (round(row * 1000) for row in rows)
    said = sizes((2000, 1000), (2000, end - first), 0, first)
    status, why, crops = cut_with_good(attributes(said), of_rows(*rows, (1000 // scale, (end - first) // 2 // scale)))
    assert (status, len(crops)) == ("ok", 4), why
    _check_elevations(crops)


def _check_elevations(crops: list[Path]) -> None:
    """The rows that SF-XL keeps: 512 to 1023 of 1664."""
    for path in crops:
        with Image.open(path) as crop:
            grey = np.asarray(crop.convert("L")).mean(1)
        expected = (512 + 512 * (np.arange(64) + 0.5) / 64) / 1664 * 180
        assert abs(grey - expected).max() < 3


@pytest.mark.parametrize(("rows", "up"), [((0.25, 0.75), 0.0), ((0.1, 0.6), 0.1965), ((0.4, 0.9), -0.1965)])
def test_a_camera_looks_at_the_horizon_or_as_near_as_the_rows_allow(
    cut_with_good: CutWithGood, rows: tuple[float, float], up: float
) -> None:
    """A view of 55 degrees reaches tan(27.5) from its middle; rows to 18 degrees below the horizon lift it."""
    first, end = (round(row * 1000) for row in rows)
    image = of_rows(*rows, (1000, (end - first) // 2))
    said = sizes((2000, 1000), (2000, end - first), 0, first)
    status, why, crops = cut_with_good(attributes(said), image, projection="perspective")
    assert status == "ok", why
    with Image.open(crops[0]) as crop:
        grey = np.asarray(crop.convert("L"))[:, 31:33].mean(1)
    steps = 1 - 2 * (np.arange(64) + 0.5) / 64
    elevations = np.degrees(np.arctan(steps * np.tan(np.radians(27.5)) + up))
    assert abs(grey - (90 - elevations)).max() < 3


def test_rows_that_are_too_few_for_a_camera(cut_with_good: CutWithGood) -> None:
    said = attributes(sizes(FULL, (512, 64), 0, 96))
    status, why, _ = cut_with_good(said, of_rows(0.375, 0.625, (512, 64)), projection="perspective")
    assert (status, why) == ("wrong size", "a strip shows 45.0 degrees, less than fov = 55")


def test_a_heading_of_exactly_0_beside_another_direction_is_noted(
    cut_with_good: CutWithGood, caplog: pytest.LogCaptureFixture
) -> None:
    said = {**WHOLE, "ProjectionType": "equirectangular", "PoseHeadingDegrees": "0.0"}
    status, why, crops = cut_with_good(attributes(said), of_rows(0, 1, FULL))
    assert (status, why) == ("ok", "GPano heading 0, GPSImgDirection 90.0")
    assert {path.name.split("@")[9] for path in crops} == {"0", "90", "180", "270"}
    assert "doubtful headings: 1, such as x.jpg: GPano heading 0, GPSImgDirection 90.0" in caplog.text


def test_one_partial_panorama_alone_is_one_message(make_photo: MakePhoto, tmp_path: Path) -> None:
    make_photo(tmp_path / "panoramas" / "x.jpg", GPS, xmp=attributes(HALF), image=of_rows(0, 1, (256, 128)))
    message = r"none of 1 panoramas can be cut\. x\.jpg: partial panorama, shows 180 of 360 degrees"
    with pytest.raises(UserError, match=message):
        crop_panoramas(tmp_path / "panoramas", tmp_path / "crops", tmp_path / "A", source=SOURCE)


def test_a_partial_panorama_is_refused_whatever_says_where_it_was_taken(make_photo: MakePhoto, tmp_path: Path) -> None:
    name = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@{}@@90@@@@201409@@.jpg"
    make_photo(tmp_path / "panoramas" / name.format("half"), xmp=attributes(HALF), image=of_rows(0, 1, (256, 128)))
    make_photo(tmp_path / "panoramas" / name.format("whole"), image=of_rows(0, 1, FULL))
    settings = CropSettings(crop_size=16, crops_num=1)
    rows = read_table(crop_panoramas(tmp_path / "panoramas", tmp_path / "crops", tmp_path / "A", settings), "cropped")
    assert sorted(rows["status"].cast(str)) == ["ok", "partial panorama"]


@pytest.mark.parametrize("in_names", [True, False])
def test_of_two_panoramas_whose_crops_have_the_same_names_one_is_cut(
    make_photo: MakePhoto, tmp_path: Path, in_names: bool
) -> None:
    stem = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@p@@90@@@@201409@@" if in_names else "p"
    panoramas = tmp_path / "panoramas"
    for path in (f"{stem}.jpeg", f"{stem}.jpg", f"other/{stem}.jpg"):
        make_photo(panoramas / path, GPS, image=of_rows(0, 1, FULL))
    settings, source = CropSettings(crop_size=16, crops_num=4), NAMES_SOURCE if in_names else SOURCE
    for _ in range(2):
        artifact = crop_panoramas(panoramas, tmp_path / "crops", tmp_path / "A", settings, source=source)
        rows = {row["path"]: (row["status"], row["crops"]) for row in read_table(artifact, "cropped").to_dicts()}
        assert rows == {
            f"{stem}.jpeg": ("same crops", 0),
            f"{stem}.jpg": ("ok", 4),
            f"other/{stem}.jpg": ("ok", 4),
        }
        assert len(list((tmp_path / "crops").rglob("*.jpg"))) == 8
