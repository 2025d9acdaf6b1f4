"""Parse the fields of images: numbers and their ranges, headings, bands, years."""

import polars as pl

from pipeline.metadata.utm_faults import BANDS, find_utm_faults

FIELDS = (
    *("before", "utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "longitude", "pano_id", "tile_num"),
    *("heading", "pitch", "roll", "height", "timestamp", "note", "extension"),
)
NUMBERS = ("utm_east", "utm_north", "utm_zone", "latitude", "longitude", "heading", "pitch", "roll", "height")
TEXTS = ("pano_id", "tile_num", "timestamp", "note")
HEADING_ORIGIN = ("heading_source", "heading_reference")
MAX_UTM_M = 1e8  # more than twice around the Earth
RANGES = {
    "utm_east": (-MAX_UTM_M, MAX_UTM_M),
    "utm_north": (-MAX_UTM_M, MAX_UTM_M),
    "utm_zone": (1, 60),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
}
NULLS = ("nan", "na", "n/a", "null", "none", "unknown", "-")

FULL_TURN = 360.0  # degrees
# Allows negated headings and an added quarter turn, but not common codes of "unknown" (511, 999, 32767, -999, ...).
MIN_HEADING, MAX_HEADING = -FULL_TURN, 450.0
MAX_ROUNDING_ERROR = 1e-6  # degrees
NEGATIVE = "below 0, turned by 360 degrees"
MINUS_1_UNKNOWN = "-1, taken as unknown"
MINUS_1_TURNED = "-1, taken as 359 degrees because other headings are negative"
OUTSIDE = f"outside {MIN_HEADING:g} to {MAX_HEADING:g} degrees, taken as unknown"
ODD_HEADINGS = (NEGATIVE, MINUS_1_UNKNOWN, MINUS_1_TURNED, OUTSIDE)


def parse_fields(texts: pl.DataFrame, negative_headings: bool = False) -> pl.DataFrame:
    """Return rows with each field parsed, and as written.

    A parsed field is null where it is empty or impossible.

    Args:
        texts: Fields as text, in any of the columns `FIELDS`; other columns are kept.
        negative_headings: As in `heading_in_range`.
    """
    fields = [field for field in texts.columns if field in FIELDS]
    parsed = texts.with_columns(
        *(pl.col(field).alias(written_column(field)) for field in fields),
        *(pl.when(pl.col(text) != "").then(pl.col(text)).alias(text) for text in TEXTS),
        *(_number_in_range(field).alias(field) for field in NUMBERS),
        utm_band=parse_band(pl.col("utm_band")),
    ).with_columns(
        heading_in_range(pl.col("heading"), negative_headings),
        odd_heading(pl.col("heading"), negative_headings),
        pl.col("utm_zone").cast(pl.Int8),
    )
    years = _years_and_months(parsed["timestamp"])
    return parsed.with_columns(find_utm_faults(parsed)).join(years, on="timestamp", how="left", maintain_order="left")


def written(field: str) -> pl.Expr:
    """Return the text of a field."""
    return pl.col(written_column(field))


def written_column(field: str) -> str:
    """Return the column that holds the text of a field."""
    return f"{field} as written"


def parse_number(text: pl.Expr, field: str) -> pl.Expr:
    """Return the finite number in a field's text, else null; a zone must be whole."""
    number = text.cast(pl.Int64 if field == "utm_zone" else pl.Float64, strict=False)
    return pl.when(number.cast(pl.Float64).is_finite()).then(number)


def clean_number(field: str) -> pl.Expr:
    """Return a number's text with a decimal point; one of `NULLS` becomes empty."""
    text = pl.col(field).str.strip_chars("° ").str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2")
    return pl.when(text.str.to_lowercase().is_in(NULLS)).then(pl.lit("")).otherwise(text).alias(field)


def parse_band(text: pl.Expr) -> pl.Expr:
    """Return the UTM band in upper case, null where there is no such band."""
    band = text.str.to_uppercase()
    return pl.when(band.is_in(BANDS)).then(band)


def heading_in_range(heading: pl.Expr, negative_headings: bool = False) -> pl.Expr:
    """Return headings in [0, 360) degrees, null for codes of "unknown".

    Args:
        heading: Degrees as written, finite.
        negative_headings: Whether the data set has negative headings other than -1; then -1 is 359 degrees.
    """
    is_in_turn = heading.is_between(0, FULL_TURN, closed="left")
    turned = pl.when(is_in_turn).then(heading).otherwise(heading % FULL_TURN)
    in_range = pl.when(turned < FULL_TURN).then(turned).otherwise(0.0)  # the modulo may round up to 360
    is_heading = heading.is_between(MIN_HEADING, MAX_HEADING)
    if not negative_headings:
        is_heading &= heading != -1
    return pl.when(is_heading).then(in_range).alias("heading")


def odd_heading(heading: pl.Expr, negative_headings: bool = False) -> pl.Expr:
    """Return which of `ODD_HEADINGS` each heading is, else null.

    Arguments are those of `heading_in_range`.
    """
    return (
        pl.when(~heading.is_between(MIN_HEADING, MAX_HEADING))
        .then(pl.lit(OUTSIDE))
        .when(heading == -1)
        .then(pl.lit(MINUS_1_TURNED if negative_headings else MINUS_1_UNKNOWN))
        .when(heading < -MAX_ROUNDING_ERROR)
        .then(pl.lit(NEGATIVE))
        .alias("odd_heading")
    )


def _number_in_range(field: str) -> pl.Expr:
    number = parse_number(pl.col(field), field)
    return pl.when(number.is_between(*RANGES[field])).then(number) if field in RANGES else number


def _years_and_months(timestamps: pl.Series) -> pl.DataFrame:
    """Return each distinct timestamp with its year and month, null where it has none."""
    digits = pl.col("timestamp").str.extract(r"^([0-9]{4,6})")  # \d would match the digits of any script
    year = digits.str.slice(0, 4).cast(pl.Int16)
    month = digits.str.slice(4, 2).str.extract(r"^([0-9]{2})$").cast(pl.Int8)
    return pl.DataFrame({"timestamp": timestamps.unique()}).with_columns(
        year=pl.when(year > 0).then(year), month=pl.when(month.is_between(1, 12)).then(month)
    )
