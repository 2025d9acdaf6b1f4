"""SF-XL's file names: 16 fields between @, read from the base name, and the rules by which a name is a reject.

`@ UTM_east @ UTM_north @ zone number @ band @ latitude @ longitude @ pano_id @ tile_num @ heading @ pitch @ roll @
height @ timestamp @ note @ extension`; what comes before the first @ is empty. A folder's name may hold an @.
"""

from enum import StrEnum

import polars as pl

from data_manifest.schemas import MANIFEST
from pipeline.listing.folder_scan import IMAGE_SUFFIXES
from pipeline.metadata.headings import heading_in_range, odd_heading
from pipeline.metadata.rejects import Rule, find_rejects, rejected, written, written_column
from pipeline.metadata.utm_faults import BANDS, find_utm_faults

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
SUFFIX = rf"(?i)\.({'|'.join(suffix.removeprefix('.') for suffix in IMAGE_SUFFIXES)})$"
TEXTS = ("pano_id", "tile_num", "timestamp", "note")
HEADING_ORIGIN = ("heading_source", "heading_reference")  # of which a name says nothing
ABOUT_NAMES = {"before", "num_fields", "is_whole"}  # columns that only names have
NEEDED_FIELDS = FIELDS.index("utm_north") + 1  # of a test set's names
POSITION_FIELDS = FIELDS.index("longitude") + 2  # of a name that ends after its position, with the extension


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


