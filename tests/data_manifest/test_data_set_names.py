import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_manifest.data_set_names import CLAIMS, claim_name, find_name, first_file
from data_manifest.errors import UserError


def make_folder(folder: Path, content: str = "image", name: str = "@1@2@.jpg") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text(content)
    os.utime(folder / name, ns=(10**18, 10**18))
    return folder


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def test_a_name_belongs_to_the_first_folder_and_stays_with_it(
    tmp_path: Path, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    day, night = (make_folder(tmp_path / each / "city") for each in ("昼", "夜"))
    for _ in range(2):
        assert [claim_name("city", each, artifacts) for each in (day, night)] == ["city", "city-2"]
    assert caplog.messages == [f"{night} gets the name city-2: another folder is called city"]
    assert find_name("city", make_folder(tmp_path / "dawn" / "city"), artifacts) == "city-3"


def test_finding_a_name_records_nothing(tmp_path: Path, artifacts: Path) -> None:
    assert find_name("city", make_folder(tmp_path / "city"), artifacts) == "city"
    assert not artifacts.exists()


def test_a_symlink_is_the_folder_that_it_leads_to(tmp_path: Path, artifacts: Path) -> None:
    first, second = (make_folder(tmp_path / each) for each in ("v1", "v2"))
    link = tmp_path / "link"
    link.symlink_to(first)
    assert claim_name("link", link, artifacts) == "link"
    assert claim_name("link", first, artifacts) == "link"
    link.unlink()
    link.symlink_to(second)
    assert claim_name("link", link, artifacts) == "link-2"


def test_a_folder_that_was_moved_keeps_its_name(tmp_path: Path, artifacts: Path) -> None:
    (tmp_path / "disk2").mkdir()
    for name, disk in (("city", "a"), ("city-2", "b")):
        folder = make_folder(tmp_path / disk / "city", content=disk)
        assert claim_name("city", folder, artifacts) == name
    moved = folder.rename(tmp_path / "disk2" / "city")
    assert [claim_name("city", moved, artifacts) for _ in range(2)] == ["city-2", "city-2"]


def test_another_folder_does_not_take_the_name_of_one_that_is_gone(tmp_path: Path, artifacts: Path) -> None:
    folder = make_folder(tmp_path / "a" / "city")
    assert claim_name("city", folder, artifacts) == "city"
    folder.rename(tmp_path / "unplugged")
    for number, (content, name) in enumerate([("another image", "@1@2@.jpg"), ("image", "@3@4@.jpg")], start=2):
        other = make_folder(tmp_path / str(number) / "city", content, name)
        assert claim_name("city", other, artifacts) == f"city-{number}"


def test_a_copy_is_another_data_set_while_the_first_is_there(tmp_path: Path, artifacts: Path) -> None:
    names = [claim_name("city", make_folder(tmp_path / each / "city"), artifacts) for each in ("a", "b")]
    assert names == ["city", "city-2"]


def test_a_mistyped_folder_claims_no_name(tmp_path: Path, artifacts: Path) -> None:
    assert claim_name("city", tmp_path / "typo" / "city", artifacts) == "city"
    assert claim_name("city", make_folder(tmp_path / "city"), artifacts) == "city"


def test_a_list_of_images_is_enough_to_claim_a_name(tmp_path: Path, artifacts: Path) -> None:
    for disk in ("a", "b"):
        (tmp_path / disk).mkdir()
        (tmp_path / disk / "train_images_paths.txt").write_text("@1@2@.jpg\n")
    assert [claim_name("train", tmp_path / disk / "train", artifacts) for disk in ("a", "b")] == ["train", "train-2"]


def test_folders_that_claim_a_name_at_once_have_different_ones(tmp_path: Path, artifacts: Path) -> None:
    folders = [make_folder(tmp_path / str(number) / "city") for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        names = list(threads.map(lambda folder: claim_name("city", folder, artifacts), folders))
    assert sorted(names) == sorted(["city", *(f"city-{number}" for number in range(2, 17))])


def test_without_hard_links_names_are_claimed_all_the_same(
    tmp_path: Path, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", refuse)
    names = [claim_name("city", make_folder(tmp_path / each / "city"), artifacts) for each in ("a", "b")]
    assert names == ["city", "city-2"]
    assert sorted(path.name for path in (artifacts / CLAIMS).iterdir()) == ["city-2.json", "city.json"]


def test_where_nothing_can_be_written_the_name_is_given(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file")
    assert claim_name("city", make_folder(tmp_path / "city"), tmp_path / "artifacts") == "city"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"folder": "/a"}'])
def test_a_damaged_record_is_named(content: str, tmp_path: Path, artifacts: Path) -> None:
    (artifacts / CLAIMS).mkdir(parents=True)
    (artifacts / CLAIMS / "city.json").write_text(content)
    with pytest.raises(UserError, match=r"city\.json is damaged .* Remove it and run again\."):
        claim_name("city", make_folder(tmp_path / "city"), artifacts)


def test_the_first_file_is_below_and_not_hidden(tmp_path: Path) -> None:
    assert first_file(tmp_path) is None
    (tmp_path / "empty").mkdir()
    make_folder(tmp_path / ".hidden")
    (tmp_path / ".DS_Store").touch()
    assert first_file(tmp_path) is None
    assert first_file(make_folder(tmp_path / "36.1" / "a").parents[1]) == tmp_path / "36.1" / "a" / "@1@2@.jpg"
