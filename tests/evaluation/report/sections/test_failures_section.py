import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.store.recipe import read_recipe
from evaluation.recipe import ImageDigests
from evaluation.report.find_inputs import find_inputs
from evaluation.report.make_thumbnails import UNREADABLE, make_thumbnails
from evaluation.report.page.blocks import Head
from evaluation.report.page.render_page import render_page
from evaluation.report.sections.cards import kind_of, kinds, verdict
from evaluation.report.sections.failures_section import choose_shown, failures_section
from evaluation.report.sections.query_outcomes import CORRECT, INCORRECT, UNANSWERABLE, read_result
from tests.evaluation.report.conftest import Town
from tests.object_server import ObjectServer

HEAD = Head("town", [], [], [])


def write_noise(folder: Path, number: int, size: tuple[int, int] = (320, 240)) -> Path:
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path = folder / f"{number}.jpg"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("limit", [400_000, 100_000, 60_000])
def test_thumbnails_stay_below_the_limit_and_use_it(tmp_path: Path, limit: int) -> None:
    uses: dict[ImagesFolder, int] = {write_noise(tmp_path, number): 1 + number % 3 for number in range(12)}
    made = make_thumbnails(uses, max_characters=limit)
    size = sum(len(made[file].uri) * times for file, times in uses.items())
    assert limit / 4 < size <= limit


def test_thumbnail_keeps_proportions_and_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (400, 100)).save(tmp_path / "turned.jpg", exif=exif)
    (thumbnail,) = make_thumbnails({tmp_path / "turned.jpg": 1}).values()
    assert (thumbnail.width, thumbnail.height) == (80, 320)


def test_unreadable_pictures_are_left_empty_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    uses: dict[ImagesFolder, int] = {tmp_path / "broken.jpg": 2, tmp_path / "gone.jpg": 1, write_noise(tmp_path, 0): 1}
    made = make_thumbnails(uses)
    assert [made[file] == UNREADABLE for file in uses] == [True, True, False]
    assert "2 of 3 pictures cannot be opened" in caplog.text


def test_pictures_of_a_bucket_are_fetched_at_the_same_time(tmp_path: Path, objects: ObjectServer) -> None:
    content = write_noise(tmp_path, 0, (32, 24)).read_bytes()
    for number in range(40):
        objects.put(f"queries/{number}.jpg", content)
    objects.delay_s = 0.02
    made = make_thumbnails({ImagesUrl.parse(f"s3://bucket/queries/{number}.jpg"): 1 for number in range(40)})
    assert {thumbnail.width for thumbnail in made.values()} == {32}
    assert objects.most_at_once > 8


def test_half_of_the_queries_shown_are_the_worst_and_half_a_sample() -> None:
    outcomes = pl.DataFrame({"query_path": [f"{number:03}" for number in range(500)], "score": 0.5}).with_columns(
        state=pl.when(pl.int_range(500) % 5 == 0).then(pl.lit(INCORRECT)).otherwise(pl.lit(CORRECT)),
        first_correct=pl.when(pl.int_range(500) % 5 == 0).then(3).otherwise(1),
    )
    shown = choose_shown(outcomes, 60)
    assert shown.head(30)["state"].to_list() == [INCORRECT] * 30
    sample = shown.filter(pl.col("sample") >= 0)
    assert sorted(sample["sample"]) == list(range(30))
    assert 0 < (sample["state"] == INCORRECT).sum() < 15, "the sample is of all queries"
    everything = choose_shown(outcomes, 500)
    assert sorted(everything["sample"]) == list(range(500))


def render(town: Town) -> str:
    (tested,) = find_inputs(town.evaluation, town.artifacts).test_sets
    return render_page(HEAD, [failures_section([read_result(tested)], 100)])


def test_each_query_is_shown_with_matches_and_a_positive(town: Town) -> None:
    page = render(town)
    assert page.count('class="picture query"') == 9
    assert page.count('class="picture correct"') == 4 * 4 + 4 * 1, (
        "among five: four of the first place, one of the second"
    )
    assert page.count('class="picture incorrect"') == 5 * 9 - 20
    assert page.count('class="picture positive"') == 4
    assert page.count("<img") == page.count(' alt="') == 9 + 45 + 4
    assert page.count('alt="match 1, correct, similarity 0.950"') == 4
    assert page.count('alt="match 1, incorrect, similarity 0.950"') == 5
    assert page.count('alt="ground truth"') == 4


def test_query_whose_file_is_missing(town: Town, tmp_path: Path) -> None:
    inputs = read_recipe(town.evaluation)["inputs"]
    digests = ImageDigests(inputs["queries"], inputs["queries_files"])
    (tested,) = find_inputs(town.evaluation, town.artifacts, {digests: tmp_path}).test_sets
    page = render_page(HEAD, [failures_section([read_result(tested)], 100)])
    assert page.count('aria-label="query; its file cannot be opened"') == 9


def test_caption_has_year_heading_and_distance(town: Town) -> None:
    page = render(town).replace("\N{NO-BREAK SPACE}", " ")
    assert page.count("<b>Query</b> 2018 · 10°</figcaption>") == 1
    assert page.count("<b>✗ 1</b> 2013 · 10° · 43 m off</figcaption>") == 1
    assert page.count("<b>Ground truth</b> 2013 · 10° · 3.0 m off</figcaption>") == 1


def test_failures_have_a_map_to_the_first_match(town: Town) -> None:
    page = render(town)
    assert page.count('class="picture map"') == 5
    assert page.count("<b>First match</b> 43 m west") == 4
    assert page.count("<b>First match</b> 5,000 m west") == 1


def test_marks_on_the_map_open_the_worst_query_of_their_place(town: Town) -> None:
    page = render(town)
    marks = re.findall(r'<a class="mark" tabindex="-?[01]" href="#(query-\d+)" aria-label="([^"]+)"', page)
    assert [label for _, label in marks] == ["4 of 8 queries correct", "4 of 8 queries correct", "0 of 1 query correct"]
    assert page.count('class="mark" tabindex="-1"') == 1, "the second part of the first place"
    opened = [re.search(rf'<li class="card" id="{anchor}".* data-kind="(\w+)"', page) for anchor, _ in marks]
    assert [card and card[1] for card in opened] == ["late", "late", "unanswerable"]


@pytest.mark.parametrize(
    ("state", "rank", "kind", "title"),
    [
        (INCORRECT, None, "never", "Incorrect"),
        (INCORRECT, 3, "late", "First correct match: rank 3"),
        (UNANSWERABLE, None, UNANSWERABLE, "No positive"),
        (CORRECT, 1, CORRECT, "Correct"),
    ],
)
def test_title_of_a_card_leaves_the_rest_to_the_filter(state: str, rank: int | None, kind: str, title: str) -> None:
    outcome = {"state": state, "first_correct": rank}
    assert (kind_of(outcome), verdict(outcome)) == (kind, title)
    assert kinds(20)[kind]
    assert kinds(20)["never"] == "no correct match in the top 20"
