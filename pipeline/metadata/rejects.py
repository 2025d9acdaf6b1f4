"""Why images are rejected: the reasons and rules, declared once for all sources.

To add a reject reason, add it to `Reason` and a `Rule` to `RULES`.
"""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from pipeline.listing.folder_scan import IMAGE_SUFFIXES
from pipeline.metadata.fields import FIELDS, parse_number, written

REJECT = pl.Struct({"reason": pl.String, "detail": pl.String})
SUFFIX = rf"(?i)\.({'|'.join(suffix.removeprefix('.') for suffix in IMAGE_SUFFIXES)})$"
MIN_FIELDS = FIELDS.index("utm_north") + 1  # in the names of a test set
ONLY_IN_NAMES = {"before", "num_fields", "is_whole"}  # columns that other sources lack


class Reason(StrEnum):
    """Why a file is rejected."""

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


@dataclass(frozen=True)
class Rule:
    """A rule that images must meet.

    Args:
        fails: Which rows break the rule, from fields as parsed and as `written`; null counts as false.
        reject: Struct of reason and detail, built only for rows that fail.
        strict: Whether the rule is for training sets only.
        in_one_part: Whether a single part of a name can break the rule, although it reads the whole path.
    """

    fails: pl.Expr
    reject: pl.Expr
    strict: bool = True
    in_one_part: bool = False

    @property
    def columns(self) -> set[str]:
        """The columns that `fails` reads."""
        return set(self.fails.meta.root_names())


def rejected(reason: str, detail: pl.Expr) -> pl.Expr:
    """Return a struct of reason and detail."""
    return pl.struct(reason=pl.lit(str(reason)), detail=detail)


def reject_when(condition: pl.Expr, reason: str, detail: pl.Expr) -> pl.Expr:
    """Return a struct of reason and detail where the condition holds, else null."""
    return pl.when(condition.fill_null(False)).then(rejected(reason, detail))


def find_rejects(rows: pl.DataFrame, rules: list[Rule]) -> pl.Series:
    """Return the reject of each row by the first rule that it breaks, else null."""
    numbered = rows.with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    failing = numbered.filter(pl.any_horizontal(pl.lit(False), *(rule.fails.fill_null(False) for rule in rules)))
    if failing.is_empty():
        return pl.Series("reject", [None], REJECT).new_from_index(0, len(rows))
    first = pl.coalesce(pl.when(rule.fails.fill_null(False)).then(rule.reject) for rule in rules)
    rejects = failing.select("row", reject=first)
    return numbered.select("row").join(rejects, on="row", how="left", maintain_order="left")["reject"]


def rules(strict: bool, of_names: bool = True) -> list[Rule]:
    """Return the rules for training (strict) or test sets, for names or any source."""
    return [rule for rule in RULES if (strict or not rule.strict) and (of_names or not rule.columns & ONLY_IN_NAMES)]


def _rule(fails: pl.Expr, reason: Reason, form: str, *columns: pl.Expr | str, strict: bool = True) -> Rule:
    return Rule(fails, rejected(reason, pl.format(form, *columns)), strict)


def _path_rule(fails: pl.Expr, reason: Reason, detail: pl.Expr) -> Rule:
    return Rule(fails, rejected(reason, detail), strict=False, in_one_part=True)


def _number_rule(field: str) -> Rule:
    """Return the rule that a field is empty or a number in its range."""
    fails = (written(field) != "") & pl.col(field).is_null()
    if field == "heading":  # null for codes of "unknown" too
        fails &= pl.col("odd_heading").is_null()
    detail = pl.format(field + " = {}", written(field))
    if field == "latitude":  # possible only in the other order
        latitude, longitude = (parse_number(written(name), name).abs() for name in ("latitude", "longitude"))
        is_swapped = latitude.is_between(90, 180, closed="right") & (longitude <= 90)
        swapped = pl.format("{}, longitude = {}: the two are swapped", detail, written("longitude"))
        detail = pl.when(is_swapped).then(swapped).otherwise(detail)
    out_of_range, not_a_number = (rejected(reason, detail) for reason in (Reason.OUT_OF_RANGE, Reason.NOT_A_NUMBER))
    reject = pl.when(parse_number(written(field), field).is_null()).then(not_a_number).otherwise(out_of_range)
    return Rule(fails, reject, strict=field not in ("utm_east", "utm_north"))


_PATH = pl.col("path")
_BETWEEN_SLASHES = pl.concat_str(pl.lit("/"), _PATH, pl.lit("/"))  # three times as fast as a regular expression
_LEAVES_FOLDER = _PATH.str.contains(r"^/|^[A-Za-z]:[/\\]") | _BETWEEN_SLASHES.str.contains("/../", literal=True)
_NUM_FIELDS = f"{{}} fields, expected {len(FIELDS)}"
_UTM_FAULT = "utm_east = {}, utm_north = {}, zone {}{}: {}"
*_UTM, _BAND = (written(field) for field in ("utm_east", "utm_north", "utm_zone", "utm_band"))
# The first rule that a row breaks gives its reject.
RULES: tuple[Rule, ...] = (
    _path_rule(_LEAVES_FOLDER, Reason.UNSAFE_PATH, _PATH),
    _path_rule(_PATH.str.contains(r"(^|/)\._[^/]*$"), Reason.NOT_AN_IMAGE, pl.lit("macOS metadata, not a photo")),
    _path_rule(~_PATH.str.contains(SUFFIX), Reason.NOT_AN_IMAGE, pl.lit(f"expected {', '.join(IMAGE_SUFFIXES)}")),
    _rule(pl.col("num_fields") < MIN_FIELDS, Reason.WRONG_FIELDS, _NUM_FIELDS, "num_fields", strict=False),
    _rule(~pl.col("is_whole"), Reason.WRONG_FIELDS, _NUM_FIELDS, "num_fields"),
    _rule(pl.col("before") != "", Reason.WRONG_FIELDS, "{} before the first @", "before", strict=False),
    *map(_number_rule, ("utm_east", "utm_north", "utm_zone", "latitude", "longitude")),
    _rule((_BAND != "") & pl.col("utm_band").is_null(), Reason.OUT_OF_RANGE, "utm_band = {}", _BAND),
    _rule(pl.col("utm_fault").is_not_null(), Reason.OUT_OF_RANGE, _UTM_FAULT, *_UTM, _BAND, "utm_fault"),
    *map(_number_rule, ("heading", "pitch", "roll", "height")),
)
