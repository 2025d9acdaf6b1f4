"""A folder of photos as the database of `localize`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ExifTags, Image

from data_manifest.command_line.command_parser import CommandParser
from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts
from data_manifest.store.recipe import read_recipe
from tests.helpers import write_images
from tests.methods.conftest import write_repository
from tests.object_server import ObjectServer
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 230), "nowhere": (128, 128, 128)}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of one colour each, a minute of latitude apart; one has no position."""
    (tmp_path / "photos").mkdir()
    for number, (name, colour) in enumerate(COLOURS.items()):
        exif = Image.Exif()
        if name != "nowhere":
            place = {1: "N", 2: (48.0, 50.0 + number, 0.0), 3: "E", 4: (2.0, 20.0, 0.0)}
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
        Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{name}.jpg", exif=exif)
    return tmp_path / "photos"


@pytest.fixture
def localize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Localize a photo in a database with a small random network, and return the result."""
    torch.manual_seed(0)
    save_network(GeoLocalizationNet("SqueezeNet1_1", 8), tmp_path / "model.pth")

    def run(database: Path | str, photo: Path, model: str = "model.pth", *flags: str) -> dict[str, Any]:
        from luigi_tasks.photos import add_localize

        parser = CommandParser()
        add_localize(parser)
        folders = ["--database", str(database), "--artifacts-folder", str(tmp_path / "artifacts")]
        machine = ["--device", "cpu", "--num-workers", "0", "--format", "json"]
        words = ["--model", str(tmp_path / model), *folders, *flags, *machine, str(photo)]
        options = parser.parse_args(words)
        assert options.run(options) == 0
        (located,) = json.loads(capsys.readouterr().out)
        return dict(located)

    return run


def test_a_folder_of_photos_is_embedded_once(
    photos: Path, localize: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    best, *others = localize(photos, photos / "green.jpg")["matches"]
    assert (best["path"], round(best["latitude"], 4)) == ("green.jpg", 48.85)
    assert {each["path"] for each in others} == {"red.jpg", "blue.jpg"}
    assert {round(each["distance_m"] / 1853) for each in others} == {1}, "a minute of latitude in metres"
    (skipped,) = (record.message for record in caplog.records if "skipped" in record.message)
    assert skipped == f"{photos}: skipped 1, no position: nowhere.jpg"
    (descriptors,) = (each for each in list_artifacts(tmp_path / "artifacts") if each.parts[-3] == "descriptors")
    made = read_recipe(descriptors)["summary"]["made"]
    assert made == "3 images embedded in 8 dimensions; 1 rejected: 1 no position"

    def embed_again(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("evaluation.descriptors.chunks.embed_job.extract_chunks", embed_again)
    assert localize(photos, photos / "red.jpg")["matches"][0]["path"] == "red.jpg"
    assert localize(descriptors, photos / "red.jpg")["matches"][0]["path"] == "red.jpg"


def test_photos_with_sf_xl_names_need_no_exif(localize: Run, tmp_path: Path) -> None:
    write_images(tmp_path / "city", (2015,))
    photo = sorted((tmp_path / "city").iterdir())[3]
    assert localize(tmp_path / "city", photo)["matches"][0]["path"] == photo.name


def test_a_method_localizes_and_photos_get_its_size(photos: Path, localize: Run, tmp_path: Path) -> None:
    write_repository(tmp_path / "repository")
    entry = "repository:colours(sizes=28)"
    for flags in (("--input-multiple", "28"), ("--input-size", "56x84")):
        located = localize(photos, photos / "green.jpg", entry, "--trust-repo", *flags)
        assert (located["error"], located["matches"][0]["path"]) == (None, "green.jpg")
    with pytest.raises(UserError, match="runs code of others"):
        localize(photos, photos / "green.jpg", entry)
    with pytest.raises(UserError, match=r"input_size = 56: no effect, because .*model\.pth is not a method"):
        localize(photos, photos / "green.jpg", "model.pth", "--input-size", "56")


def test_min_certainty_is_checked_before_photos_are_embedded(photos: Path, localize: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--min-certainty 0\.9: certainty not calibrated: .*Run `cosplace evaluate"):
        localize(photos, photos / "green.jpg", "model.pth", "--min-certainty", "0.9")
    assert not (tmp_path / "artifacts" / "descriptors").exists()


def test_photos_in_a_bucket_are_a_database(tmp_path: Path, localize: Run, objects: ObjectServer) -> None:
    write_images(tmp_path / "city", (2015,))
    files = sorted((tmp_path / "city").glob("*.jpg"))
    objects.put_files(tmp_path / "city", "city")
    of_bucket = localize("s3://bucket/city", files[0])
    assert of_bucket["matches"][0]["path"] == files[0].name
    assert of_bucket["matches"][0]["score"] == pytest.approx(1, abs=1e-5)
