"""Times as tables and cameras write them, brought to the form of SF-XL's names: YYYYMMDD_hhmmss, any tail missing."""

import polars as pl

# 2014-06-16, 2014:06:16 15:15:06, 2014/06/16T15:15, 20140616_151506, 201406, 2014_06_16_15_15_06_123
_WRITTEN = r"^((?:19|20)\d\d)(?:[-:/_.]?(\d\d)(?:[-:/_.]?(\d\d)(?:[ T_]*(\d\d)[:_]?(\d\d)(?:[:_]?(\d\d))?)?)?)?"
_SECONDS, _MILLISECONDS = r"^1[0-8]\d{8}(?:\.\d*)?$", r"^1[0-8]\d{11}$"  # since 1970: what begins with 19 is a year


def timestamp_in_one_form(text: pl.Expr) -> pl.Expr:
    """Return times as YYYYMMDD_hhmmss, as far as they are told; what is no time stays as it is.

    Seconds and milliseconds since 1970 are UTC; other times are those of the place, as they are written.
    """
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
    return pl.coalesce(since_1970, pl.when(text.str.contains(_WRITTEN)).then(written), text)
