from pathlib import Path

import pytest

from data_manifest.images.image_store import FolderStore, read_file, store_of
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


def test_store_follows_from_the_form_of_the_folder(tmp_path: Path, objects: ObjectServer) -> None:
    (tmp_path / "1.jpg").write_bytes(b"here")
    objects.put("a/1.jpg", b"there")
    for folder, content in ((tmp_path, b"here"), (as_images_folder("s3://bucket/a"), b"there")):
        assert list(store_of(folder).read(["1.jpg"])) == [content]
        assert read_file(folder / "1.jpg") == content
        with pytest.raises(FileNotFoundError):
            read_file(folder / "2.jpg")
