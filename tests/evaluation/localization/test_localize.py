import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_manifest.errors import UserError
from evaluation.descriptors.build_descriptors import build_descriptors
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.find_database import find_database
from evaluation.localization.find_photos import find_photos
from evaluation.localization.localize import Localizer
from tests.evaluation.conftest import COLOURS, LONG_AGO, PAINTED_SIDE, list_images, name, on_cpu, paint, pattern


def test_photos_of_any_size_and_orientation_are_localized(
    evaluation: Path, model: TrainedModel, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pattern(COLOURS["blue"], (64, 48)).save(photos / "a.png")
    turned = pattern(COLOURS["blue"], (640, 480)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to show it
    turned.save(photos / "b.jpg", exif=exif, quality=95)
    (photos / "c.jpg").write_bytes(b"no image")
    pattern(COLOURS["grey"], (64, 48)).save(photos / "d.png")
    (photos / "notes.txt").touch()

    localizer = Localizer(model, find_database(evaluation, model, device="cpu", num_workers=0))
    same, large, broken, only_metres = localizer.localize(find_photos([photos]), top=2)
    best = same.matches[0]
    assert (best.path, best.rank, best.heading, best.year) == ("blue.png", 1, 180.0, 2015)
    assert [best.latitude, best.longitude] == pytest.approx([36.14, -122.98])
    assert best.score == pytest.approx(1, abs=1e-5)
    assert large.matches[0].path == "blue.png"
    assert large.matches[0].score == pytest.approx(1, abs=1e-3), (
        "reduced to the size of the database images, and upright"
    )
    other = {"red.png": 2000, "green.png": 1000, "grey.png": 1000}[same.matches[1].path]
    assert same.spread_m == pytest.approx(other)
    assert broken.error is not None
    assert "c.jpg cannot be opened" in broken.error
    assert not broken.matches
    grey = only_metres.matches[0]
    assert grey.path == "grey.png"
    east_of_meridian = 3000 / 0.9996 / (111_320 * np.cos(np.radians(36.14)))  # of zone 10: 123 degrees west
    assert [grey.latitude, grey.longitude] == pytest.approx([36.14, -123 + east_of_meridian], abs=0.005)


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    """Return a folder of six images of six colours."""
    for number in range(6):
        paint(tmp_path / "city" / "database", number, (40 * number, 200 - 30 * number, 90))
    return tmp_path / "city" / "database"


@pytest.fixture
def embedded(painted: Path, model: TrainedModel, artifacts: Path) -> Path:
    """Return the folder of their descriptors."""
    return build_descriptors(model, list_images(painted, artifacts), artifacts, on_cpu())


def test_top_0_is_an_error(embedded: Path, model: TrainedModel) -> None:
    with pytest.raises(UserError, match="top = 0: must be at least 1"):
        Localizer(model, find_database(embedded, model, device="cpu")).localize([], top=0)


def test_matches_that_changed_are_marked_and_counted(
    painted: Path, embedded: Path, model: TrainedModel, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    descriptors = set(artifacts.glob("descriptors/*/*"))

    def located(photo: Path) -> list[tuple[str, bool]]:
        localizer = Localizer(model, find_database(embedded, model, device="cpu", num_workers=0))
        (found,) = localizer.localize([photo], top=2)
        return [(match.path, match.changed) for match in found.matches]

    photo = Path(shutil.copy2(painted / name(4), painted.parent))
    assert located(photo)[0] == (name(4), False)
    assert "changed" not in caplog.text
    paint(painted, 4, (255, 255, 255), LONG_AGO + 1)
    assert located(photo)[0] == (name(4), True), "it has the position of the embedded image"
    assert "1 of 2 database images shown have changed since they were embedded" in caplog.text
    assert set(artifacts.glob("descriptors/*/*")) == descriptors
    (painted / name(4)).unlink()
    assert located(photo)[0] == (name(4), False), "a missing image is not a changed one"


def test_photos_are_reduced_to_the_size_of_an_unchanged_image(
    painted: Path, embedded: Path, model: TrainedModel, artifacts: Path
) -> None:
    database = find_database(embedded, model, device="cpu", num_workers=0)
    Image.new("RGB", (8, 8)).save(painted / str(database.images.read()["path"][0]))
    photo = painted.parent / "photo.png"
    Image.new("RGB", (4 * PAINTED_SIDE, 4 * PAINTED_SIDE), (160, 80, 90)).save(photo)
    (found,) = Localizer(model, database).localize([photo], top=1)
    assert found.matches[0].path == name(4)
    assert found.matches[0].score == pytest.approx(1, abs=1e-3)
