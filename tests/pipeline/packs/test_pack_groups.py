"""Packs are read by tar, tarfile and pyarrow; unchanged groups are linked, finished shards are not written again."""

import errno
import os
import shutil
import signal
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import polars as pl
import pyarrow.parquet as pq
import pytest
import xxhash

from data_manifest.errors import UserError
from data_manifest.images import file_states, image_store
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.inspect.rejects import explain_file, list_rejects
from data_manifest.store.recipe import digest_of, read_recipe
from data_manifest.store.run_folders import only_writer
from data_manifest.tables import group_file, read_member_paths
from pipeline.packs import pack_job, plan_shards, write_shard
from pipeline.packs.pack_groups import VERSION, pack_groups
from pipeline.packs.settings import PackSettings
from tests.helpers import files_in, fork
from tests.object_server import ObjectServer
from tests.pipeline.packs.conftest import ODD, SIX, VERY_LONG, WriteGroups, content_of, pack, write_image


def change(file: Path, content: bytes) -> None:
    before = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))


def index_of(packs: Path, group: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(packs / "index" / group_file(group)).to_pylist()
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


def test_missing_images_are_rejects_and_the_others_stay(write_groups: WriteGroups, tmp_path: Path) -> None:
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
    assert list_rejects(packs)["rejects_by_reason"] == [{"reason": "vanished", "files": 1}]
    assert [explain_file(packs, path)["state"] for path in SIX[1:3]] == ["used", "rejected"]
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


def test_killed_run_resumes_at_the_shard(
    write_groups: WriteGroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_groups({0: SIX, 3: sorted(ODD)})
    process = fork(tmp_path, pack_until_killed, folder)
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    (run,) = (tmp_path / "artifacts" / "runs").glob("city/*")
    finished = {file.name: file.stat().st_ino for file in run.glob("group-*.tar")}
    assert len(finished) == 2
    assert len(list(run.glob(".group-*.tar.*"))) == 1, "the shard that it was writing"
    resumed = pack(folder, 0, 3)
    inodes = [file.stat().st_ino for file in sorted((resumed / "shards").iterdir())]
    assert inodes[:2] == sorted(finished.values(), key=inodes.index)
    assert not run.exists()
    content = files_in(resumed)
    shutil.rmtree(resumed)
    assert files_in(pack(folder, 0, 3)) == content


def pack_until_killed(folder: Path) -> None:
    """Pack in one thread, and kill this process in the third shard."""
    plan_shards.MEGABYTE, file_states.MIN_AGE_NS = 10_000, 0

    def kill(path: str, size: int) -> tarfile.TarInfo:
        if path == SIX[5]:
            os.kill(os.getpid(), signal.SIGKILL)
        return header(path, size)

    header, write_shard._header = write_shard._header, kill
    with ThreadPoolExecutor(1) as executor:
        pack(folder, 0, 3, executor=executor)


@pytest.mark.parametrize("content", [b"another size", None])
def test_images_that_change_during_packing_stop_it(
    write_groups: WriteGroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    folder, file, read = write_groups({0: SIX}), tmp_path / "images" / SIX[4], write_shard._stored

    def change_first(packing: object, path: str, *more: object) -> bytes:
        if path == SIX[3]:
            change(file, content or file.read_bytes()[::-1])
        return read(packing, path, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(write_shard, "_stored", change_first)
        with pytest.raises(UserError, match=r"images/c/4\.jpg: images changed while they were packed\. Run again"):
            pack(folder, 0)
    assert [row["size"] for row in index_of(pack(folder, 0), 0)][4] == file.stat().st_size


def test_shard_that_is_written_with_errors_is_not_published(
    write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_shard, "fsync", lambda file: file.write_bytes(file.read_bytes()[::-1]))
    with pytest.raises(UserError, match=r"group-000000-000[0-2]\.tar: c/[024]\.jpg was written with errors\. Check"):
        pack(write_groups({0: SIX}), 0)


def test_unreadable_disk_gives_no_reject(write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_groups({0: SIX})
    error = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(image_store.FolderStore, "read", lambda self, paths: iter([error] * len(paths)))
    with pytest.raises(UserError, match=r"Cannot read .*c/[0-9]\.jpg: Input/output error"):
        pack(folder, 0)


def test_ctrl_c_does_not_wait_for_the_end_of_a_shard(
    write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_shards, "MEGABYTE", 10_000_000)
    monkeypatch.setattr(write_shard, "IMAGES_AT_A_TIME", 1)
    folder, begun, stored = write_groups({0: [f"{number}.jpg" for number in range(500)], 1: ["a.jpg"]}), Event(), []

    def interrupt(folder: Path, group: int) -> pl.Series:
        if group == 1:
            begun.wait(60)
            raise KeyboardInterrupt
        return read_member_paths(folder, group)

    def note(packing: object, path: str, size: int, content: bytes) -> bytes:
        begun.set()
        stored.append(path)
        time.sleep(0.01)
        return content

    monkeypatch.setattr(pack_job, "read_member_paths", interrupt)
    monkeypatch.setattr(write_shard, "_stored", note)
    with pytest.raises(KeyboardInterrupt):
        pack(folder, 0, 1)
    assert 0 < len(stored) < 500


def test_images_of_a_bucket_are_packed_like_files(
    write_groups: WriteGroups, tmp_path: Path, objects: ObjectServer
) -> None:
    folder = write_groups({0: sorted(ODD)})
    (tmp_path / "images" / "e.jpg").unlink()
    expected = pack(folder, 0)
    objects.put_files(tmp_path / "images", "city")
    objects.failures = {key: [503] for key in objects.objects}
    url = ImagesUrl.parse("s3://bucket/city")
    packs = pack_groups(folder, [0], url, tmp_path / "of bucket", PackSettings(shard_megabytes=1))
    for table in ("shards", "index", "rejects"):
        assert files_in(packs / table) == files_in(expected / table)
    read = objects.requests.total()
    objects.put("city/a b.jpg", content_of("new"))
    again = pack_groups(folder, [0], url, tmp_path / "of bucket", PackSettings(shard_megabytes=1))
    assert {row["path"]: row["size"] for row in index_of(again, 0)}["a b.jpg"] == len(content_of("new"))
    assert objects.requests.total() > read


def test_run_in_use_is_refused(write_groups: WriteGroups, tmp_path: Path) -> None:
    folder = write_groups({0: SIX})

    def pack_twice() -> None:
        with pytest.raises(UserError, match="is in use by process"):
            pack(folder, 0)

    with only_writer(run_folder_of(folder)):
        pack_twice()


def run_folder_of(groups_folder: Path) -> Path:
    key = {"shard_megabytes": 1, "form": None}
    return groups_folder.parents[2] / "runs" / "city" / digest_of(["packs", VERSION, key, ""])
