"""Checks of a folder of images: what is written, what is not done twice, and groups without the bad ones."""

import errno
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.execution import executor as executor_module
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.verification import check_image as image_check
from pipeline.verification import check_partition as verifying
from pipeline.verification import verify_images as verify_module
from pipeline.verification.drop_bad_images import drop_bad_images
from pipeline.verification.settings import HEADER, VerifySettings
from pipeline.verification.verify_images import verify_images

LONG_AGO = 1_500_000_000
RowsPerPartition = Callable[[int], None]


def name(number: int) -> str:
    return f"@0545981.19@4184971.70@10@S@@@pano{number}@@174@@@@201409@@.jpg"


@pytest.fixture
def train(tmp_path: Path, rows_per_partition: RowsPerPartition) -> Path:
    """Thirty images in three folders, of a partition each, long ago."""
    rows_per_partition(10)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    for number in range(30):
        path = tmp_path / "train" / f"37.{number // 10}" / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(pixels, number, 0)).save(path)
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path / "train"


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are read, in some order."""
    seen: list[str] = []
    check = image_check.check_image

    def noted(path: str, *more: object) -> object:
        seen.append(Path(path).name)
        return check(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(image_check, "check_image", noted)
    return seen


def change(path: Path, content: bytes, when: int = LONG_AGO + 1) -> None:
    path.write_bytes(content)
    os.utime(path, (when, when))


def image(train: Path, number: int) -> Path:
    return train / f"37.{number // 10}" / name(number)


def verify(train: Path, **options: object) -> Path:
    artifacts = train.parent / "A"
    return verify_images(build_manifest(train, artifacts), train, artifacts, **options)  # type: ignore[arg-type]


def bad_in(checks: Path) -> dict[str, str]:
    rows = read_table(checks, "checks").filter(pl.col("status").cast(pl.String) != "ok")
    return {Path(path).name: status for path, status in rows.select("path", "status").iter_rows()}


def test_a_row_for_each_image_of_the_manifest(train: Path) -> None:
    change(image(train, 3), image(train, 3).read_bytes()[:200])
    change(image(train, 25), b"")
    checks = verify(train)
    rows = read_table(checks, "checks")
    assert sorted(rows["path"]) == sorted(str(path.relative_to(train)) for path in train.glob("*/*.jpg"))
    for row in rows.iter_rows(named=True):
        state = (train / row["path"]).stat()
        assert (row["bytes"], row["modified_ns"]) == (state.st_size, state.st_mtime_ns)
    assert bad_in(checks) == {name(3): "truncated", name(25): "zero bytes"}
    summary = read_recipe(checks)["summary"]
    assert (summary["images"], summary["bad"]) == (30, {"truncated": 1, "zero bytes": 1})
    assert summary["bytes"] == sum(path.stat().st_size for path in train.glob("*/*.jpg"))
    assert not list((train.parent / "A" / ".checks").iterdir())


def test_only_what_is_new_or_changed_is_read_again(train: Path, looked_into: list[str]) -> None:
    first = verify(train)
    assert len(looked_into) == 30
    looked_into.clear()
    assert verify(train) == first
    change(image(train, 7), b"damaged")
    image(train, 11).rename(train / "37.1" / name(99))
    second = verify(train)
    assert sorted(looked_into) == sorted([name(7), name(99)])
    assert bad_in(second) == {name(7): "not an image"}
    linked = {path.name for path in first.glob("checks/*")} & {path.name for path in second.glob("checks/*")}
    assert len(linked) == 1, "the third folder's partition is the same file"
    looked_into.clear()
    change(train / "37.1" / name(98), image(train, 1).read_bytes())
    verify(train)
    assert looked_into == [name(98)], "also where a partition becomes two"
    looked_into.clear()
    verify(train, check=HEADER)
    assert len(looked_into) == 31, "another check is another matter"


def test_a_file_that_vanishes_after_the_manifest_was_made(train: Path) -> None:
    artifacts = train.parent / "A"
    manifest = build_manifest(train, artifacts)
    image(train, 12).unlink()
    assert bad_in(verify_images(manifest, train, artifacts)) == {name(12): "vanished"}
    for path in train.glob("*/*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match=r"none of the 30 images is there\. Give the folder"):
        verify_images(manifest, train, artifacts)
    with pytest.raises(UserError, match="there is no such folder"):
        verify_images(manifest, train / "elsewhere", artifacts)


def test_a_run_that_ends_in_the_middle_goes_on(
    train: Path, looked_into: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "MAX_IMAGES_PER_PIECE", 4)
    noted = image_check.check_image

    def dies(path: str, *more: object) -> object:
        if len(looked_into) >= 17:
            raise KeyboardInterrupt
        return noted(path, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(image_check, "check_image", dies)
        with pytest.raises(KeyboardInterrupt):
            verify(train)
    done = len(looked_into)
    verify(train)
    assert done <= len(looked_into) - 30 + done < 30, "at most the pieces that were begun are done again"
    assert 30 <= len(looked_into) < 30 + done


def test_what_the_machine_refuses_is_no_damage_and_is_looked_at_again(
    train: Path, looked_into: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = image_check.check_image

    def refuses(path: str, *more: object) -> object:
        found = noted(path, *more)  # type: ignore[arg-type]
        if path.endswith((name(8), name(21))):
            raise OSError(errno.EIO, "Input/output error", path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(image_check, "check_image", refuses)
        with pytest.raises(UserError, match=r"cannot read 2 images.*pano8@.* \(Input/output error\)") as error:
            verify(train)
    assert "Finished checks are kept" in str(error.value)
    looked_into.clear()
    assert bad_in(verify(train)) == {}
    assert sorted(looked_into) == sorted([name(8), name(21)])


def test_a_machine_that_gives_nothing_any_more_ends_the_run_soon(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def refuses(path: str, *_: object) -> object:
        seen.append(path)
        raise OSError(errno.EMFILE, "Too many open files", path)

    monkeypatch.setattr(image_check, "check_image", refuses)
    monkeypatch.setattr(verifying, "MAX_IMAGES_PER_PIECE", 1)
    monkeypatch.setattr(verify_module, "MAX_UNREADABLE", 2)
    monkeypatch.setattr(executor_module, "MAX_SUBMITTED_PER_THREAD", 1)
    with pytest.raises(UserError, match="Too many open files"):
        verify(train)
    assert len(seen) < 30


def test_images_that_change_while_they_are_checked(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = image_check.check_image

    def meddles(path: str, *more: object) -> object:
        found = check(path, *more)  # type: ignore[arg-type]
        if path.endswith(name(8)):
            change(Path(path), b"other", LONG_AGO + 5)
        return found

    monkeypatch.setattr(image_check, "check_image", meddles)
    with pytest.raises(UserError, match="images changed during the verification"):
        verify(train)
    monkeypatch.undo()
    assert bad_in(verify(train)) == {name(8): "not an image"}


def test_the_same_bytes_by_threads_and_by_processes(train: Path, tmp_path: Path) -> None:
    change(image(train, 3), b"x")
    here = verify(train)
    manifest = build_manifest(train, tmp_path / "A")
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as executor:
        there = verify_images(manifest, train, tmp_path / "B", executor=executor)
    tables = [{path.name: path.read_bytes() for path in each.glob("checks/*")} for each in (here, there)]
    assert len(tables[0]) == 3
    assert tables[0] == tables[1]


@pytest.mark.parametrize("form", ["sha256sum", "bsd", "sfv", "zip"])
def test_checksums_find_what_no_decoder_does(train: Path, tmp_path: Path, form: str) -> None:
    paths = sorted(train.glob("*/*.jpg"))
    source = tmp_path / "sums"
    if form == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            for path in paths:
                archive.write(path, f"train/{path.relative_to(train)}")
    else:
        lines = []
        for path in paths:
            inside, content = path.relative_to(train), path.read_bytes()
            lines.append({
                "sha256sum": f"{hashlib.sha256(content).hexdigest()}  ./{inside}",
                "bsd": f"MD5 (train/{inside}) = {hashlib.md5(content).hexdigest()}",
                "sfv": f"{inside} {zlib.crc32(content):08X}",
            }[form])  # fmt: skip
        source.write_text("; made by hand\n\n" + "\n".join(lines) + "\n")
    flipped = bytearray(image(train, 5).read_bytes())
    flipped[-10] ^= 1
    change(image(train, 5), bytes(flipped))
    (train / "37.0" / name(4)).unlink()
    change(train / "37.2" / name(77), image(train, 1).read_bytes())
    checks = verify(train, check=HEADER, settings=VerifySettings(checksum=source))
    assert bad_in(checks) == {name(5): "checksum differs"}
    summary = read_recipe(checks)["summary"]
    assert (summary["missing"], summary["missing_examples"]) == (1, [f"37.0/{name(4)}"])
    assert summary["not_listed"] == 1


def test_what_is_no_list_of_checksums(train: Path, tmp_path: Path) -> None:
    source = tmp_path / "sums"
    source.write_text(f"{'0' * 64}  a.jpg\nno checksum\n")
    with pytest.raises(UserError, match=r"line 2 is 'no checksum'\. Give a list of checksums"):
        verify(train, settings=VerifySettings(checksum=source))
    with pytest.raises(UserError, match="cannot be read"):
        verify(train, settings=VerifySettings(checksum=tmp_path / "none"))


def test_groups_without_bad_images_counted_with_their_reasons(train: Path) -> None:
    change(image(train, 3), image(train, 3).read_bytes()[:300])
    change(image(train, 4), b"")
    artifacts = train.parent / "A"
    manifest, checks = build_manifest(train, artifacts), verify(train)
    good = drop_bad_images(manifest, checks, artifacts)
    assert len(read_table(good, "manifest")) == 28
    rejects = read_table(good, "rejects").select("path", pl.col("reason").cast(pl.String)).rows()
    assert rejects == [(f"37.0/{name(3)}", "truncated"), (f"37.0/{name(4)}", "zero bytes")]
    same = [path.name for path in good.glob("manifest/*") if path.stat().st_nlink > 1]
    assert len(same) == len(list(manifest.glob("manifest/*"))) - 1
    groups, recipe = build_groups(good, artifacts, GroupSettings(min_images_per_class=1)), read_recipe(good)
    members = read_table(groups, "members")["path"]
    assert len(members) == 28
    assert not {name(3), name(4)} & {Path(path).name for path in members}
    stored = read_recipe(groups)
    assert stored["inputs"] == {"manifest": recipe["digest"], "checks": read_recipe(checks)["digest"]}
    assert stored["settings"]["verified"] == "decode"
    assert stored["summary"]["bad_images"] == {"truncated": 1, "zero bytes": 1}
    image(train, 9).unlink()
    other = build_manifest(train, artifacts)
    with pytest.raises(UserError, match=r"belong to the manifest .* Run VerifyImages again"):
        drop_bad_images(other, checks, artifacts)


def test_groups_of_all_bad_images(train: Path) -> None:
    for number in range(30):
        change(image(train, number), b"")
    artifacts = train.parent / "A"
    with pytest.raises(UserError, match=r"All images of .* are bad"):
        drop_bad_images(build_manifest(train, artifacts), verify(train), artifacts)


def test_an_earlier_artifact_that_is_damaged_does_not_matter(train: Path) -> None:
    first = verify(train)
    (first / "recipe.json").write_text("{")
    change(image(train, 7), b"damaged")
    assert bad_in(verify(train)) == {name(7): "not an image"}
