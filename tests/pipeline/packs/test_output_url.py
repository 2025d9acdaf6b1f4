"""Packs that are written to a bucket: the same shards as on this machine, none of which stays here."""

import shutil
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.images import object_store
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.packs.open_packs import find_packs, open_packs
from pipeline.packs.settings import PackSettings
from tests.helpers import files_in
from tests.object_server import ObjectServer
from tests.pipeline.packs.conftest import ODD, SIX, WriteGroups, content_of, pack, write_image

URL = ImagesUrl.parse("s3://bucket/packs")


def objects_of(objects: ObjectServer, packs: Path) -> dict[str, bytes]:
    prefix = f"packs/{packs.name}/"
    return {key.removeprefix(prefix): each for key, each in objects.objects.items() if key.startswith(prefix)}


def test_bucket_gets_what_the_folder_would_have(
    write_groups: WriteGroups, tmp_path: Path, objects: ObjectServer
) -> None:
    folder = write_groups({0: sorted(ODD), 3: SIX})
    expected = pack(folder, 0, 3)
    packs = pack(folder, 0, 3, url=URL)
    found = objects_of(objects, packs)
    assert found.pop("recipe.json") == (packs / "recipe.json").read_bytes()
    others = files_in(expected)
    others.pop("recipe.json")
    assert found == others
    assert not list(packs.rglob("*.tar"))
    assert not list((tmp_path / "artifacts" / "runs").rglob("*.tar"))
    for path, content in found.items():
        write_image(tmp_path / "copied back" / path, content)
    shutil.copyfile(packs / "recipe.json", tmp_path / "copied back" / "recipe.json")
    for place in (packs, URL / packs.name, tmp_path / "copied back"):
        store = open_packs(find_packs(place), folder, [0, 3], tmp_path / "lookup.npy")
        assert list(store.read([*ODD, *SIX])) == [content_of(path) for path in (*ODD, *SIX)]
        objects.objects = objects.objects if place == packs else {}


def test_interrupted_upload_resumes_and_unchanged_groups_are_copied(
    write_groups: WriteGroups, tmp_path: Path, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, upload, uploaded = write_groups({0: SIX, 1: ["d.jpg"]}), object_store.upload, list[str]()

    def fail_at_fourth(file: Path, url: ImagesUrl) -> None:
        if len(uploaded) == 3:
            raise UserError("stopped")
        uploaded.append(url.name)
        upload(file, url)

    with monkeypatch.context() as patch:
        patch.setattr(object_store, "upload", fail_at_fourth)
        with pytest.raises(UserError, match="stopped"):
            pack(folder, 0, 1, url=URL)
    assert not [key for key in objects.objects if key.endswith("recipe.json")]
    first = pack(folder, 0, 1, url=URL)
    counts = {name: objects.requests["PUT", f"packs/{first.name}/shards/{name}"] for name in uploaded}
    assert set(counts.values()) == {1}, "none is uploaded twice"
    write_image(tmp_path / "images" / "d.jpg", b"another")
    second = pack(folder, 0, 1, url=URL)
    before, after = (objects_of(objects, each) for each in (first, second))
    same = [name for name in before if name.startswith("shards/group-000000") and before[name] == after[name]]
    assert len(same) == 3
    assert before["shards/group-000001-0000.tar"] != after["shards/group-000001-0000.tar"]
    del objects.objects[f"packs/{second.name}/shards/group-000000-0000.tar"]
    write_image(tmp_path / "images" / "d.jpg", b"one more")
    shutil.rmtree(first)
    with pytest.raises(UserError, match=r"its shard group-000000-0000\.tar is missing\. Remove"):
        pack(folder, 0, 1, url=URL)


@pytest.mark.parametrize("url", ["https://host/packs", "packs"])
def test_only_buckets_are_written(url: str) -> None:
    with pytest.raises(UserError, match=f"output_url = {url}: give the URL of a bucket"):
        PackSettings(output_url=url)  # type: ignore[arg-type]
