import multiprocessing
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_manifest.errors import UserError
from data_manifest.images import object_store
from data_manifest.images.image_store import OpenedImage
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_listing import object_states
from data_manifest.images.object_store import REQUESTS, ObjectStore, client_of
from tests.object_server import CUT_OFF, RESET, ObjectServer, serving

NAMES = ["@0548@37.7@.jpg", "a b/é #1%20?&+~.jpg", "deep/er/x.png"]


def store(url: str = "s3://bucket/sf-xl") -> ObjectStore:
    return ObjectStore(ImagesUrl.parse(url))


def read_in_another_process(content: bytes) -> list[bytes | OSError]:
    return list(pickle.loads(content).read(["1.jpg"]))


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_objects_are_read_in_order_whatever_their_names(objects: ObjectServer, kind: str) -> None:
    for name in NAMES:
        objects.put(f"sf-xl/{name}", name.encode() * 1000)
    read = store("s3://bucket/sf-xl" if kind == "s3" else f"{objects.url}/sf-xl").read(NAMES[::-1])
    assert list(read) == [name.encode() * 1000 for name in NAMES[::-1]]


def test_missing_object_is_an_error_of_its_image(objects: ObjectServer) -> None:
    objects.put("sf-xl/1.jpg", b"one")
    missing, one, odd = store().read(["2.jpg", "1.jpg", "../1.jpg"])
    assert one == b"one"
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "no such object: s3://bucket/sf-xl/2.jpg"
    assert isinstance(odd, FileNotFoundError)
    assert list(store().read([])) == []


@pytest.mark.parametrize("failure", [429, 500, 503, RESET, CUT_OFF])
@pytest.mark.parametrize("with_etags", [True, False])
@pytest.mark.parametrize("with_ranges", [True, False])
def test_errors_of_the_network_are_retried(
    objects: ObjectServer, failure: int | str, with_etags: bool, with_ranges: bool
) -> None:
    objects.with_etags, objects.with_ranges = with_etags, with_ranges
    objects.put("sf-xl/1.jpg", b"0123456789" * 1000)
    objects.failures["sf-xl/1.jpg"] = [failure] * 2
    assert list(store().read(["1.jpg"])) == [b"0123456789" * 1000]
    assert objects.requests["GET", "sf-xl/1.jpg"] >= 3


@pytest.mark.parametrize("failure", [429, 503, RESET, CUT_OFF])
def test_store_that_does_not_recover_is_one_error_for_all_images(objects: ObjectServer, failure: int | str) -> None:
    objects.with_etags = False
    objects.put("sf-xl/1.jpg", b"0123456789")
    objects.failures["sf-xl/1.jpg"] = [failure] * 100
    with pytest.raises(
        UserError, match=r"^s3://bucket/sf-xl/1\.jpg: cannot be read \(.*same command again\.$"
    ) as error:
        list(store().read(["1.jpg"]))
    assert "\n" not in str(error.value)
    assert 3 < objects.requests["GET", "sf-xl/1.jpg"] < 100


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_names_the_variables_and_no_secret(objects: ObjectServer, status: int) -> None:
    objects.failures["sf-xl/1.jpg"] = [status]
    with pytest.raises(UserError, match=r"sf-xl/1\.jpg: permission denied.*AWS_ACCESS_KEY_ID") as error:
        list(store().read(["1.jpg"]))
    assert "very-secret" not in str(error.value)


def test_images_are_read_at_the_same_time_up_to_a_limit(objects: ObjectServer) -> None:
    names = [f"{number}.jpg" for number in range(3 * REQUESTS)]
    for name in names:
        objects.put(f"sf-xl/{name}", name.encode())
    objects.delay_s = 0.02
    assert list(store().read(names)) == [name.encode() for name in names]
    assert REQUESTS // 2 < objects.most_at_once <= REQUESTS


@pytest.mark.parametrize("with_ranges", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_opened_objects_are_read_at_any_place(
    objects: ObjectServer, monkeypatch: pytest.MonkeyPatch, whole: bool, with_ranges: bool
) -> None:
    monkeypatch.setattr(object_store, "HEAD_BYTES", 5_000)
    objects.with_ranges = with_ranges
    contents = {"large": bytes(range(256)) * 80, "small": b"0123456789" * 20, "empty": b""}
    for name, content in contents.items():
        objects.put(f"sf-xl/{name}", content)
        objects.failures[f"sf-xl/{name}"] = [503, RESET]
    for name, opened in zip(contents, store().open(list(contents), whole), strict=True):
        assert not isinstance(opened, OSError)
        assert opened.bytes == len(contents[name])
        assert opened.file.read(3) == contents[name][:3]
        read_begin = objects.requests["GET", f"sf-xl/{name}"]
        assert opened.file.seek(-3, os.SEEK_END) == len(contents[name]) - 3 if contents[name] else True
        assert opened.file.read(9) == contents[name][-3:]
        opened.file.seek(4_000 if name == "large" else 0)
        assert opened.file.read() == contents[name][4_000 if name == "large" else 0 :]
        fetched_rest = not whole and with_ranges and name == "large"
        assert objects.requests["GET", f"sf-xl/{name}"] == read_begin + fetched_rest


def test_states_of_opened_objects_are_those_of_single_requests(objects: ObjectServer) -> None:
    objects.put("sf-xl/1.jpg", b"one", modified=1_700_000_007)
    for whole in (True, False):
        (opened,) = store().open(["1.jpg"], whole)
        assert isinstance(opened, OpenedImage)
        assert (opened.bytes, opened.modified_ns) == object_states(store().folder, ["1.jpg"])[0]


def test_parts_of_two_versions_of_an_object_are_never_mixed(
    objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "HEAD_BYTES", 10)
    objects.put("sf-xl/1.jpg", b"a" * 10_000)
    for opened in store().open(["1.jpg"], whole=False):
        assert isinstance(opened, OpenedImage)
        objects.put("sf-xl/1.jpg", b"b" * 10_000)
        with pytest.raises(UserError, match=r"sf-xl/1\.jpg: cannot be read .*run the same command again"):
            opened.file.read()


def test_each_process_makes_its_own_client(objects: ObjectServer) -> None:
    objects.put("sf-xl/1.jpg", b"one")
    assert client_of("s3://bucket") is client_of("s3://bucket")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(read_in_another_process, (pickle.dumps(store()),)) == [b"one"]
    assert b"very-secret" not in pickle.dumps(store())


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UserError, match=r"^Images at a URL need an extra package: pip install obstore$"):
        store()


def test_missing_account_is_named(objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"az://container.*: no credentials\. Set AZURE_STORAGE_ACCOUNT_NAME"):
        list(store("az://container/x").read(["1.jpg"]))


def test_a_server_that_comes_back_is_waited_for(objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "RETRY", {**object_store.RETRY, "max_retries": 1_000})
    with serving() as server:
        port = server.server_port
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(lambda: list(store(f"http://127.0.0.1:{port}/a").read(["1.jpg"])))
        time.sleep(0.5)
        assert not reading.done()
        with serving(port, {"a/1.jpg": b"one"}):
            assert reading.result() == [b"one"]


def test_missing_credentials_are_noted_before_the_machine_is_asked(
    objects: ObjectServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client_of("s3://bucket")
    assert not caplog.messages
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    client_of("s3://other")
    client_of(objects.url)
    assert caplog.messages == ["s3://other: no credentials in the environment, trying those of this machine"]
