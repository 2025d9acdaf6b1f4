"""HEIC photos in every stage that opens images, with and without the extra `heif`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import can_read_heif
from data_manifest.images.image_store import FolderStore
from data_manifest.tables import read_table
from evaluation.descriptors.open_image import open_image
from evaluation.localization.find_photos import find_photos
from pipeline.listing.check_first_image import check_first_image
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest
from pipeline.panoramas.projection import read_panorama
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.verification.bad_image import BadImageError
from pipeline.verification.settings import HEADER, VerifySettings
from pipeline.verification.verify_images import verify_images
from tests.helpers import read_image
from training.data.image_files import UnreadableImageError

ADVICE = "HEIC needs an extra package: pip install pillow-heif"
GPS = {1: "N", 2: (48.0, 51.0, 2.16), 3: "E", 4: (2.0, 20.0, 5.28), 17: 90.5, 16: "T"}
LONG_AGO = 1_500_000_000
FROM_EXIF = SourceSettings(source="exif")


def picture() -> Image.Image:
    """Return a picture with a red left and a blue right half."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32, 0] = pixels[:, 32:, 2] = 220
    return Image.fromarray(pixels)


def write(path: Path, orientation: int = 1) -> None:
    assert can_read_heif()
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update(GPS)
    image = picture()
    if path.suffix.lower() == ".heic":
        image.info["exif"] = exif.tobytes()  # from which the encoder takes the turn, as phones write it
        image.save(path, "HEIF", quality=95)
    else:
        image.save(path, exif=exif, quality=95)
    os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write(tmp_path / "photos" / "a.HEIC")
    write(tmp_path / "photos" / "b.jpg")
    return tmp_path / "photos"


