import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import (
    CLAIMS,
    MAX_NAME_BYTES,
    PARTS,
    data_set_identity,
    data_set_name,
    first_file,
    part_name,
    plain_name,
)


def make_folder(folder: Path, content: str = "image", name: str = "@1@2@.jpg") -> Path:
    """Make a folder with one file of a fixed time."""
    folder.mkdir(parents=True)
    (folder / name).write_text(content)
    os.utime(folder / name, ns=(10**18, 10**18))
    return folder


def make_city(disk: Path, content: str = "image", name: str = "@1@2@.jpg") -> Path:
    """Make a folder of which each disk has one, with the plain name sf-xl-city."""
    return make_folder(disk / "sf" / "xl" / "city", content, name)


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def test_a_name_belongs_to_the_first_folder_and_stays_with_it(
    tmp_path: Path, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    day, night = (make_city(tmp_path / each) for each in ("昼", "夜"))
    for _ in range(2):
        assert [data_set_name(each, artifacts) for each in (day, night)] == ["sf-xl-city", "sf-xl-city-2"]
    assert caplog.messages == [f"{night} gets the name sf-xl-city-2: sf-xl-city is taken"]
    assert data_set_name(make_city(tmp_path / "dawn"), artifacts, claim=False) == "sf-xl-city-3"
    assert data_set_identity(day, artifacts) != data_set_identity(night, artifacts)


def test_looking_a_name_up_records_nothing(tmp_path: Path, artifacts: Path) -> None:
    assert data_set_name(make_city(tmp_path), artifacts, claim=False) == "sf-xl-city"
    assert not artifacts.exists()


def test_a_symlink_is_the_folder_that_it_points_to(tmp_path: Path, artifacts: Path) -> None:
    first, second = (make_folder(tmp_path / each) for each in ("v1", "v2"))
    link = tmp_path / "link"
    link.symlink_to(first)
    name, identity = data_set_name(link, artifacts), data_set_identity(link, artifacts)
    (first / "@0@0@.jpg").touch()
    assert data_set_identity(first, artifacts) == identity
    link.unlink()
    link.symlink_to(second)
    assert data_set_name(link, artifacts) == f"{name}-2"
    assert data_set_identity(link, artifacts) != identity


def test_a_moved_folder_keeps_its_name_and_its_identity(tmp_path: Path, artifacts: Path) -> None:
    for name, disk in (("sf-xl-city", "a"), ("sf-xl-city-2", "b")):
        folder = make_city(tmp_path / disk, content=disk)
        assert data_set_name(folder, artifacts) == name
    identity = data_set_identity(folder, artifacts)
    (tmp_path / "mounted" / "sf" / "xl").mkdir(parents=True)
    moved = folder.rename(tmp_path / "mounted" / "sf" / "xl" / "city")
    for _ in range(2):
        assert (data_set_name(moved, artifacts), data_set_identity(moved, artifacts)) == ("sf-xl-city-2", identity)


def test_a_renamed_folder_keeps_its_identity(tmp_path: Path, artifacts: Path) -> None:
    folder = make_city(tmp_path / "a")
    identity = data_set_identity(folder, artifacts)
    renamed = folder.rename(tmp_path / "town")
    (renamed / "@9@9@.jpg").touch()
    assert data_set_name(renamed, artifacts).endswith("-town")
    assert data_set_identity(renamed, artifacts) == identity
    new = make_city(tmp_path / "a", content="other images at the old place")
    assert data_set_name(new, artifacts) == "sf-xl-city-2"
    assert data_set_identity(new, artifacts) != identity


def test_another_folder_does_not_take_the_name_of_one_that_is_gone(tmp_path: Path, artifacts: Path) -> None:
    folder = make_city(tmp_path / "a")
    names, identities = {data_set_name(folder, artifacts)}, {data_set_identity(folder, artifacts)}
    folder.rename(tmp_path / "unplugged")
    for number, (content, name) in enumerate([("another image", "@1@2@.jpg"), ("image", "@3@4@.jpg")]):
        other = make_city(tmp_path / str(number), content, name)
        names.add(data_set_name(other, artifacts))
        identities.add(data_set_identity(other, artifacts))
    assert names == {"sf-xl-city", "sf-xl-city-2", "sf-xl-city-3"}
    assert len(identities) == 3


def test_a_copy_is_another_data_set_while_the_first_is_there(tmp_path: Path, artifacts: Path) -> None:
    names = [data_set_name(make_city(tmp_path / each), artifacts) for each in ("a", "b")]
    assert names == ["sf-xl-city", "sf-xl-city-2"]


def test_a_mistyped_folder_claims_no_name(tmp_path: Path, artifacts: Path) -> None:
    assert data_set_name(tmp_path / "typo" / "sf" / "xl" / "city", artifacts) == "sf-xl-city"
    assert data_set_name(make_city(tmp_path), artifacts) == "sf-xl-city"


def test_a_list_of_images_is_enough_to_claim_a_name(tmp_path: Path, artifacts: Path) -> None:
    for disk in ("a", "b"):
        folder = tmp_path / disk / "sf" / "xl"
        folder.mkdir(parents=True)
        (folder / "city_images_paths.txt").write_text("@1@2@.jpg\n")
    names = [data_set_name(tmp_path / disk / "sf" / "xl" / "city", artifacts) for disk in ("a", "b")]
    assert names == ["sf-xl-city", "sf-xl-city-2"]


def test_folders_that_claim_a_name_at_once_have_different_ones(tmp_path: Path, artifacts: Path) -> None:
    folders = [make_city(tmp_path / str(number)) for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        names = list(threads.map(lambda folder: data_set_name(folder, artifacts), folders))
    assert sorted(names) == sorted(["sf-xl-city", *(f"sf-xl-city-{number}" for number in range(2, 17))])


def test_without_hard_links_names_are_claimed_all_the_same(
    tmp_path: Path, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", refuse)
    names = [data_set_name(make_city(tmp_path / each), artifacts) for each in ("a", "b")]
    assert names == ["sf-xl-city", "sf-xl-city-2"]
    assert sorted(path.stem for path in (artifacts / CLAIMS).iterdir()) == names


def test_where_nothing_can_be_written_the_name_is_given(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file")
    assert data_set_name(make_city(tmp_path), tmp_path / "artifacts") == "sf-xl-city"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"folder": "/a"}'])
def test_a_damaged_record_is_named(content: str, tmp_path: Path, artifacts: Path) -> None:
    (artifacts / CLAIMS).mkdir(parents=True)
    (artifacts / CLAIMS / "sf-xl-city.json").write_text(content)
    with pytest.raises(UserError, match=r"city\.json is damaged .* Remove it and run again\."):
        data_set_name(make_city(tmp_path), artifacts)


def test_links_in_a_circle_have_no_first_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "itself").symlink_to("itself")
    assert first_file(tmp_path) is None


def test_the_first_file_is_below_and_not_hidden(tmp_path: Path) -> None:
    assert first_file(tmp_path) is None
    (tmp_path / "empty").mkdir()
    make_folder(tmp_path / ".hidden")
    (tmp_path / ".DS_Store").touch()
    assert first_file(tmp_path) is None
    assert first_file(make_folder(tmp_path / "36.1" / "a").parents[1]) == tmp_path / "36.1" / "a" / "@1@2@.jpg"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/data/sf-xl/processed/train", "sf-xl-processed-train"),
        ("/mnt/other/sf-xl/processed/train/", "sf-xl-processed-train"),
        ("/data/sf-xl/processed/val/queries", "sf-xl-processed-val-queries"),
        ("/data/sf-xl/processed/test/queries_night/", "sf-xl-processed-test-queries_night"),
        ("/test/database", "test-database"),
        ("/train", "train"),
        ("/a/train", "a-train"),
        ("/", "images"),
        ("/.hidden", "hidden"),
        ("/data/sf xl/@home/tr\u00e4n", "sf_xl-_home-tr\u00e4n"),
        ("/data/tra\u0308n", "data-tr\u00e4n"),  # as macOS writes it
        ("/srv/昼/city/train", "昼-city-train"),
        ("/srv/हिन्दी/train", "srv-हिन्दी-train"),
        ("/srv/\udcff/train", "srv-_-train"),
        ("/a/b/c\nd/e", "b-c_d-e"),
        ("/..", "images"),
    ],
)
def test_plain_names(folder: str, name: str) -> None:
    assert plain_name(Path(folder)) == name


