import os
import subprocess
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from evaluation.settings import ChosenSets
from evaluation.test_sets.named_sets import NAMED_SETS
from evaluation.test_sets.set_folders import SetFolders, find_sets
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources.keys_source import KEYS_SOURCE


def make(folder: Path, *parts: str) -> Path:
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder


def nowhere(split: str) -> Path:
    raise UserError(f"no folder of {split} images given")


def find(test_sets: str | None, folder: Path | None = None, own: Path | None = None) -> list[SetFolders]:
    return find_sets(ChosenSets(test_sets, folder), (lambda split: own / split) if own else nowhere, "queries_own")


def test_the_default_is_the_data_sets_own_test_set(tmp_path: Path) -> None:
    assert find(None, own=tmp_path) == [SetFolders(tmp_path / "test", "queries_own")]


def test_named_sets_are_found_where_they_are_downloaded_and_those_of_sf_xl_in_the_data_set_too(tmp_path: Path) -> None:
    downloads, own = tmp_path / "downloads", tmp_path / "sf"
    make(own, "test/database", "test/queries_v2", "val/database", "val/queries")
    for folder in ("tokyo247/images/test", "msls/val", "svox/images/test"):
        make(downloads / folder, "database", "queries", "queries_night")
    found = find("tokyo247, sf-xl-v2,SF_XL_val,msls-val,svox-night", downloads, own)
    assert [(Path(each.folder).relative_to(tmp_path).as_posix(), each.queries) for each in found] == [
        ("downloads/tokyo247/images/test", "queries"),
        ("sf/test", "queries_v2"),
        ("sf/val", "queries"),
        ("downloads/msls/val", "queries"),
        ("downloads/svox/images/test", "queries_night"),
    ]
    assert [each.named.name for each in found if each.named] == [
        *("tokyo247", "sf-xl-v2", "sf-xl-val", "msls-val", "svox-night")
    ]
    make(downloads / "sf-xl/processed/test", "database", "queries_v1")
    assert find("sf-xl-v1", downloads, own)[0].folder == downloads / "sf-xl/processed/test"


def test_each_folder_of_queries_is_a_test_set(tmp_path: Path) -> None:
    town = make(tmp_path / "town", "database", "queries_day", "queries_night", "more")
    both = [SetFolders(town, "queries_day"), SetFolders(town, "queries_night")]
    assert find(str(town)) == both
    assert find(f"{town / 'queries_night'},{town}") == both[::-1], "each once"


def test_a_set_given_by_two_paths_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    town = make(tmp_path / "town", "database", "queries")
    (tmp_path / "link").symlink_to(town)
    monkeypatch.chdir(tmp_path)
    assert len(find(f"town,{town},./town,link")) == 1


def test_named_sets_and_folders_with_names_in_the_form_of_sf_xl_are_read_by_names(tmp_path: Path) -> None:
    town = make(tmp_path / "town", "database/empty", "database/more", "queries")
    assert not SetFolders(town, "queries").by_names
    (town / "database" / "more" / "IMG_0001.JPG").touch()
    assert not SetFolders(town, "queries").by_names
    assert SetFolders(town, "queries", NAMED_SETS["nordland"]).by_names
    (town / "database" / "more" / "IMG_0001.JPG").rename(town / "database" / "@0@00352.3@@@@@148@@@@@@@@.jpg")
    assert SetFolders(town, "queries").by_names


def test_thumbnails_do_not_count_as_images(tmp_path: Path) -> None:
    for first, name in (("@eaDir", "@0@1@@@@@@@@@@@@@.jpg"), (".thumbnails", "IMG_1.jpg")):
        folder = make(tmp_path / first, f"database/{first}", "queries") / "database" / first
        (folder / name).touch()
    assert not SetFolders(tmp_path / "@eaDir", "queries").by_names, "there is no photo"
    (tmp_path / ".thumbnails" / "database" / "@0@1@@@@@@@@@@@@@.jpg").touch()
    assert SetFolders(tmp_path / ".thumbnails", "queries").by_names


@pytest.mark.parametrize(
    ("test_sets", "message"),
    [
        ("tokyo24", "no such folder and no named test set. Did you mean tokyo247?"),
        ("zzz", "Names are sf-xl-val, sf-xl-v1"),
        ("tokyo247,", "expected names or folders, separated by commas"),
        ("tokyo247", "No folder given for tokyo247. Pass --test-sets-folder with tokyo247/images/test in it"),
        ("sf-xl-v1", "no folder of test images given"),
        ("EMPTY", "must contain a folder database and one or more folders queries"),
    ],
)
def test_a_wrong_choice_is_an_error(tmp_path: Path, test_sets: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        find(str(tmp_path) if test_sets == "EMPTY" else test_sets)
    assert message in str(caught.value)


def test_a_missing_named_set_is_an_error_with_the_searched_folders(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"eynsham: no database found in .*eynsham/images/test/database, .*eynsham/database"
    ):
        find("eynsham", tmp_path)


def test_links_of_svox_are_named_in_the_error_and_give_the_set(tmp_path: Path) -> None:
    names = [f"queries_{weather}" for weather in ("night", "overcast", "rain", "snow", "sun")]
    folder = make(tmp_path / "svox" / "images" / "test", "gallery", *names)
    for name in names:
        (folder / name / f"@0619725.17@5735782.42@30@U@51.76104@-1.26540@None@@@@@@20141210@{name}@.jpg").touch()
    for beside in ("svox-all: no database found", "svox-all: no queries found"):
        with pytest.raises(UserError, match=f"^{beside}") as caught:
            find("svox-all", tmp_path)
        subprocess.run(["bash", "-c", str(caught.value).rpartition("run: ")[2]], cwd=folder, check=True)
    (found,) = find("svox-all", tmp_path)
    manifest = build_manifest(found.folder / found.queries, tmp_path / "A", strict=False)
    weather = read_table(manifest, "manifest")["path"].str.split("/").list.first().to_list()
    assert weather == [name.removeprefix("queries_") for name in names]


def test_links_of_the_msls_challenge_are_named_in_the_error_and_give_the_set(tmp_path: Path) -> None:
    cities = ("athens", "bengaluru", "buenosaires", "kampala", "miami", "stockholm")
    for city in cities:
        for role in ("database", "query"):
            make(tmp_path / "MSLS" / "test" / city / role, "images")
            (tmp_path / "MSLS" / "test" / city / role / "images" / f"{city}-{role}.jpg").touch()
    folder = make(tmp_path / "msls_challenge", "")
    with pytest.raises(UserError, match=r"^msls-challenge: no database found") as caught:
        find("msls-challenge", tmp_path)
    command = str(caught.value).rpartition("run: ")[2]
    subprocess.run(["bash", "-c", command], cwd=folder, check=True, env={**os.environ, "MSLS": str(tmp_path / "MSLS")})
    (found,) = find("msls-challenge", tmp_path)
    assert not found.has_positions
    manifest = build_manifest(found.folder / found.queries, tmp_path / "A", strict=False, source=KEYS_SOURCE)
    assert read_table(manifest, "manifest")["path"].to_list() == [f"{city}/{city}-query.jpg" for city in cities]


def test_folders_of_queries_may_be_urls() -> None:
    (found,) = find("s3://bucket/sets/city/queries_night")
    assert (str(found.folder), found.queries) == ("s3://bucket/sets/city", "queries_night")
    with pytest.raises(UserError, match=r"URLs must name the queries\. Write s3://bucket/sets/city/queries_v1\.$"):
        find("s3://bucket/sets/city")
