import json
from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import StoreError
from data_manifest.images import object_listing
from data_manifest.images.data_set_names import data_set_identity, data_set_name, has_sf_xl_names
from data_manifest.images.file_states import changed_images, stat_images
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_listing import first_object, list_objects, object_states
from data_manifest.images.object_store import ObjectStore
from tests.object_server import CUT_OFF, ObjectServer

FOLDER = ImagesUrl.parse("s3://bucket/a")
NAMES = ["1.jpg", "b/2.jpg", "b/é #%.jpg", "c/4.png", "c/5.txt", "c/d/6.jpg", "z.jpg"]  # several pages of a listing


@pytest.fixture
def filled(objects: ObjectServer) -> ObjectServer:
    for number, name in enumerate(NAMES):
        objects.put(f"a/{name}", b"x" * number, modified=1_700_000_000 + number)
    objects.put("ab/other.jpg", b"")
    objects.put("other.jpg", b"")
    return objects


def states_of(names: list[str], one_by_one: bool, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.setattr(object_listing, "MAX_HEADS", 1000 if one_by_one else 0)
    return stat_images(pl.Series("path", names), FOLDER)


def test_all_objects_below_the_folder_are_listed_and_no_others(filled: ObjectServer) -> None:
    file = list_objects(FOLDER).file
    assert file.path.read_text().splitlines() == sorted(NAMES)
    assert list_objects(FOLDER).file is file, "once per process"
    path = file.path
    del file
    list_objects.cache_clear()
    assert not path.exists()


@pytest.mark.parametrize("one_by_one", [True, False])
def test_states_are_sizes_and_times_and_null_where_missing(
    filled: ObjectServer, one_by_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = states_of(["z.jpg", "no.jpg", "b/é #%.jpg"], one_by_one, monkeypatch)
    assert states["path"].to_list() == ["z.jpg", "no.jpg", "b/é #%.jpg"]
    assert states["bytes"].to_list() == [6, None, 2]
    seconds = [time and time // 10**9 for time in states["modified_ns"]]
    assert seconds == [1_700_000_006, None, 1_700_000_002]
    assert (filled.requests["HEAD", "a/z.jpg"] == 1) == one_by_one


def test_a_listing_and_single_requests_give_the_same_states(
    filled: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, single = (states_of([*NAMES, "no.jpg"], each, monkeypatch) for each in (False, True))
    assert listed.equals(single)
    assert changed_images(listed, FOLDER).is_empty()


@pytest.mark.parametrize("one_by_one", [True, False])
def test_other_content_of_the_same_size_and_second_is_a_change(
    filled: ObjectServer, one_by_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = states_of(NAMES, one_by_one, monkeypatch)
    filled.put("a/c/4.png", b"yyy", modified=1_700_000_003)
    list_objects.cache_clear()
    assert changed_images(before, FOLDER)["path"].to_list() == ["c/4.png"]


def test_google_cloud_storage(filled: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = {"gcs_base_url": filled.url, "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    folder, names = ImagesUrl.parse("gs://bucket/a"), [*NAMES, "no.jpg"]
    assert list_objects(folder).file.path.read_text().splitlines() == sorted(NAMES)
    assert object_states(folder, names) == object_states(FOLDER, names)
    *read, missing = ObjectStore(folder).read(names)
    assert read == [b"x" * number for number in range(len(NAMES))]
    assert isinstance(missing, FileNotFoundError)
    opened = ObjectStore(folder).open(NAMES, whole=False)
    assert [not isinstance(each, OSError) and each.file.read() for each in opened] == read


def test_states_over_plain_http(filled: ObjectServer) -> None:
    states = stat_images(pl.Series("path", ["1.jpg", "no.jpg"]), ImagesUrl.parse(f"{filled.url}/a"))
    assert states["bytes"].to_list() == [0, None]


def test_an_error_of_the_store_is_not_a_missing_image(filled: ObjectServer) -> None:
    filled.failures["a/1.jpg"] = [503] * 100
    for skip_errors in (False, True):
        with pytest.raises(StoreError, match=r"s3://bucket/a/1\.jpg: cannot be read"):
            stat_images(pl.Series("path", ["1.jpg"]), FOLDER, skip_errors=skip_errors)


def test_a_listing_that_is_cut_off_is_listed_again(filled: ObjectServer) -> None:
    filled.failures[""] = [503, CUT_OFF]
    assert list_objects(FOLDER).file.path.read_text().splitlines() == sorted(NAMES)


def test_first_object_is_not_hidden(filled: ObjectServer) -> None:
    filled.put("sf/.hidden.jpg", b"")
    assert first_object(ImagesUrl.parse("s3://bucket/sf")) == ""
    assert not has_sf_xl_names(FOLDER)
    filled.put("sf/x/@0548@37.jpg", b"")
    assert has_sf_xl_names(ImagesUrl.parse("s3://bucket/sf"))
    assert not has_sf_xl_names(ImagesUrl.parse(f"{filled.url}/sf")), "web servers do not list"


def test_name_and_identity_of_a_bucket(tmp_path: Path) -> None:
    first, second = tmp_path / "A", tmp_path / "B"
    urls = [ImagesUrl.parse(f"{root}/sf-xl/val/database") for root in ("s3://one", "s3://two", "gs://one")]
    assert data_set_name(urls[0], first) == "one-sf-xl-val-database"
    assert data_set_name(ImagesUrl.parse("s3://one"), first) == "one"
    assert data_set_name(urls[2], first) == "one-sf-xl-val-database-2", "another bucket"
    assert len({data_set_identity(url, first) for url in urls}) == 3
    assert data_set_identity(urls[0], first) == data_set_identity(urls[0], second), "on every machine"
