"""Files that systems put among the photos: skipped, counted and reported."""

import logging
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.listing.cache import cache_folder
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest

NameWith = Callable[..., str]
SKIPPED_FOLDERS = (
    *("@eaDir", "@EADIR", ".thumbnails", "__MACOSX", "lost+found", "#recycle", ".Trash-1000", "$RECYCLE.BIN"),
    *("System Volume Information", "deep/.cache", "deep/@eaDir/1.jpg"),
)


@pytest.fixture
def photos(tmp_path: Path, name_with: NameWith) -> Path:
    """A folder of two photos, and what systems keep beside them."""
    for folder in ("", "deep", *SKIPPED_FOLDERS):
        (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / folder / name_with(pano_id=folder.replace("/", "-"))).touch()
    for name in (f"._{name_with()}", ".hidden.PNG", "deep/._a.jpeg", ".DS_Store", "deep/.notes.txt"):
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


def test_they_are_skipped_counted_and_reported(
    photos: Path, tmp_path: Path, name_with: NameWith, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipeline.manifest.build_manifest")
    artifact = build_manifest(photos, tmp_path / "A", "photos")
    assert read_table(artifact, "manifest")["path"].to_list() == [
        name_with(pano_id=""),
        f"deep/{name_with(pano_id='deep')}",
    ]
    assert read_table(artifact, "rejects").is_empty()
    summary = read_recipe(artifact)["summary"]
    assert {name: summary[name] for name in ("files", "hidden_images", "skipped_folders")} == {
        "files": 2,
        "hidden_images": 3,
        "skipped_folders": 11,
    }
    assert "photos: skipped 3 hidden images and 11 folders (@eaDir, " in caplog.text


@pytest.mark.parametrize("root", [".cache/photos", "@eaDir", "x/lost+found", ".photos"])
def test_the_folder_that_is_asked_for_may_have_any_name(tmp_path: Path, name_with: NameWith, root: str) -> None:
    (tmp_path / root / "2019").mkdir(parents=True)
    (tmp_path / root / "2019" / name_with()).touch()
    artifact = build_manifest(tmp_path / root, tmp_path / "A")
    assert read_table(artifact, "manifest")["path"].to_list() == [f"2019/{name_with()}"]


def test_folders_that_a_user_may_have_named_are_listed(tmp_path: Path, name_with: NameWith) -> None:
    folders = ("thumbs", "eaDir", "@home", "recycle", "a.b", "lost and found", "#1")
    for folder in folders:
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / name_with()).touch()
    artifact = build_manifest(tmp_path / "photos", tmp_path / "A")
    assert {Path(path).parent.name for path in read_table(artifact, "manifest")["path"]} == set(folders)


def test_a_folder_of_nothing_else_says_what_was_skipped(tmp_path: Path) -> None:
    (tmp_path / "photos" / "@eaDir").mkdir(parents=True)
    (tmp_path / "photos" / "._1.jpg").touch()
    with pytest.raises(UserError, match=r"no image in it .*; skipped 1 hidden images and 1 folders \(@eaDir\)"):
        build_manifest(tmp_path / "photos", tmp_path / "A")


def test_a_list_names_what_is_wanted_except_for_metadata(tmp_path: Path, name_with: NameWith) -> None:
    wanted = [f".cache/{name_with()}", f"@eaDir/{name_with()}"]
    metadata = [f"._{name_with()}", f"deep/._{name_with()}", "deep/._1.jpg"]
    (tmp_path / "photos_images_paths.txt").write_text("\n".join([*wanted, *metadata]))
    artifact = build_manifest(tmp_path / "photos", tmp_path / "A")
    assert read_table(artifact, "manifest")["path"].to_list() == sorted(wanted)
    rejects = read_table(artifact, "rejects")
    assert rejects["path"].to_list() == sorted(metadata)
    assert set(rejects["reason"]) == {"not an image name"}
    assert set(rejects["detail"]) == {"macOS metadata, not a photo"}


def test_a_listing_of_an_older_version_is_not_taken(
    photos: Path, tmp_path: Path, an_hour_passes: Callable[[], None]
) -> None:
    an_hour_passes()
    first = list_images(photos, tmp_path / "A")
    file = cache_folder(tmp_path / "A", photos) / "folders.parquet"
    older = pl.read_parquet(file).drop("hidden_images", "skipped_folders")
    older.with_columns(count=pl.col("count") + 1, digest=pl.lit("of other names")).write_parquet(file)
    assert list_images(photos, tmp_path / "A").fingerprint == first.fingerprint


def test_a_cached_listing_still_says_what_was_skipped(
    photos: Path, tmp_path: Path, an_hour_passes: Callable[[], None]
) -> None:
    an_hour_passes()
    counts = [list_images(photos, tmp_path / "A").skipped.counts for _ in range(2)]
    assert counts == [{"hidden_images": 3, "skipped_folders": 11}] * 2
