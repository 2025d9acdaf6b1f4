"""SF-XL's file names: 16 fields between @, of which the base name alone is read.

`@ UTM_east @ UTM_north @ zone number @ band @ latitude @ longitude @ pano_id @ tile_num @ heading @ pitch @ roll @
height @ timestamp @ note @ extension`; what comes before the first @ is empty. A folder's name may hold an @.
"""

from enum import StrEnum

import polars as pl

from pipeline.listing import IMAGE_SUFFIXES
from pipeline.settings import FULL_TURN

FIELDS = (
    *("before", "utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "longitude", "pano_id", "tile_num"),
    *("heading", "pitch", "roll", "height", "timestamp", "note", "extension"),
)
NUMBERS = ("utm_east", "utm_north", "utm_zone", "latitude", "longitude", "heading", "pitch", "roll", "height")
RANGES = {"utm_zone": (1, 60), "latitude": (-90, 90), "longitude": (-180, 180)}
BANDS = tuple("CDEFGHJKLMNPQRSTUVWX")
TEXTS = ("pano_id", "tile_num", "timestamp", "note")
UNKNOWN_HEADING = -1.0


class Reason(StrEnum):
    """Why a file is no usable image."""

    NOT_UTF8 = "not UTF-8"
    UNSAFE_PATH = "unsafe path"
    NOT_AN_IMAGE = "not an image name"
    WRONG_FIELDS = "wrong number of fields"
    NOT_A_NUMBER = "not a number"
    NO_POSITION = "no position"
    OUT_OF_RANGE = "out of range"
    POSITIONS_DISAGREE = "positions disagree"


def reject_when(condition: pl.Expr, reason: Reason, detail: pl.Expr) -> pl.Expr:
    """Return a struct of reason and detail where the condition holds, else null: the form that `coalesce` takes."""
    return pl.when(condition.fill_null(False)).then(pl.struct(reason=pl.lit(reason.value), detail=detail))


def parse_names(paths: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return what the names say: the columns of the manifest, and `reject`, a struct of reason and detail or null.

    Args:
        paths: A column `path` of text.
        strict: Whether any field that is filled with what it cannot be is a reason to reject the image. Otherwise only
            a UTM position that is no number is; other such fields become null.
    """
    name = pl.col("path").str.extract(r"([^/]*)$")
    fields = name.str.split_exact("@", len(FIELDS) - 1).struct.rename_fields(FIELDS)
    written = paths.with_columns(fields.struct.unnest(), num_fields=name.str.count_matches("@", literal=True) + 1)
    texts = (pl.when(pl.col(text) != "").then(pl.col(text)).alias(text) for text in TEXTS)
    numbers = (_number(field).alias(field) for field in NUMBERS)
    return (
        written.with_columns(_reject_by_name(strict).alias("reject"), _band().alias("utm_band"), *texts, *numbers)
        .with_columns(heading_in_range(pl.col("heading")), pl.col("utm_zone").cast(pl.Int8), *_year_and_month())
        .drop("before", "extension", "num_fields")
    )


def _any_number(field: str) -> pl.Expr:
    """Return a field's finite number, else null; a zone number must be whole."""
    number = pl.col(field).cast(pl.Int64 if field == "utm_zone" else pl.Float64, strict=False)
    return pl.when(number.cast(pl.Float64).is_finite()).then(number)


def _number(field: str) -> pl.Expr:
    """Return a field's number where it is one and can be, else null."""
    number = _any_number(field)
    return pl.when(number.is_between(*RANGES[field])).then(number) if field in RANGES else number


def _band() -> pl.Expr:
    band = pl.col("utm_band").str.to_uppercase()
    return pl.when(band.is_in(BANDS)).then(band)


def heading_in_range(heading: pl.Expr) -> pl.Expr:
    """Return headings brought to [0, 360) degrees, -1 as null.

    The modulo of a tiny negative number rounds up to 360, which is 0.
    """
    turned = heading % FULL_TURN
    return (
        pl.when(heading != UNKNOWN_HEADING)
        .then(pl.when(turned < FULL_TURN).then(turned).otherwise(0.0))
        .alias("heading")
    )


def _year_and_month() -> tuple[pl.Expr, pl.Expr]:
    digits = pl.col("timestamp").str.extract(r"^(\d{4,6})")
    year = digits.str.slice(0, 4).cast(pl.Int16)
    month = digits.str.slice(4, 2).str.extract(r"^(\d\d)$").cast(pl.Int8)
    return pl.when(year > 0).then(year).alias("year"), pl.when(month.is_between(1, 12)).then(month).alias("month")


def _reject_by_name(strict: bool) -> pl.Expr:
    """Return the first reason for which a path or its name is of no use, else null."""
    path, before = pl.col("path"), pl.col("before")
    suffixes = "|".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
    expected = pl.lit(f"expected {', '.join(IMAGE_SUFFIXES)}")
    num_fields = pl.format("{} fields, expected " + str(len(FIELDS)), "num_fields")
    return pl.coalesce(
        reject_when(path.str.contains(r"^/|^[A-Za-z]:[/\\]|(^|/)\.\.(/|$)"), Reason.UNSAFE_PATH, path),
        reject_when(~path.str.contains(rf"(?i)\.({suffixes})$"), Reason.NOT_AN_IMAGE, expected),
        reject_when(pl.col("num_fields") != len(FIELDS), Reason.WRONG_FIELDS, num_fields),
        reject_when(before != "", Reason.WRONG_FIELDS, pl.format("{} before the first @", before)),
        *(_reject_number(field) for field in (NUMBERS if strict else ("utm_east", "utm_north"))),
        *((_reject_band(),) if strict else ()),
    )


def _reject_number(field: str) -> pl.Expr:
    """Return a reject where a field is filled with no number, or with one that it cannot be."""
    filled, detail = pl.col(field) != "", pl.format(field + " = {}", field)
    no_number = reject_when(filled & _any_number(field).is_null(), Reason.NOT_A_NUMBER, detail)
    return pl.coalesce(no_number, reject_when(filled & _number(field).is_null(), Reason.OUT_OF_RANGE, detail))


def _reject_band() -> pl.Expr:
    impossible = (pl.col("utm_band") != "") & _band().is_null()
    return reject_when(impossible, Reason.OUT_OF_RANGE, pl.format("utm_band = {}", "utm_band"))
