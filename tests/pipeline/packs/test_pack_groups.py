"""Packs are read by tar, tarfile and pyarrow; what is unchanged is linked, what is finished is not written again."""

import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import xxhash

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from pipeline.packs import plan_shards
from pipeline.packs.pack_groups import pack_groups
from pipeline.packs.settings import PackSettings
from tests.helpers import files_in
from tests.pipeline.packs.conftest import ODD, VERY_LONG, WriteGroups, content_of, write_image

SIX = [f"c/{number}.jpg" for number in range(6)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a megabyte 10,000 bytes: two images per shard."""
    monkeypatch.setattr(plan_shards, "MEGABYTE", 10_000)


def pack(groups_folder: Path, *groups: int, **more: object) -> Path:
    artifacts = groups_folder.parents[2]
    settings = PackSettings(shard_megabytes=1)
    return pack_groups(groups_folder, groups, artifacts.parent / "images", artifacts, settings, **more)  # type: ignore[arg-type]


def change(file: Path, content: bytes) -> None:
    before = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))


def index_of(packs: Path, group: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(packs / "index" / f"group-{group:06d}.parquet").to_pylist()
    return rows


def test_any_tool_reads_the_shards_and_the_index(write_groups: WriteGroups) -> None:
    packs = pack(write_groups({0: sorted(ODD), 3: SIX}), 0, 3)
    shards = sorted((packs / "shards").iterdir())
    assert [each.name for each in shards][:2] == ["group-000000-0000.tar", "group-000000-0001.tar"]
    found = {}
    for shard in shards:
        listed = subprocess.run(["tar", "--quoting-style=literal", "-tf", shard], capture_output=True, check=True)
        with tarfile.open(shard) as tar:
            members = tar.getmembers()
            assert listed.stdout.decode().splitlines() == [each.name for each in members]
            for each in members:
                file = tar.extractfile(each)
                assert file is not None
                found[each.name] = file.read()
                assert (each.mtime, each.uid, each.gid, each.mode, each.isreg()) == (0, 0, 0, 0o644, True)
    assert found == {path: content_of(path) for path in (*ODD, *SIX)}
    assert list(found) == [*sorted(ODD), *SIX], "in the order of the members"
    rows = index_of(packs, 0) + index_of(packs, 3)
    assert [row["path"] for row in rows] == [*sorted(ODD), *SIX]
    for row in rows:
        content = (packs / "shards" / str(row["shard"])).read_bytes()[row["offset"] :][: row["size"]]  # type: ignore[index]
        assert content == content_of(str(row["path"]))
        assert row["xxh3"] == xxhash.xxh3_64(content).intdigest()
    summary = read_recipe(packs)["summary"]
    assert summary["made"].startswith("14 images of 2 groups in ")
    assert {group: each["images"] for group, each in summary["groups"].items()} == {"0": 8, "3": 6}


def test_same_bytes_with_any_number_of_workers(write_groups: WriteGroups, tmp_path: Path) -> None:
    folder, packed = write_groups({0: sorted(ODD), 3: SIX}), []
    for workers in (None, 1, 2):
        with ThreadPoolExecutor(workers or 1) as executor:
            packs = pack(folder, 0, 3, executor=executor if workers else None)
        packed.append(files_in(packs))
        packs.rename(tmp_path / f"by-{workers}")
    assert packed[0] == packed[1] == packed[2]


def test_second_run_does_nothing(write_groups: WriteGroups) -> None:
    folder = write_groups({0: SIX})
    packs = pack(folder, 0)
    before = {path: path.stat() for path in packs.rglob("*")}
    assert pack(folder, 0) == packs
    assert {path: path.stat() for path in packs.rglob("*")} == before
    assert list((folder.parents[2] / "runs").glob("*/*")) == []


def test_changed_image_rewrites_only_its_group(write_groups: WriteGroups, tmp_path: Path) -> None:
    folder = write_groups({0: SIX, 1: ["d.jpg"]})
    first = pack(folder, 0)
    second = pack(folder, 0, 1)
    change(tmp_path / "images" / "d.jpg", b"another picture")
    third = pack(folder, 0, 1)
    assert len({first, second, third}) == 3
    for table in ("shards/group-000000-0002.tar", "index/group-000000.parquet", "files/group-000000.parquet"):
        assert len({(packs / table).stat().st_ino for packs in (first, second, third)}) == 1, "linked"
    shards = [(packs / "shards" / "group-000001-0000.tar").read_bytes() for packs in (second, third)]
    assert b"another picture" not in shards[0]
    assert b"another picture" in shards[1]
    assert read_recipe(third)["summary"]["groups"]["0"] == read_recipe(first)["summary"]["groups"]["0"]


def test_missing_images_are_rejects_and_others_stay(write_groups: WriteGroups, tmp_path: Path) -> None:
    folder = write_groups({0: SIX, 1: []})
    (tmp_path / "images" / SIX[2]).unlink()
    write_image(tmp_path / "images" / SIX[3], b"")
    packs = pack(folder, 0, 1)
    assert [row["path"] for row in index_of(packs, 0)] == [*SIX[:2], *SIX[3:]]
    assert [row["size"] for row in index_of(packs, 0)][2] == 0
    rejects = pq.read_table(packs / "rejects" / "group-000000.parquet").to_pylist()
    assert rejects == [{"path": SIX[2], "reason": "vanished", "detail": ""}]
    assert index_of(packs, 1) == []
    assert read_recipe(packs)["summary"]["rejects"] == {"vanished": 1}
    assert "5 images of 2 groups in 2 shards" in read_recipe(packs)["summary"]["made"]


def test_without_any_image_nothing_is_packed(write_groups: WriteGroups, tmp_path: Path) -> None:
    folder = write_groups({0: ["a.jpg"]})
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(UserError, match="none of the images of the groups is there"):
        pack(folder, 0)
    assert not (tmp_path / "artifacts" / "packs").exists()


def test_very_large_images_get_shards_of_their_own(write_groups: WriteGroups, tmp_path: Path) -> None:
    write_image(tmp_path / "images" / SIX[1], content_of("large", 30_000))
    packs = pack(write_groups({0: SIX, 1: [VERY_LONG]}), 0, 1)
    assert [row["shard"] for row in index_of(packs, 0)] == [
        f"group-000000-{number:04d}.tar" for number in (0, 1, 2, 2, 3, 3)
    ]
