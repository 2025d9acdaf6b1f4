import pickle
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesUrl, as_images_folder, is_missing, is_url


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://bucket/sf-xl/processed", "s3://bucket/sf-xl/processed"),
        ("S3://bucket//sf-xl/./processed/", "s3://bucket/sf-xl/processed"),
        ("gs://bucket", "gs://bucket"),
        ("az://container/a b/é", "az://container/a b/é"),
        ("https://host:8080/x%20y/#1", "https://host:8080/x%20y/#1"),
    ],
)
def test_url_is_kept_and_written_in_one_way(given: str, shown: str) -> None:
    url = as_images_folder(given)
    assert isinstance(url, ImagesUrl)
    assert str(url) == f"{url}" == shown
    assert as_images_folder(shown) == url
    assert pickle.loads(pickle.dumps(url)) == url
    assert url.absolute() == url.resolve() == as_images_folder(url) == url


def test_url_has_the_parts_of_a_path() -> None:
    url = ImagesUrl.parse("s3://bucket/a")
    assert str(url / "b/c.jpg") == "s3://bucket/a/b/c.jpg"
    assert url / "" == url
    assert (url / "b/c.jpg").name == "c.jpg"
    assert (url / "b/c.jpg").parent == url / "b"
    assert str(url.parent) == "s3://bucket"
    assert [url.can_list, ImagesUrl.parse("https://host/a").can_list] == [True, False]


@pytest.mark.parametrize("path", ["photos", "/a/s3/b", "a:/b", "C:/x", ".", "odd:name/x"])
def test_other_texts_are_paths(path: str) -> None:
    assert as_images_folder(path) == Path(path)
    assert not is_url(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ftp://host/x", "ftp://host/x: unknown scheme ftp. Use a folder, or one of s3://, gs://"),
        ("s3://", "s3://: no bucket or host in it. Write s3://bucket/folder."),
        ("s3:/bucket/x", "s3:/bucket/x: no bucket or host in it. Write s3://bucket/folder."),
        ("https://me:secret@host/x", "https://...@host/x: URLs of images must not contain credentials"),
        ("https://host/x?sig=secret", "https://host/x?...: URLs of images must not contain credentials"),
    ],
)
def test_url_that_cannot_be_used_is_one_clear_error_without_secrets(given: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        as_images_folder(given)
    assert str(error.value).startswith(message)
    assert "secret" not in str(error.value)


def test_code_that_reads_files_does_not_accept_a_url() -> None:
    url = ImagesUrl.parse("s3://bucket/a")
    for read in (open, Path):
        with pytest.raises(TypeError, match="not a path on this machine"):
            read(url)
    assert not is_missing(url)


def test_folder_of_this_machine(tmp_path: Path) -> None:
    assert [is_missing(tmp_path), is_missing(tmp_path / "none")] == [False, True]
    with pytest.raises(ValueError, match=r"^$"):
        as_images_folder("")