def parse_names(paths: pl.DataFrame, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
    """Return the columns of the manifest as the names give them, and `reject`, a struct of reason and detail or null.

    Args:
        paths: A column `path` of text.
        strict: For training: each field that is filled must be possible, and a name has all 16 fields or ends after its
            position. Otherwise only the UTM position is needed, and other impossible fields become null.
        negative_headings: As in `heading_in_range`.
    """
    return parse_rows(paths, strict, negative_headings).select(*MANIFEST.names, "reject")


def parse_rows(paths: pl.DataFrame, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
    """Return what `parse_names` does, and the other columns that rules and counts read."""
    rows = parse_fields(_split(paths), negative_headings)
    not_said = (pl.lit(None, pl.String).alias(column) for column in HEADING_ORIGIN)
    return rows.with_columns(*not_said, find_rejects(rows, rules(strict)))


def parse_fields(texts: pl.DataFrame, negative_headings: bool = False) -> pl.DataFrame:
    """Return rows as rules read them: each field parsed, null where empty or impossible, and as written.

    Args:
        texts: Fields as they are written; other columns are kept.
        negative_headings: As in `heading_in_range`.
    """
    fields = [field for field in texts.columns if field in FIELDS]
    parsed = texts.with_columns(
        *(pl.col(field).alias(written_column(field)) for field in fields),
        *(pl.when(pl.col(text) != "").then(pl.col(text)).alias(text) for text in TEXTS),
        *(_number(pl.col(field), field).alias(field) for field in NUMBERS),
        _band(pl.col("utm_band")).alias("utm_band"),
    ).with_columns(
        heading_in_range(pl.col("heading"), negative_headings),
        odd_heading(pl.col("heading"), negative_headings),
        pl.col("utm_zone").cast(pl.Int8),
    )
    years = _years_and_months(parsed["timestamp"])
    return parsed.with_columns(find_utm_faults(parsed)).join(years, on="timestamp", how="left", maintain_order="left")


def rules(strict: bool, of_names: bool = True) -> list[Rule]:
    """Return the rules for training (strict) or for test sets; without `of_names`, only those for all sources."""
    return [rule for rule in RULES if (strict or not rule.strict) and (of_names or not rule.columns & ABOUT_NAMES)]


def _split(paths: pl.DataFrame) -> pl.DataFrame:
    """Return paths with the fields of the base name as they are written, `num_fields` and `is_whole`.

    A name is whole if it has all fields, or ends after its position.
    """
    named = paths.with_columns(name=pl.col("path").str.split("/").list.last())  # faster than a regular expression
    named = named.with_columns(num_fields=pl.col("name").str.count_matches("@", literal=True) + 1)
    has_all = pl.col("num_fields") == len(FIELDS)
    if named.select(has_all.all()).item():
        return named.with_columns(_fields("name"), is_whole=True)
    short = pl.when(pl.col("num_fields") < len(FIELDS)).then(pl.col("name").str.replace(SUFFIX, "")).otherwise("name")
    closed = pl.col("name").str.contains(r"@\.[^@.]*$")
    ends_after_position = pl.col("num_fields").is_between(NEEDED_FIELDS + 1, POSITION_FIELDS) & closed
    fields = named.with_columns(name=short).select(_fields("name")).fill_null("")
    # What follows the position may be anything: a number is a zone only before a band, or alone between two @.
    is_zone = pl.lit((fields["utm_band"] == "") | fields.select(_band(pl.col("utm_band")).is_not_null()).to_series())
    is_zone &= closed | (pl.col("num_fields") > NEEDED_FIELDS + 1)
    zone = pl.when(has_all | is_zone).then("utm_zone").otherwise(pl.lit("")).alias("utm_zone")
    return named.with_columns(fields, is_whole=has_all | ends_after_position).with_columns(zone)


def _fields(name: str) -> pl.Expr:
    """Return as many fields as a name has, as they are written."""
    return pl.col(name).str.split_exact("@", len(FIELDS) - 1).struct.rename_fields(FIELDS).struct.unnest()


def _any_number(text: pl.Expr, field: str) -> pl.Expr:
    """Return a field's finite number, else null; a zone number must be whole."""
    number = text.cast(pl.Int64 if field == "utm_zone" else pl.Float64, strict=False)
    return pl.when(number.cast(pl.Float64).is_finite()).then(number)


def _number(text: pl.Expr, field: str) -> pl.Expr:
    """Return a field's number where it is one and can be, else null."""
    number = _any_number(text, field)
    return pl.when(number.is_between(*RANGES[field])).then(number) if field in RANGES else number


def _band(text: pl.Expr) -> pl.Expr:
    band = text.str.to_uppercase()
    return pl.when(band.is_in(BANDS)).then(band)


def _years_and_months(timestamps: pl.Series) -> pl.DataFrame:
    """Return each distinct timestamp with its year and month, null where it has none."""
    digits = pl.col("timestamp").str.extract(r"^([0-9]{4,6})")  # \d would take the digits of any script
    year = digits.str.slice(0, 4).cast(pl.Int16)
    month = digits.str.slice(4, 2).str.extract(r"^([0-9]{2})$").cast(pl.Int8)
    return pl.DataFrame({"timestamp": timestamps.unique()}).with_columns(
        pl.when(year > 0).then(year).alias("year"), pl.when(month.is_between(1, 12)).then(month).alias("month")
    )


def _is_unsafe(path: pl.Expr) -> pl.Expr:
    between_slashes = pl.concat_str(pl.lit("/"), path, pl.lit("/"))  # a third of the time of a regular expression
    return path.str.contains(r"^/|^[A-Za-z]:[/\\]") | between_slashes.str.contains("/../", literal=True)


def _number_rule(field: str) -> Rule:
    """Return the rule that a field holds nothing or a number in its range."""
    fails = (written(field) != "") & pl.col(field).is_null()
    if field == "heading":  # null for numbers that stand for "unknown" as well
        fails &= pl.col("odd_heading").is_null()
    detail = pl.format(field + " = {}", written(field))
    if field == "latitude":
        swapped = pl.format("{}, longitude = {}: the two are swapped", detail, written("longitude"))
        detail = pl.when(_is_swapped()).then(swapped).otherwise(detail)
    out_of_range, no_number = (rejected(reason, detail) for reason in (Reason.OUT_OF_RANGE, Reason.NOT_A_NUMBER))
    reject = pl.when(_any_number(written(field), field).is_null()).then(no_number).otherwise(out_of_range)
    return Rule(fails, reject, strict=field not in ("utm_east", "utm_north"))


def _is_swapped() -> pl.Expr:
    """Return whether latitude and longitude, as written, make sense only in the other order."""
    latitude, longitude = (_any_number(written(field), field).abs() for field in ("latitude", "longitude"))
    return latitude.is_between(90, 180, closed="right") & (longitude <= 90)


_NUM_FIELDS = rejected(Reason.WRONG_FIELDS, pl.format("{} fields, expected " + str(len(FIELDS)), "num_fields"))
_UTM = [written(field) for field in ("utm_east", "utm_north", "utm_zone", "utm_band")]
# The first rule that a name breaks gives its reject. `reading` applies the same rules to names read part by part.
RULES: tuple[Rule, ...] = (
    Rule(_is_unsafe(pl.col("path")), rejected(Reason.UNSAFE_PATH, pl.col("path")), strict=False, in_one_part=True),
    Rule(
        pl.col("path").str.contains(r"(^|/)\._[^/]*$"),
        rejected(Reason.NOT_AN_IMAGE, pl.lit("macOS metadata beside a photo")),
        strict=False,
        in_one_part=True,
    ),
    Rule(
        ~pl.col("path").str.contains(SUFFIX),
        rejected(Reason.NOT_AN_IMAGE, pl.lit(f"expected {', '.join(IMAGE_SUFFIXES)}")),
        strict=False,
        in_one_part=True,
    ),
    # place: all up to the panorama's id
    Rule(pl.col("num_fields") < NEEDED_FIELDS, _NUM_FIELDS, strict=False),
    Rule(~pl.col("is_whole"), _NUM_FIELDS),
    Rule(
        pl.col("before") != "",
        rejected(Reason.WRONG_FIELDS, pl.format("{} before the first @", "before")),
        strict=False,
    ),
    *map(_number_rule, ("utm_east", "utm_north", "utm_zone", "latitude", "longitude")),
    Rule(
        (written("utm_band") != "") & pl.col("utm_band").is_null(),
        rejected(Reason.OUT_OF_RANGE, pl.format("utm_band = {}", written("utm_band"))),
    ),
    Rule(
        pl.col("utm_fault").is_not_null(),
        rejected(Reason.OUT_OF_RANGE, pl.format("utm_east = {}, utm_north = {}, zone {}{}: {}", *_UTM, "utm_fault")),
    ),
    # turn: from the tile to the height
    *map(_number_rule, ("heading", "pitch", "roll", "height")),
)
