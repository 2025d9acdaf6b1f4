import pytest

from pipeline.panoramas.extent import STRIP, WHOLE, check_strip_shown, rows_shown
from pipeline.verification.bad_image import BadImageError

FULL = (512, 256)


def gpano(full: tuple[int, int], area: tuple[int, int], left: int = 0, top: int = 0, **more: str) -> dict[str, str]:
    tags = "FullPanoWidth FullPanoHeight CroppedAreaImageWidth CroppedAreaImageHeight CroppedAreaLeft CroppedAreaTop"
    sizes = zip(tags.split(), (*full, *area, left, top), strict=True)
    return {f"GPano:{name}": value for name, value in {**{f"{tag}Pixels": str(n) for tag, n in sizes}, **more}.items()}


HALF, ALL = gpano(FULL, (256, 128), 128, 64), gpano(FULL, FULL)


@pytest.mark.parametrize(
    ("xmp", "size", "status", "detail"),
    [
        (HALF, (256, 128), "partial panorama", "shows 180 of 360 degrees (GPano)"),
        (HALF, FULL, "partial panorama", "shows 180 of 360"),
        (
            gpano(FULL, (512, 79), CroppedAreaTopPixels=""),
            (512, 79),
            "wrong size",
            "lacks CroppedAreaTop",
        ),
        (gpano((1000, 500), (900, 450)), FULL, "partial panorama", "shows 324 of 360"),
        (
            {"GPano:FullPanoWidthPixels": "1000", "GPano:CroppedAreaImageWidthPixels": "500"},
            FULL,
            "partial panorama",
            "shows 180",
        ),
        (gpano(FULL, (512, 64), 0, 96), (512, 64), "partial panorama", "from 22.5 to -22.5 degrees; crops need"),
        (gpano(FULL, (512, 79), 0, 60), (512, 79), "partial panorama", "elevations from 47.8 to -7.7"),
        ({"GPano:ProjectionType": "cubemap"}, FULL, "other projection", "GPano:ProjectionType is cubemap"),
        ({**ALL, "GPano:ProjectionType": "cylindrical"}, FULL, "other projection", "is cylindrical"),
        ({**ALL, "GPano:ProjectionType": "fisheye"}, FULL, "other projection", "is fisheye"),
        (ALL, (512, 79), "wrong size", "512x79 pixels have other proportions than GPano's 512x256"),
        (gpano(FULL, (512, 128), 0, 64), FULL, "wrong size", "512x256 pixels have other proportions"),
        (gpano((512, 128), (512, 128)), (512, 128), "wrong size", "GPano's whole panorama is 512x128, not 2:1"),
        (gpano(FULL, FULL, 100), FULL, "wrong size", "GPano's cropped area goes beyond"),
        (gpano(FULL, (512, 128), 0, 200), (512, 128), "wrong size", "GPano's cropped area goes beyond"),
        (gpano(FULL, (1024, 512)), FULL, "wrong size", "GPano's cropped area goes beyond"),
        ({}, (640, 480), "wrong size", "640x480 is neither 2:1"),
    ],
)
def test_pictures_without_360_degrees_or_the_needed_rows_are_bad(
    xmp: dict[str, str], size: tuple[int, int], status: str, detail: str
) -> None:
    with pytest.raises(BadImageError) as error:
        check_strip_shown(rows_shown(*size, xmp))
    assert error.value.status.value == status
    assert detail in error.value.detail


@pytest.mark.parametrize(
    ("xmp", "size"),
    [
        ({}, FULL),
        ({**ALL, "GPano:ProjectionType": "Equirectangular"}, FULL),
        (gpano((5760, 2880), (5760, 2880)), FULL),
        (gpano((513, 256), FULL), FULL),
        ({"GPano:FullPanoWidthPixels": "0", "GPano:FullPanoHeightPixels": "x"}, FULL),
        ({"GPano:FullPanoWidthPixels": "5760", "GPano:FullPanoHeightPixels": "2880"}, FULL),
    ],
)
def test_whole_panoramas_show_all_rows_at_any_scale(xmp: dict[str, str], size: tuple[int, int]) -> None:
    assert rows_shown(*size, xmp) == WHOLE


def test_a_strip_is_recognized_by_its_aspect_ratio() -> None:
    assert rows_shown(832, 128, {}) == STRIP


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("first", "end"), [(250, 750), (200, 650), (0, 800)])
def test_rows_follow_from_the_cropped_area(first: int, end: int, scale: int) -> None:
    size = (1000 // scale, (end - first) // 2 // scale)
    rows = rows_shown(*size, gpano((2000, 1000), (2000, end - first), 0, first))
    assert rows == pytest.approx((first * 1.664, end * 1.664))
    check_strip_shown(rows)
