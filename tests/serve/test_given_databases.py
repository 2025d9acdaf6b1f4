"""The databases that the flags of `cosplace serve` name, and what is loaded again."""

import argparse
import shutil
from pathlib import Path

import pytest

from cosplace.serve_databases import GivenDatabases, add_serve, by_name, named_database
from data_manifest.command_line.command_parser import CommandParser
from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesUrl
from tests.helpers import write_images
from tests.serve.conftest import needs_server, publish_model, save_random_weights

pytestmark = needs_server


def given(model: Path | str, *databases: str, artifacts: Path | None = None) -> GivenDatabases:
    parser = CommandParser()
    add_serve(parser)
    words = [word for database in databases for word in ("--database", database)]
    folder = ["--artifacts-folder", str(artifacts)] if artifacts else []
    options = parser.parse_args(["--model", str(model), *words, *folder, "--device", "cpu", "--num-workers", "0"])
    return GivenDatabases(options)


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("photos", None, Path("photos")),
        ("sf=photos", "sf", Path("photos")),
        ("sf-xl_v1.0=a/b=c", "sf-xl_v1.0", Path("a/b=c")),
        ("my town=photos", None, Path("my town=photos")),
        ("a/b=photos", None, Path("a/b=photos")),
        ("=photos", None, Path("=photos")),
        ("sf=", None, Path("sf=")),
        ("s3://bucket/a=b", None, ImagesUrl("s3://bucket", "a=b")),
        ("sf=s3://bucket/a", "sf", ImagesUrl("s3://bucket", "a")),
    ],
)
def test_names_of_databases(text: str, name: str | None, path: Path | ImagesUrl) -> None:
    assert named_database(text) == (name, path)


def test_an_existing_path_with_an_equals_sign_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_database("a=b") == ("a", Path("b"))
    Path("a=b").mkdir()
    assert named_database("a=b") == (None, Path("a=b"))


def test_urls_that_cannot_be_used_are_errors() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="ftp"):
        named_database("sf=ftp://host/a")


def test_several_databases_need_different_names() -> None:
    a, b = Path("a"), Path("b")
    assert by_name([(None, a)]) == {"database": a}
    assert by_name([("x", a), ("y", b)]) == {"x": a, "y": b}
    with pytest.raises(UserError, match=r"--database b: several databases need names\. Pass --database NAME=b"):
        by_name([("x", a), (None, b)])
    with pytest.raises(UserError, match="--database x=b: the name x is given twice"):
        by_name([("x", a), ("x", b)])


@pytest.fixture
def copied(city: Path, tmp_path: Path) -> Path:
    """Artifacts that a test may change; the images stay where they are."""
    shutil.copytree(city / "artifacts", tmp_path / "artifacts", symlinks=True)
    return tmp_path / "artifacts"


@pytest.fixture
def evaluation(copied: Path) -> Path:
    (folder,) = (copied / "evaluation").iterdir()
    return folder


def test_only_what_has_changed_is_loaded_again(copied: Path, evaluation: Path) -> None:
    databases = given(copied / "training" / "city-train", f"a={evaluation}", f"b={evaluation}")
    before = databases.load()
    assert [each.name for each in before] == ["a", "b"]
    assert before[0].localizer._network is before[1].localizer._network
    assert not databases.has_moved()
    assert databases.load(before) == before, "the same objects"
    publish_model(copied, seed=1)
    assert databases.has_moved()
    after = databases.load(before)
    assert not databases.has_moved()
    assert {each.digest for each in after}.isdisjoint(each.digest for each in before)
    assert after[0].localizer.model is after[1].localizer.model is not before[0].localizer.model


def test_a_file_of_weights_is_followed(evaluation: Path, tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    save_random_weights(weights, seed=1)
    databases = given(weights, str(evaluation))
    before = databases.load()
    assert databases.load(before) == before
    save_random_weights(weights, seed=2)
    assert databases.has_moved()
    (after,) = databases.load(before)
    assert after.digest != before[0].digest


def test_new_photos_of_a_folder_are_found_by_a_reload(copied: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "photos", (2015,))
    databases = given(copied / "training" / "city-train", str(tmp_path / "photos"), artifacts=tmp_path / "new")
    before = databases.load()
    write_images(tmp_path / "photos", (2016,))
    (after,) = databases.load(before)
    assert len(after.pictures) > len(before[0].pictures) > 0
    assert databases.load([after]) == [after]


def test_a_failed_reload_is_tried_again_only_when_something_moves(copied: Path, evaluation: Path) -> None:
    databases = given(copied / "training" / "city-train", str(evaluation))
    before = databases.load()
    publish_model(copied, seed=1)
    (copied / "training" / "city-train" / "current" / "model.pth").write_bytes(b"broken")
    with pytest.raises(UserError):
        databases.load(before)
    assert not databases.has_moved()


def test_watch_needs_something_to_follow(copied: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="--watch: neither the model nor a database is an artifact or a file"):
        given("ResNet18-512", str(tmp_path / "photos")).check_watched()
    given(copied / "training" / "city-train", str(tmp_path / "photos")).check_watched()
    assert f"--watch does not follow {tmp_path / 'photos'}. Send SIGHUP to reload" in caplog.text
