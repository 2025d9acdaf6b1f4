"""Photos to localize, and to compare an export on, at URLs."""

from pathlib import Path

import pytest

from data_manifest.errors import StoreError, UserError
from data_manifest.images.images_folder import ImagesUrl
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.find_database import find_database
from evaluation.localization.find_photos import find_photos
from evaluation.localization.localize import Localizer
from evaluation.localization.panel import draw_panel
from tests.evaluation.conftest import COLOURS, pattern
from tests.object_server import ObjectServer

BUCKET = ImagesUrl.parse("s3://bucket")


@pytest.fixture
def bucket(objects: ObjectServer, tmp_path: Path) -> ObjectServer:
    pattern(COLOURS["blue"], (64, 48)).save(tmp_path / "blue.png")
    for key in ("photos/a/1.PNG", "photos/a/2.heic", "photos/b.png", "photos/.c.png", "photos/@eaDir/d.png"):
        objects.put(key, (tmp_path / "blue.png").read_bytes())
    objects.put("photos/notes.txt", b"")
    return objects


def test_photos_below_a_url_and_single_ones_are_found(bucket: ObjectServer) -> None:
    photos = [BUCKET / f"photos/{name}" for name in ("a/1.PNG", "a/2.heic", "b.png")]
    assert find_photos([BUCKET / "photos"]) == photos
    assert find_photos([BUCKET / "photos"], 2) == photos[:2]
    on_web = ImagesUrl.parse(f"{bucket.url}/photos/b.png")
    assert find_photos([BUCKET / "photos/b.png", on_web, BUCKET / "no"]) == [photos[2], on_web, BUCKET / "no"]
    for url, message in ((BUCKET / "no", "and none below it$"), (on_web.parent, "web servers do not list folders$")):
        with pytest.raises(UserError, match=message):
            find_photos([url])


def test_photos_at_urls_are_localized(
    evaluation: Path, model: TrainedModel, bucket: ObjectServer, tmp_path: Path
) -> None:
    localizer = Localizer(model, find_database(evaluation, model, device="cpu", num_workers=0))
    bucket.failures["GET photos/b.png"] = [503]
    found, missing = localizer.localize([BUCKET / "photos/b.png", BUCKET / "no.png"], top=1)
    assert (found.photo, found.matches[0].path) == ("s3://bucket/photos/b.png", "blue.png")
    assert "no such object: s3://bucket/no.png" in str(missing.error)
    draw_panel([found], localizer.database.images.images_folder, tmp_path / "panel.png")
    bucket.failures["GET photos/b.png"] = [503] * 20
    with pytest.raises(StoreError):
        localizer.localize([BUCKET / "photos/b.png"], top=1)
