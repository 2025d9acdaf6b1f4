"""Parse timestamps of tables and cameras into YYYYMMDD_hhmmss, as far as given."""

import polars as pl

_YEAR = "((?:19|20)[0-9]{2})"
# Patterns of dates, and their groups for year, month, day and rest. 06/07/2021 is ambiguous and so missing.
_DATES = (
    (rf"^{_YEAR}[-:/_.]([0-9]{{1,2}})[-:/_.]([0-9]{{1,2}})([^0-9].*)?$", (1, 2, 3, 4)),
    (rf"^([0-9]{{1,2}})\.([0-9]{{1,2}})\.{_YEAR}([^0-9].*)?$", (3, 2, 1, 4)),
    (rf"^{_YEAR}([0-9]{{2}})([0-9]{{2}})(.*)$", (1, 2, 3, 4)),
)
_YEAR_AND_MONTH = rf"^{_YEAR}(?:[-:/_]?(0[1-9]|1[0-2]))?$"
_FRACTION, _HALF_OF_DAY = r"(?:[.,:_][0-9]+)?", r"\s*(?:([AaPp])\.?\s*[Mm]\.?)?"
_ZONE = r"\s*(?:[Zz]|[A-Z]{3,4}|(?:UTC|GMT)?\s*[+-][0-9]{2}(?::?[0-9]{2})?)?"
_CLOCK = rf"^[T_,\s]*([0-9]{{1,2}}[:._]|[0-9]{{2}})([0-9]{{2}})(?:[:._]?([0-9]{{2}}))?{_FRACTION}{_HALF_OF_DAY}{_ZONE}$"
_SECONDS, _MILLISECONDS = r"^1[0-8][0-9]{8}(?:\.[0-9]*)?$", r"^1[0-8][0-9]{11}$"  # since 1970; 19... begins a year


def parse_timestamp(text: pl.Expr) -> pl.Expr:
    """Return timestamps as YYYYMMDD_hhmmss, as far as given, else an empty text.

    Impossible days and hours (2021-02-30, 13:00 PM) and ambiguous dates (06/07/2021) are not parsed. Seconds and
    milliseconds since 1970 are UTC; other times are local, as written.
    """
    text = text.str.replace(r"^([0-9]+)\.0*$", "$1")  # from programs that store all numbers as floats
    dates = (_date_and_clock(*(text.str.extract(form, group) for group in groups)) for form, groups in _DATES)
    year, month = (text.str.extract(_YEAR_AND_MONTH, group) for group in (1, 2))
    return pl.coalesce(_since_1970(text), *dates, year + month.fill_null(""), pl.lit(""))


def _since_1970(text: pl.Expr) -> pl.Expr:
    milliseconds = (
        pl.when(text.str.contains(_MILLISECONDS))
        .then(text.cast(pl.Int64, strict=False))
        .when(text.str.contains(_SECONDS))
        .then((text.cast(pl.Float64, strict=False) * 1000).cast(pl.Int64, strict=False))
    )
    return pl.from_epoch(milliseconds, time_unit="ms").dt.strftime("%Y%m%d_%H%M%S")


def _date_and_clock(year: pl.Expr, month: pl.Expr, day: pl.Expr, rest: pl.Expr) -> pl.Expr:
    """Return a date and the clock in the rest, null if one of them is impossible."""
    date = year + month.str.zfill(2) + day.str.zfill(2)
    is_day = date.str.to_date("%Y%m%d", strict=False).is_not_null()
    is_blank = rest.fill_null("").str.strip_chars() == ""
    return pl.when(is_day).then(pl.when(is_blank).then(date).otherwise(date + "_" + _clock(rest)))


def _clock(text: pl.Expr) -> pl.Expr:
    """Return hhmmss or hhmm of a clock, with AM and PM or not; null if impossible."""
    hour, minute, second = (
        text.str.extract(_CLOCK, group).str.strip_chars(":._").cast(pl.Int8, strict=False) for group in (1, 2, 3)
    )
    half = text.str.extract(_CLOCK, 4).str.to_lowercase()
    hour_of_day = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + pl.when(half == "p").then(12).otherwise(0))
    is_hour = pl.when(half.is_null()).then(hour <= 23).otherwise(hour.is_between(1, 12))
    is_time = is_hour & (minute <= 59) & (second.fill_null(0) <= 59)
    parts = (part.cast(pl.String).str.zfill(2) for part in (hour_of_day, minute, second))
    return pl.when(is_time).then(pl.concat_str(*parts, ignore_nulls=True))
