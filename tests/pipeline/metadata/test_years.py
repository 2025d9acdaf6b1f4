import random

import polars as pl
import pytest

from data_manifest.errors import UserError
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.years import count_excluded_by_year, count_years, has_year_in, normalize_years

YEARS = [None, 1, *range(1990, 2030), 9999]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2013-2018", "2013-2018"),
        ("2015", "2015"),
        ("2015-2015", "2015"),
        ("2013,2015-2017", "2013,2015-2017"),
        ("2015,2013-2014", "2013-2015"),
        (" 2015 , 2013 - 2014 ", "2013-2015"),
        ("2013-2016,2015-2018", "2013-2018"),
        ("2013-2018,2015", "2013-2018"),
        ("2013,2013", "2013"),
        ("2013-", "2013-"),
        ("-2018", "-2018"),
        ("-2013,2018-,2015", "-2013,2015,2018-"),
        ("2018-,2013-2017", "2013-"),
        ("-2018,2013-", "-"),
        ("-", "-"),
    ],
)
def test_equivalent_years_have_one_normal_form(text: str, form: str) -> None:
    assert normalize_years(text) == form
    assert normalize_years(form) == form
    assert GroupSettings(years=text).as_dict()["years"] == form


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *(
            (text, "expected years as in 2013-2018, 2015,")
            for text in ("x", " ", ",", "2013,", "2013--2014", "2013 14")
        ),
        ("2013-2014-2015", "expected years as in"),
        ("2013/2014", "expected years as in"),
        ("٢٠١٣", "expected years as in"),
        ("2018-2013", "2018-2013 runs backwards. Write 2013-2018"),
        ("13-15", "13 is not a year from 1826 to 2099"),
        ("201306", "201306 is not a year"),
        ("1066", "1066 is not a year"),
        ("0000-2013", "0000 is not a year"),
        ("2013-9999", "9999 is not a year"),
    ],
)
def test_other_texts_are_errors_with_the_value_and_the_rule(text: str, rule: str) -> None:
    with pytest.raises(UserError) as error:
        GroupSettings(years=text)
    assert str(error.value).startswith(f"years = {text!r}: {rule}")


def plainly_taken(text: str, year: int | None) -> bool:
    """The rule in plain Python, by another route: a set of years."""
    years: set[int] = set()
    for part in text.split(","):
        first, hyphen, last = part.partition("-")
        years |= set(range(int(first or 0), int((last or 9999) if hyphen else first) + 1))
    return year in years


@pytest.mark.parametrize("seed", range(20))
def test_agreement_with_plain_python(seed: int) -> None:
    choose = random.Random(seed)
    parts = []
    for _ in range(choose.randrange(1, 5)):
        first, last = sorted(choose.choices(range(1990, 2030), k=2))
        parts.append(choose.choice([f"{first}", f"{first}-{last}", f"{first}-", f"-{last}"]))
    text = ",".join(parts)
    frame = pl.DataFrame({"year": YEARS}, schema={"year": pl.Int16})
    expected = [year for year in YEARS if plainly_taken(text, year)]
    for form in (text, normalize_years(text)):
        assert frame.filter(has_year_in(form))["year"].to_list() == expected


def test_no_years_take_all_rows_and_a_hyphen_those_that_have_a_year() -> None:
    frame = pl.DataFrame({"year": YEARS}, schema={"year": pl.Int16})
    assert frame.filter(has_year_in(None))["year"].to_list() == YEARS
    assert frame.filter(has_year_in("-"))["year"].to_list() == YEARS[1:]


def test_images_that_are_left_out_are_counted() -> None:
    counted = count_years(pl.LazyFrame({"year": [2013, 2015, None, 2013, 2014, None]}, schema={"year": pl.Int16}))
    assert counted.rows() == [(None, 2), (2013, 2), (2014, 1), (2015, 1)]
    assert count_excluded_by_year(counted, None) == {}
    assert count_excluded_by_year(counted, "2013-2014") == {"images_of_other_years": 1, "images_without_year": 2}
    assert count_excluded_by_year(counted, "-") == {"images_of_other_years": 0, "images_without_year": 2}


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ([2013, 2014, 2016, None], "2013-2014, 2016; 1 without a year."),
        ([None, None], "none; 2 without a year."),
    ],
)
def test_no_image_of_these_years_is_an_error(there: list[int | None], message: str) -> None:
    counted = count_years(pl.LazyFrame({"year": there}, schema={"year": pl.Int16}))
    with pytest.raises(UserError) as error:
        count_excluded_by_year(counted, "2020-")
    rule = f"none of the {len(there)} images is of these years. Years of the images: {message}"
    assert str(error.value) == f"years = 2020-: {rule}"
