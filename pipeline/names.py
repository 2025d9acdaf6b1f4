"""SF-XL's file names: 16 fields between @, of which the base name alone is read.

`@ UTM_east @ UTM_north @ zone number @ band @ latitude @ longitude @ pano_id @ tile_num @ heading @ pitch @ roll @
height @ timestamp @ note @ extension`; what comes before the first @ is empty. A folder's name may hold an @.
"""

from enum import StrEnum

import polars as pl

from pipeline.settings import FULL_TURN
from pipeline.tree import IMAGE_SUFFIXES

FIELDS = (
    *("before", "utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "longitude", "pano_id", "tile_num"),
    *("heading", "pitch", "roll", "height", "timestamp", "note", "extension"),
)
NUMBERS = ("utm_east", "utm_north", "utm_zone", "latitude", "longitude", "heading", "pitch", "roll", "height")
UTM_LIMIT_M = 1e8  # more than twice round the Earth: nowhere, even in the metres of a zone far away
RANGES = {
    "utm_east": (-UTM_LIMIT_M, UTM_LIMIT_M),
    "utm_north": (-UTM_LIMIT_M, UTM_LIMIT_M),
    "utm_zone": (1, 60),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
}
BANDS = tuple("CDEFGHJKLMNPQRSTUVWX")
TEXTS = ("pano_id", "tile_num", "timestamp", "note")
UNKNOWN_HEADING = -1.0
REJECT = pl.Struct({"reason": pl.String, "detail": pl.String})
HEADING_ORIGIN = ("heading_source", "heading_reference")  # of which a name says nothing


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
    NO_FILE = "no such file"
    NOT_IN_TABLE = "not in the table"
    ROWS_DISAGREE = "rows disagree"
    UNREADABLE = "cannot be read"
    OTHER_PART = "near another part"
    NO_TIME = "no time"


def reject_when(condition: pl.Expr, reason: Reason, detail: pl.Expr) -> pl.Expr:
    """Return a struct of reason and detail where the condition holds, else null: the form that `coalesce` takes."""
    return pl.when(condition.fill_null(False)).then(pl.struct(reason=pl.lit(reason.value), detail=detail))


def parse_names(paths: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return what the names say: the columns of the manifest, and `reject`, a struct of reason and detail or null.

    Args:
        paths: A column `path` of text.
        strict: Whether any field that is filled with what it cannot be is a reason to reject the image. Otherwise only
            a UTM position that is no number, or nowhere on Earth, is; other such fields become null.
    """
    written = _split(paths)
    parsed = parse_fields(written)
    not_said = (pl.lit(None, pl.String).alias(column) for column in HEADING_ORIGIN)
    return (
        with_years(parsed)
        .with_columns(*not_said, reject=_rejects(written, parsed, strict))
        .drop("before", "extension", "num_fields")
    )


def parse_fields(written: pl.DataFrame) -> pl.DataFrame:
    """Return fields, given as the texts that are written, as numbers and texts: null where empty or impossible."""
    texts = (pl.when(pl.col(text) != "").then(pl.col(text)).alias(text) for text in TEXTS)
    numbers = (_number(field).alias(field) for field in NUMBERS)
    return written.with_columns(_band().alias("utm_band"), *texts, *numbers)


def with_years(parsed: pl.DataFrame) -> pl.DataFrame:
    """Return what `parse_fields` gave with headings in [0, 360), and the years and months of the timestamps."""
    in_range = parsed.with_columns(heading_in_range(pl.col("heading")), pl.col("utm_zone").cast(pl.Int8))
    years = _years_and_months(parsed["timestamp"])
    return in_range.join(years, on="timestamp", how="left", maintain_order="left")


def reject_by_fields(strict: bool) -> pl.Expr:
    """Return the first reason for which fields, given as the texts that are written, are of no use, else null."""
    fields = NUMBERS if strict else ("utm_east", "utm_north")
    return pl.coalesce(*(_reject_number(field) for field in fields), *((_reject_band(),) if strict else ()))


def reject_by_path() -> pl.Expr:
    """Return the reason for which a path itself is of no use, else null."""
    path = pl.col("path")
    unsafe = _is_absolute(path) | path.str.contains(r"(^|/)\.\.(/|$)")
    expected = pl.lit(f"expected {', '.join(IMAGE_SUFFIXES)}")
    of_macos = path.str.contains(r"(^|/)\._[^/]*$")
    return pl.coalesce(
        reject_when(unsafe, Reason.UNSAFE_PATH, path),
        reject_when(of_macos, Reason.NOT_AN_IMAGE, pl.lit("macOS metadata beside a photo")),
        reject_when(~_is_image(path), Reason.NOT_AN_IMAGE, expected),
    )


def _split(paths: pl.DataFrame) -> pl.DataFrame:
    """Return paths with the fields of the base name as they are written, and their number."""
    named = paths.with_columns(name=pl.col("path").str.split("/").list.last())  # faster than a regular expression
    fields = pl.col("name").str.split_exact("@", len(FIELDS) - 1).struct.rename_fields(FIELDS)
    num_fields = pl.col("name").str.count_matches("@", literal=True) + 1
    return named.with_columns(fields.struct.unnest(), num_fields=num_fields).drop("name")


def _rejects(written: pl.DataFrame, parsed: pl.DataFrame, strict: bool) -> pl.Series:
    """Return the reject of each name, or null.

    Reasons are looked for in those names alone that a cheaper look finds fault with, which are few as a rule.
    """
    path = pl.col("path")
    faults: list[pl.Expr | pl.Series] = [pl.col("num_fields") != len(FIELDS), pl.col("before") != "", ~_is_image(path)]
    faults += [_is_absolute(path), path.str.contains("..", literal=True)]
    faults += [(written[field] != "") & parsed[field].is_null() for field in (*NUMBERS, "utm_band")]
    doubtful = written.with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32)).filter(pl.any_horizontal(faults))
    if doubtful.is_empty():
        return pl.Series("reject", [None], REJECT).new_from_index(0, len(written))
    found = doubtful.select("row", reject=_reject_by_name(strict)).filter(pl.col("reject").is_not_null())
    return pl.select(row=pl.int_range(len(written), dtype=pl.UInt32)).join(
        found, on="row", how="left", maintain_order="left"
    )["reject"]


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

    The modulo of a number just below a full turn may round to 360, or fall below 0: that is 0.
    """
    turned = pl.when(_in_full_turn(heading)).then(heading).otherwise(heading % FULL_TURN)
    known = pl.when(_in_full_turn(turned)).then(turned).otherwise(0.0)
    return pl.when(heading != UNKNOWN_HEADING).then(known).alias("heading")


def _in_full_turn(degrees: pl.Expr) -> pl.Expr:
    return degrees.is_between(0, FULL_TURN, closed="left")


def _years_and_months(timestamps: pl.Series) -> pl.DataFrame:
    """Return each distinct timestamp with its year and month, null where it has none."""
    digits = pl.col("timestamp").str.extract(r"^([0-9]{4,6})")  # \d would take the digits of any script
    year = digits.str.slice(0, 4).cast(pl.Int16)
    month = digits.str.slice(4, 2).str.extract(r"^([0-9]{2})$").cast(pl.Int8)
    return pl.DataFrame({"timestamp": timestamps.unique()}).with_columns(
        pl.when(year > 0).then(year).alias("year"), pl.when(month.is_between(1, 12)).then(month).alias("month")
    )


def _is_image(path: pl.Expr) -> pl.Expr:
    suffixes = "|".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
    return path.str.contains(rf"(?i)\.({suffixes})$")


def _is_absolute(path: pl.Expr) -> pl.Expr:
    return path.str.contains(r"^/|^[A-Za-z]:[/\\]")


def _reject_by_name(strict: bool) -> pl.Expr:
    """Return the first reason for which a path or its name is of no use, else null."""
    before = pl.col("before")
    num_fields = pl.format("{} fields, expected " + str(len(FIELDS)), "num_fields")
    return pl.coalesce(
        reject_by_path(),
        reject_when(pl.col("num_fields") != len(FIELDS), Reason.WRONG_FIELDS, num_fields),
        reject_when(before != "", Reason.WRONG_FIELDS, pl.format("{} before the first @", before)),
        reject_by_fields(strict),
    )


def _reject_number(field: str) -> pl.Expr:
    """Return a reject where a field is filled with no number, or with one that it cannot be."""
    filled, detail = pl.col(field) != "", pl.format(field + " = {}", field)
    no_number = reject_when(filled & _any_number(field).is_null(), Reason.NOT_A_NUMBER, detail)
    return pl.coalesce(no_number, reject_when(filled & _number(field).is_null(), Reason.OUT_OF_RANGE, detail))


def _reject_band() -> pl.Expr:
    impossible = (pl.col("utm_band") != "") & _band().is_null()
    return reject_when(impossible, Reason.OUT_OF_RANGE, pl.format("utm_band = {}", "utm_band"))
