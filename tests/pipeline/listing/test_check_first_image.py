"""One image is opened before work begins, whether a folder is listed or a list names its images."""

from pathlib import Path

import pytest
from PIL import Image

from data_manifest.errors import UserError
from pipeline.listing.check_first_image import check_first_image
from pipeline.listing.list_images import list_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of two folders of images."""
    for name in ("é", "z"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(2):
            Image.effect_noise((64, 64), 80).save(tmp_path / "images" / name / f"{number}.jpg")
    return tmp_path / "images"


def test_a_whole_image_is_nothing_to_speak_of(images: Path) -> None:
    check_first_image(list_images(images), images)
    images.with_name("images_images_paths.txt").write_text("z/1.jpg\n\né/0.jpg\n")
    check_first_image(list_images(images), images)


def test_a_broken_image_is_named(images: Path) -> None:
    for path in images.glob("*/*.jpg"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"images/z/\d.jpg cannot be opened as an image .*: it is the first of "):
        check_first_image(list_images(images), images)


def test_an_image_that_is_listed_but_not_there_is_named(images: Path) -> None:
    images.with_name("images_images_paths.txt").write_text("missing/1.jpg\n")
    with pytest.raises(UserError, match=r"images/missing/1.jpg cannot be opened .*No such file.*copied whole"):
        check_first_image(list_images(images), images)
