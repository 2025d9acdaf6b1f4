"""Which years' images to take: texts such as `2013-2018`, `2013,2015-2017`, `2013-` or `-2018`.

A hyphen alone is every year there is: all images but those without one.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.errors import UserError

FIRST, LAST = 1826, 2099  # the oldest photograph, and a year that is a slip of the finger
LEAST, MOST = 0, 9999  # where a range is open; no image's year is outside
EXAMPLES = "expected years as in 2013-2018, 2015, 2013,2015-2017, 2013- or -2018"
_RANGE = re.compile(r"([0-9]+)?(?:\s*(-)\s*([0-9]+)?)?")

Ranges = list[tuple[int, int]]


def years_in_one_form(text: str) -> str:
    """Return the one text of those that mean the same years: `2015, 2013-2014` is `2013-2015`.

    Raises:
        ValueError: The text breaks the rule, which the message has.
    """
    return ",".join(_as_text(first, last) for first, last in ranges_of(text))


def ranges_of(text: str) -> Ranges:
    """Return the first and the last year of each range, sorted, with a gap between any two.

    Raises:
        ValueError: As in `years_in_one_form`.
    """
    merged: Ranges = []
    for first, last in sorted(map(_range_of, text.split(","))):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def taken_in(years: str | None) -> pl.Expr:
    """Return whether manifest rows are of these years; None takes all rows, also those without a year."""
    if years is None:
        return pl.lit(True)
    return pl.any_horizontal(pl.col("year").is_between(first, last) for first, last in ranges_of(years))


def _range_of(part: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(part.strip())
    if found is None or not any(found.groups()):
        raise ValueError(EXAMPLES)
    begin, hyphen, end = found.groups()
    first, last = _year(begin, LEAST), _year(end if hyphen else begin, MOST)
    if first > last:
        raise ValueError(f"{first}-{last} runs backwards; is {last}-{first} meant?")
    return first, last


def _year(digits: str | None, if_open: int) -> int:
    if digits is None:
        return if_open
    if len(digits) != 4 or not FIRST <= int(digits) <= LAST:
        raise ValueError(f"{digits} is no year of a photo: that lies between {FIRST} and {LAST}")
    return int(digits)


def _as_text(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{'' if first == LEAST else first}-{'' if last == MOST else last}"


def count_years(images: pl.LazyFrame) -> pl.DataFrame:
    """Return how many manifest rows there are of each `year`, null for those without one."""
    return images.group_by("year").agg(num_images=pl.len().cast(pl.Int64)).sort("year").collect()


def count_years_of(manifest_file: Path) -> pl.DataFrame:
    """Return what `count_years` does, of one partition of a manifest."""
    return count_years(pl.scan_parquet(manifest_file, glob=False))


def add_up_years(counted: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return what `count_years` gave of partitions for all of them."""
    together = pl.concat(counted)
    return together.group_by("year").agg(pl.col("num_images").sum()).sort("year")


def left_out_by_year(counted: pl.DataFrame, years: str | None) -> dict[str, int]:
    """Return how many of the images that `count_years` counted are left out; nothing where all years are taken.

    Raises:
        UserError: None is left.
    """
    if years is None:
        return {}
    images, known = pl.col("num_images"), pl.col("year").is_not_null()
    taken = taken_in(years).fill_null(False)
    counts = counted.select(
        taken=images.filter(taken).sum(),
        images_of_other_years=images.filter(known & ~taken).sum(),
        images_without_year=images.filter(~known).sum(),
    ).row(0, named=True)
    if not counts.pop("taken"):
        there = as_ranges(counted["year"].drop_nulls()) or "no year"
        raise UserError(
            f"years = {years}: none of the {counted['num_images'].sum():,} images is of these years; there are "
            f"images of {there}, and {counts['images_without_year']:,} without a year"
        )
    return counts
