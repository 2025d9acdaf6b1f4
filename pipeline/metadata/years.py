"""Select images by years such as `2013-2018`, `2013,2015-2017`, `2013-` or `-2018`.

A single hyphen takes all images with a year.
"""

import re

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.errors import UserError

MIN_YEAR, MAX_YEAR = 1826, 2099  # the oldest photograph, and the last plausible year
MIN_OPEN, MAX_OPEN = 0, 9999  # ends of an open range
_RANGE = re.compile(r"([0-9]+)?(?:\s*(-)\s*([0-9]+)?)?")

Ranges = list[tuple[int, int]]


def normalize_years(text: str) -> str:
    """Return years in their normal form: `2015, 2013-2014` becomes `2013-2015`.

    Raises:
        ValueError: The text is not years. The message says why.
    """
    is_open = {MIN_OPEN: "", MAX_OPEN: ""}
    ranges = [[first] if first == last else [first, last] for first, last in parse_years(text)]
    return ",".join("-".join(str(is_open.get(year, year)) for year in years) for years in ranges)


def parse_years(text: str) -> Ranges:
    """Return the first and last year of each range, sorted and merged; errors are those of `normalize_years`."""
    merged: Ranges = []
    for first, last in sorted(map(_parse_range, text.split(","))):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def has_year_in(years: str | None) -> pl.Expr:
    """Return whether rows are of these years; None selects all rows."""
    if years is None:
        return pl.lit(True)
    return pl.any_horizontal(pl.col("year").is_between(first, last) for first, last in parse_years(years))


def _parse_range(part: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(part.strip())
    if match is None or not any(match.groups()):
        raise ValueError("expected years as in 2013-2018, 2015, 2013,2015-2017, 2013- or -2018")
    begin, hyphen, end = match.groups()
    first, last = _parse_year(begin, MIN_OPEN), _parse_year(end if hyphen else begin, MAX_OPEN)
    if first > last:
        raise ValueError(f"{first}-{last} runs backwards. Write {last}-{first}")
    return first, last


def _parse_year(digits: str | None, if_open: int) -> int:
    if digits is None:
        return if_open
    if len(digits) != 4 or not MIN_YEAR <= int(digits) <= MAX_YEAR:
        raise ValueError(f"{digits} is not a year from {MIN_YEAR} to {MAX_YEAR}")
    return int(digits)


def count_years(images: pl.LazyFrame) -> pl.DataFrame:
    """Return `num_images` per `year` of manifest rows, sorted; the year may be null."""
    return images.group_by("year").agg(num_images=pl.len().cast(pl.Int64)).sort("year").collect()


def count_excluded_by_year(counts: pl.DataFrame, years: str | None) -> dict[str, int]:
    """Return the number of excluded images by cause; empty for all years.

    Raises:
        UserError: No image is of these years.
    """
    if years is None:
        return {}
    images, has_year, taken = pl.col("num_images"), pl.col("year").is_not_null(), has_year_in(years).fill_null(False)
    sums = counts.select(
        taken=images.filter(taken).sum(),
        images_of_other_years=images.filter(has_year & ~taken).sum(),
        images_without_year=images.filter(~has_year).sum(),
    ).row(0, named=True)
    if not sums.pop("taken"):
        present = as_ranges(counts["year"].drop_nulls()) or "none"
        raise UserError(
            f"years = {years}: none of the {counts['num_images'].sum():,} images is of these years. Years of the "
            f"images: {present}; {sums['images_without_year']:,} without a year."
        )
    return sums
