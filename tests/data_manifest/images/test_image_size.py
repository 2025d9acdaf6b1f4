from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.settings import normalise


@pytest.mark.parametrize(
    ("given", "height", "width"),
    [(512, 512, 512), ("512", 512, 512), (512.0, 512, 512), ("480x640", 480, 640), (" 640 X 480 ", 640, 480)],
)
def test_rows_come_before_columns_and_one_number_is_a_square(given: Any, height: int, width: int) -> None:
    assert normalise("image_size", given, ImageSize) == ImageSize(height, width)


@pytest.mark.parametrize("given", ["480x640x3", "480x", "x640", "480,640", "big", "480.5x640", "nanx3", True, None])
def test_what_means_no_size_is_refused_with_the_right_way_to_say_it(given: Any) -> None:
    with pytest.raises(UserError, match=r"image_size = .*: expected a size in pixels, .* 480x640 for 480 rows"):
        normalise("image_size", given, ImageSize)


def test_a_square_is_written_as_the_number_that_it_was_before_there_were_others() -> None:
    assert ImageSize(512, 512).plain == 512
    assert ImageSize(480, 640).plain == "480x640"
    for size in (ImageSize(512, 512), ImageSize(480, 640)):
        assert ImageSize.of(size) == ImageSize.of(size.plain) == ImageSize.of(str(size)) == size
