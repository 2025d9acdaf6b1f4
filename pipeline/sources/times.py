"""Times as tables and cameras write them, brought to the form of SF-XL's names: YYYYMMDD_hhmmss, any tail missing."""

import polars as pl

# 2014-06-16, 2014:06:16 15:15:06, 2014/06/16T15:15, 20140616_151506, 201406, 2014_06_16_15_15_06_123
_CLOCK = r"(?:[ T_]*(\d\d)[:_]?(\d\d)(?:[:_]?(\d\d))?)?"
_WRITTEN = rf"^((?:19|20)\d\d)(?:[-:/_.]?(\d\d)(?:[-:/_.]?(\d\d){_CLOCK})?)?(?:\D|$)"
# Day, month and year with dots, which nobody writes in another order; with slashes some do.
_WITH_DOTS = r"^(\d{1,2})\.(\d{1,2})\.((?:19|20)\d\d)(.*)$"
_YEAR_FIRST = r"^((?:19|20)\d\d)[-:/.](\d{1,2})[-:/.](\d{1,2})(\D.*)?$"
_SECONDS, _MILLISECONDS = r"^1[0-8]\d{8}(?:\.\d*)?$", r"^1[0-8]\d{11}$"  # since 1970: what begins with 19 is a year


def timestamp_in_one_form(text: pl.Expr) -> pl.Expr:
    """Return times as YYYYMMDD_hhmmss, as far as they are told; empty where it is no time, or which one is doubtful.

    Seconds and milliseconds since 1970 are UTC; other times are those of the place, as they are written.
    """
    text = _with_two_digits(text)
    day = pl.concat_str(*(text.str.extract(_WRITTEN, part).fill_null("") for part in (1, 2, 3)))
    hour = pl.concat_str(*(text.str.extract(_WRITTEN, part).fill_null("") for part in (4, 5, 6)))
    written = pl.when(hour != "").then(day + "_" + hour).otherwise(day)
    milliseconds = (
        pl.when(text.str.contains(_MILLISECONDS))
        .then(text.cast(pl.Int64, strict=False))
        .when(text.str.contains(_SECONDS))
        .then((text.cast(pl.Float64, strict=False) * 1000).cast(pl.Int64, strict=False))
    )
    since_1970 = pl.from_epoch(milliseconds, time_unit="ms").dt.strftime("%Y%m%d_%H%M%S")
    return pl.coalesce(since_1970, pl.when(text.str.contains(_WRITTEN)).then(written), pl.lit(""))


def _with_two_digits(text: pl.Expr) -> pl.Expr:
    """Return times with the year first, and month and day in two digits each, where they are told apart."""

    def in_order(form: str, *parts: int) -> pl.Expr:
        year, month, day, rest = (text.str.extract(form, part).fill_null("") for part in parts)
        return pl.concat_str(year, month.str.zfill(2), day.str.zfill(2), separator="-") + rest

    with_dots = pl.when(text.str.contains(_WITH_DOTS)).then(in_order(_WITH_DOTS, 3, 2, 1, 4))
    year_first = pl.when(text.str.contains(_YEAR_FIRST)).then(in_order(_YEAR_FIRST, 1, 2, 3, 4))
    return pl.coalesce(with_dots, year_first, text)