@pytest.fixture
def _no_extra(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide pillow-heif after the photos are written."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "ID", [each for each in Image.ID if each != "HEIF"])
    monkeypatch.delitem(Image.EXTENSION, ".heic")
    can_read_heif.cache_clear()
    yield
    monkeypatch.undo()
    can_read_heif.cache_clear()


def test_exif_of_heic_gives_the_position_of_the_same_jpeg(photos: Path, tmp_path: Path) -> None:
    manifest = read_table(build_manifest(photos, tmp_path / "A", source=make_source(FROM_EXIF)), "manifest")
    assert manifest["path"].to_list() == ["a.HEIC", "b.jpg"]
    assert manifest["latitude"].to_list() == [pytest.approx(48.8506)] * 2
    assert manifest["heading"].to_list() == [90.5] * 2


@pytest.mark.usefixtures("_no_extra")
def test_heic_is_a_reject_until_the_extra_is_installed(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = build_manifest(photos, tmp_path / "A", source=make_source(FROM_EXIF))
    assert read_table(without, "manifest")["path"].to_list() == ["b.jpg"]
    assert read_table(without, "rejects").row(0) == ("a.HEIC", "cannot be read", ADVICE)
    assert f"1 HEIC photos are rejected. {ADVICE}" in caplog.text
    check_first_image(list_images(photos), photos)
    monkeypatch.undo()
    can_read_heif.cache_clear()
    assert can_read_heif()
    with_extra = build_manifest(photos, tmp_path / "A", source=make_source(FROM_EXIF))
    assert with_extra != without
    assert read_table(with_extra, "manifest")["path"].to_list() == ["a.HEIC", "b.jpg"]


@pytest.mark.usefixtures("_no_extra")
def test_extra_does_not_affect_other_formats(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "a.HEIC").unlink()
    manifest = build_manifest(photos, tmp_path / "A", source=make_source(FROM_EXIF))
    checks = verify_images(manifest, photos, tmp_path / "A")
    monkeypatch.undo()
    can_read_heif.cache_clear()
    assert build_manifest(photos, tmp_path / "A", source=make_source(FROM_EXIF)) == manifest
    assert verify_images(manifest, photos, tmp_path / "A") == checks


def test_heic_is_located_by_its_name(tmp_path: Path) -> None:
    name = "@0545981.19@4184971.70@10@S@@@@@174@@@@201409@@.heic"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).touch()
    assert read_table(build_manifest(tmp_path / "photos", tmp_path / "A"), "manifest")["path"].to_list() == [name]


def checks_of(photos: Path, artifacts: Path, check: str) -> dict[str, tuple[object, ...]]:
    table = pl.DataFrame({"path": ["a.HEIC", "b.jpg"], "latitude": 48.85, "longitude": 2.33})
    table.write_csv(artifacts.with_name("places.csv"))
    source = make_source(SourceSettings(source="table", table=artifacts.with_name("places.csv")))
    manifest = build_manifest(photos, artifacts, source=source)
    checks = read_table(verify_images(manifest, photos, artifacts, check, VerifySettings()), "checks")
    return {row[0]: row[1:] for row in checks.select("path", "status", "width", "height", "detail").iter_rows()}


@pytest.mark.parametrize("check", [HEADER, "decode"])
def test_truncated_heic_is_bad(photos: Path, tmp_path: Path, check: str) -> None:
    assert checks_of(photos, tmp_path / "A", check) == {
        "a.HEIC": ("ok", 64, 48, "a HEIF by its content"),
        "b.jpg": ("ok", 64, 48, None),
    }
    whole = (photos / "a.HEIC").read_bytes()
    (photos / "a.HEIC").write_bytes(whole[: len(whole) * 2 // 3])
    os.utime(photos / "a.HEIC", (LONG_AGO, LONG_AGO))
    assert checks_of(photos, tmp_path / "A", check)["a.HEIC"][0] != "ok"


@pytest.mark.usefixtures("_no_extra")
def test_heic_is_verified_once_the_extra_is_installed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks_of(photos, tmp_path / "A", "decode")["a.HEIC"] == ("not an image", None, None, ADVICE)
    monkeypatch.undo()
    can_read_heif.cache_clear()
    assert checks_of(photos, tmp_path / "A", "decode")["a.HEIC"][:3] == ("ok", 64, 48)


@pytest.mark.parametrize("orientation", [1, 6])
def test_training_and_evaluation_read_heic_like_jpeg(tmp_path: Path, orientation: int) -> None:
    for name in ("a.heic", "a.jpg"):
        write(tmp_path / name, orientation)
    trained = [read_image(tmp_path / name).permute(1, 2, 0).numpy() for name in ("a.heic", "a.jpg")]
    evaluated = [np.asarray(open_image(tmp_path / name)) for name in ("a.heic", "a.jpg")]
    assert trained[0].shape == ((48, 64, 3) if orientation == 1 else (64, 48, 3))
    for heic, jpeg in (trained, evaluated):
        assert np.abs(heic.astype(int) - jpeg).mean() < 4
    assert np.array_equal(trained[0], evaluated[0])
    for opened in FolderStore(tmp_path).open(["a.heic"]):
        assert read_panorama(opened, tmp_path / "a.heic")[0].size == open_image(tmp_path / "a.heic").size


@pytest.mark.usefixtures("_no_extra")
def test_error_without_the_extra_names_the_package(photos: Path) -> None:
    with pytest.raises(UnreadableImageError, match=ADVICE):
        read_image(photos / "a.HEIC")
    with pytest.raises(UserError) as error:
        open_image(photos / "a.HEIC")
    assert str(error.value) == f"{photos}/a.HEIC cannot be opened. {ADVICE}"
    images = FolderStore(photos).open(["a.HEIC"])
    with pytest.raises(BadImageError) as bad:
        read_panorama(next(images), photos / "a.HEIC")
    assert bad.value.detail == ADVICE
    (photos / "b.jpg").unlink()
    with pytest.raises(UserError, match=ADVICE):
        check_first_image(list_images(photos), photos)


def test_error_of_a_broken_heic_does_not_mention_the_extra(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    with pytest.raises(UserError, match=r"a\.heic cannot be opened as an image .*\. Fix or remove the file"):
        open_image(tmp_path / "a.heic")


@pytest.mark.usefixtures("_no_extra")
def test_folders_give_heic_photos_and_no_thumbnails(photos: Path) -> None:
    for name in ("@eaDir/b.jpg", ".thumbnails/b.jpg", "._b.jpg", "deep/c.heif", "notes.txt"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).touch()
    assert find_photos([photos]) == [photos / "a.HEIC", photos / "b.jpg", photos / "deep" / "c.heif"]


def test_missing_photo_does_not_stop_the_others(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "none.jpg", photos / "b.jpg", tmp_path / "empty"]
    assert find_photos(paths) == paths
    for alone, why in ((paths[0], "no such file or folder"), (paths[2], "no image in this folder")):
        with pytest.raises(UserError, match=f"{alone}: {why}"):
            find_photos([alone])
