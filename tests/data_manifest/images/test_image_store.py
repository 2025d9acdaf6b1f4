import os
from pathlib import Path

import pytest

from data_manifest.images.image_store import FolderStore, OpenedImage, read_file, store_of
from data_manifest.images.images_folder import as_images_folder
from tests.object_server import ObjectServer


def test_folder_gives_each_image_or_its_error(tmp_path: Path) -> None:
    (tmp_path / "é").mkdir()
    (tmp_path / "é/1.jpg").write_bytes(b"one")
    (tmp_path / "2.jpg").write_bytes(b"")
    first, missing, empty, folder = FolderStore(tmp_path).read(["é/1.jpg", "no.jpg", "2.jpg", "é"])
    assert (first, empty) == (b"one", b"")
    assert isinstance(missing, FileNotFoundError)
    assert missing.filename == f"{tmp_path}/no.jpg"
    assert isinstance(folder, IsADirectoryError)


def test_folder_reads_an_image_when_its_turn_comes(tmp_path: Path) -> None:
    images = FolderStore(tmp_path).read(["1.jpg", "2.jpg"])
    (tmp_path / "1.jpg").write_bytes(b"one")
    assert next(images) == b"one"
    (tmp_path / "2.jpg").write_bytes(b"two")
    assert next(images) == b"two"


def test_folder_opens_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    os.utime(tmp_path / "1.jpg", ns=(5, 123_456_789))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    images = FolderStore(tmp_path).open(["1.jpg", "no.jpg", "pipe.jpg", "folder.jpg"])
    opened = next(images)
    assert isinstance(opened, OpenedImage)
    assert (opened.file.read(), opened.bytes, opened.modified_ns) == (b"one", 3, 123_456_789)
    missing, pipe, folder = images
    assert opened.file.closed
    assert isinstance(missing, FileNotFoundError)
    assert str(pipe) == "not a regular file"
    assert isinstance(folder, IsADirectoryError)
    with pytest.raises(FileNotFoundError):
        next(FolderStore(tmp_path / "no").open(["1.jpg"]))


def test_store_follows_from_the_form_of_the_folder(tmp_path: Path, objects: ObjectServer) -> None:
    (tmp_path / "1.jpg").write_bytes(b"here")
    objects.put("a/1.jpg", b"there")
    for folder, content in ((tmp_path, b"here"), (as_images_folder("s3://bucket/a"), b"there")):
        assert list(store_of(folder).read(["1.jpg"])) == [content]
        assert read_file(folder / "1.jpg") == content
        with pytest.raises(FileNotFoundError):
            read_file(folder / "2.jpg")
