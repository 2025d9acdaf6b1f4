from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_manifest.store.recipe import read_recipe
from evaluation.recipe import ImageDigests
from evaluation.report.page.render_page import render_page
from evaluation.report.sections.outcomes import RIGHT, WRONG
from evaluation.report.sections.pictures import choose_shown, pictures_section, verdict
from evaluation.report.sections.result import Result
from evaluation.report.sources import Sources
from evaluation.report.thumbnails import NONE, make_thumbnails
from tests.evaluation.report.conftest import Town


def write_noise(folder: Path, number: int, size: tuple[int, int] = (320, 240)) -> Path:
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path = folder / f"{number}.jpg"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("room", [400_000, 100_000, 60_000])
def test_thumbnails_keep_to_the_room_and_use_it(tmp_path: Path, room: int) -> None:
    uses = {write_noise(tmp_path, number): 1 + number % 3 for number in range(12)}
    made = make_thumbnails(uses, room=room)
    size = sum(len(made[file].uri) * times for file, times in uses.items())
    assert room / 4 < size <= room


def test_a_thumbnail_keeps_proportions_and_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (400, 100)).save(tmp_path / "turned.jpg", exif=exif)
    (thumbnail,) = make_thumbnails({tmp_path / "turned.jpg": 1}).values()
    assert (thumbnail.width, thumbnail.height) == (56, 224)


def test_what_is_no_picture_is_left_empty_and_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    uses = {tmp_path / "broken.jpg": 2, tmp_path / "gone.jpg": 1, write_noise(tmp_path, 0): 1}
    made = make_thumbnails(uses)
    assert [made[file] == NONE for file in uses] == [True, True, False]
    assert "2 of 3 pictures cannot be opened" in caplog.text


def test_half_of_those_shown_are_the_worst_and_half_a_sample() -> None:
    outcomes = pl.DataFrame({"query_path": [f"{number:03}" for number in range(500)], "score": 0.5}).with_columns(
        state=pl.when(pl.int_range(500) % 5 == 0).then(pl.lit(WRONG)).otherwise(pl.lit(RIGHT)),
        first_right=pl.when(pl.int_range(500) % 5 == 0).then(3).otherwise(1),
    )
    shown = choose_shown(outcomes, 60)
    assert shown.head(30)["state"].to_list() == [WRONG] * 30
    sample = shown.filter(pl.col("sample") >= 0)
    assert sorted(sample["sample"]) == list(range(30))
    assert 0 < (sample["state"] == WRONG).sum() < 15, "the sample is of all queries"
    everything = choose_shown(outcomes, 500)
    assert sorted(everything["sample"]) == list(range(500))


def render(town: Town) -> str:
    (tested,) = Sources.of(town.evaluation, town.artifacts).tested
    return render_page("town", [], [pictures_section([Result.read(tested)], 100)])


def test_each_query_has_its_matches_framed_and_what_would_be_right(town: Town) -> None:
    page = render(town)
    assert page.count('class="picture query"') == 9
    assert page.count('class="picture right"') == 4 * 4 + 4 * 1, (
        "among five: four of the first place, one of the second"
    )
    assert page.count('class="picture wrong"') == 5 * 9 - 20
    assert page.count('class="picture positive"') == 4
    assert page.count("<img") == page.count('alt="') == 9 + 45 + 4
    assert page.count('alt="match 1, right: 2.0 m from the query"') == 4
    assert page.count('alt="match 1, wrong: 43.0 m from the query"') == 4
    assert page.count('alt="a database image that would be right"') == 4


def test_a_query_whose_file_is_gone(town: Town, tmp_path: Path) -> None:
    inputs = read_recipe(town.evaluation)["inputs"]
    digests = ImageDigests(inputs["queries"], inputs["queries_files"])
    (tested,) = Sources.of(town.evaluation, town.artifacts, {digests: tmp_path}).tested
    page = render_page("town", [], [pictures_section([Result.read(tested)], 100)])
    assert page.count('aria-label="the query; its file cannot be opened"') == 9


def test_verdicts() -> None:
    assert verdict({"state": WRONG, "first_right": 3}, 20) == "wrong: the first right match is number 3"
    assert verdict({"state": WRONG, "first_right": None}, 20) == "wrong: none of the 20 best matches is right"
