from pathlib import Path

import pytest
from cosplace.demo.city.settings import CitySettings
from cosplace.demo.city.sheet import contact_sheet
from PIL import Image
from cosplace.demo.toy_city import main

from tests.helpers import run_module

SMALL = ["--size", "16", "--places", "2", "--spacing", "60", "--train-years", "1", "--processes", "1"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--size", "0"], "size = 0"),
        (["--spacing", "7"], "spacing = 7"),
        (["--places", "1"], "places = 1"),
        (["--train-years", "0"], "train_years = 0"),
        (["--processes", "0"], "processes = 0"),
        (["--seed", "-1"], "seed = -1"),
    ],
)
def test_wrong_value_is_one_message(
    flags: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "city"), *flags]) == 1
    message = capsys.readouterr().err
    assert named in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_folder_with_files_is_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main([str(tmp_path), *SMALL]) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_no_output_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "No output given" in capsys.readouterr().err


def test_command_exits_with_a_message_without_traceback(tmp_path: Path) -> None:
    done = run_module("cosplace.demo.toy_city", str(tmp_path / "city"), "--size", "0")
    assert done.returncode == 1
    assert "size = 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_empty_folder_is_filled_without_leftovers(tmp_path: Path) -> None:
    out = tmp_path / "city"
    out.mkdir()
    assert main([str(out), *SMALL]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["test", "train", "val"]
    assert len(list(out.rglob("*.jpg"))) == 6 * 2 * 12
    assert [path.name for path in tmp_path.iterdir()] == ["city"]


def test_contact_sheet_shows_four_views_in_five_years(tmp_path: Path) -> None:
    sheet = contact_sheet(CitySettings(size=16, places=4, spacing=60), 20)
    assert sheet.shape == (4 * 26 - 6, 5 * 26 - 6, 3)
    Image.fromarray(sheet).save(tmp_path / "sheet.png")


def test_contact_sheet_with_an_unknown_suffix_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--contact-sheet", str(tmp_path / "sheet.gif")]) == 1
    assert "choose a name that ends in" in capsys.readouterr().err