def test_a_relative_folder_has_the_name_of_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert plain_name(Path("train")) == plain_name(tmp_path / "train")


def test_long_names_keep_their_end() -> None:
    name = plain_name(Path("/", "夜" * 80, "街" * 80, "train"))
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith("街-train")


def test_a_dangling_link_does_not_identify_a_folder(tmp_path: Path, artifacts: Path) -> None:
    folders = [tmp_path / disk / "xl" / "city" for disk in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "@1@2@.jpg").symlink_to("/nowhere/1.jpg")
    name, identity = data_set_name(folders[0], artifacts), data_set_identity(folders[0], artifacts)
    folders[0].rename(tmp_path / "gone")
    assert data_set_name(folders[1], artifacts) != name
    assert data_set_identity(folders[1], artifacts) != identity


@pytest.mark.parametrize("target", [".", "..", "here", "/nowhere"])
def test_links_that_lead_back_or_nowhere_are_passed_over(tmp_path: Path, artifacts: Path, target: str) -> None:
    folder = tmp_path / "photos" / "city"
    folder.mkdir(parents=True)
    (folder / "here").symlink_to(target)
    assert data_set_name(folder, artifacts) == plain_name(folder)
    assert first_file(folder) is None
    (folder / "1.jpg").touch()
    assert first_file(folder) == folder / "1.jpg"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("split_first", [True, False])
def test_no_folder_shares_a_name_with_a_part_of_split_photos(
    tmp_path: Path, artifacts: Path, part: str, split_first: bool
) -> None:
    photos = make_folder(tmp_path / "photos")
    real = make_folder(tmp_path / f"photos-{part.replace('/', '-')}")
    both = (photos, real) if split_first else (real, photos)
    for _ in range(2):
        first, second = (data_set_name(each, artifacts) for each in both)
        assert first == plain_name(both[0])
        assert second == f"{plain_name(both[1])}-2"
        assert data_set_name(real, artifacts) != part_name(data_set_name(photos, artifacts), part)
