import errno
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.execution import executor as executor_module
from pipeline.manifest.build_manifest import build_manifest
from pipeline.verification import check_image as image_check
from pipeline.verification import check_partition as verifying
from pipeline.verification.settings import HEADER
from pipeline.verification.verify_images import verify_images
from tests.pipeline.verification.helpers import LONG_AGO, bad_in, change, image, name, verify


def test_table_has_one_row_per_image(train: Path) -> None:
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


def test_only_new_and_changed_files_are_read(train: Path, looked_into: list[str]) -> None:
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


def test_missing_files_are_vanished_but_an_empty_folder_is_an_error(train: Path) -> None:
    artifacts = train.parent / "A"
    manifest = build_manifest(train, artifacts)
    image(train, 12).unlink()
    assert bad_in(verify_images(manifest, train, artifacts)) == {name(12): "vanished"}
    for path in train.glob("*/*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match=r"none of the 30 images is there\. Give the folder"):
        verify_images(manifest, train, artifacts)
    with pytest.raises(UserError, match="no such folder"):
        verify_images(manifest, train / "elsewhere", artifacts)


def test_interrupted_run_resumes(train: Path, looked_into: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_unreadable_images_are_an_error_and_checked_again(
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


def test_many_unreadable_images_stop_the_run_early(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def refuses(path: str, *_: object) -> object:
        seen.append(path)
        raise OSError(errno.EMFILE, "Too many open files", path)

    monkeypatch.setattr(image_check, "check_image", refuses)
    monkeypatch.setattr(verifying, "MAX_IMAGES_PER_PIECE", 1)
    monkeypatch.setattr(verifying, "MAX_UNREADABLE", 2)
    monkeypatch.setattr(executor_module, "MAX_SUBMITTED_PER_THREAD", 1)
    with pytest.raises(UserError, match="Too many open files"):
        verify(train)
    assert len(seen) < 30


def test_images_that_change_during_the_run_are_an_error(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = image_check.check_image

    def meddles(path: str, *more: object) -> object:
        found = check(path, *more)  # type: ignore[arg-type]
        if path.endswith(name(8)):
            change(train / path, b"other", LONG_AGO + 5)
        return found

    monkeypatch.setattr(image_check, "check_image", meddles)
    with pytest.raises(UserError, match="images changed during the verification"):
        verify(train)
    monkeypatch.undo()
    assert bad_in(verify(train)) == {name(8): "not an image"}


def test_threads_and_processes_write_the_same_bytes(train: Path, tmp_path: Path) -> None:
    change(image(train, 3), b"x")
    here = verify(train)
    manifest = build_manifest(train, tmp_path / "A")
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as executor:
        there = verify_images(manifest, train, tmp_path / "B", executor=executor)
    tables = [{path.name: path.read_bytes() for path in each.glob("checks/*")} for each in (here, there)]
    assert len(tables[0]) == 3
    assert tables[0] == tables[1]


def test_corrupt_earlier_artifact_is_ignored(train: Path) -> None:
    first = verify(train)
    (first / "recipe.json").write_text("{")
    change(image(train, 7), b"damaged")
    assert bad_in(verify(train)) == {name(7): "not an image"}
