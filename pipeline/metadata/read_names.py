"""Read SF-XL's file names, 16 fields between @, and decide whether each is a usable image.

`@ UTM_east @ UTM_north @ zone number @ band @ latitude @ longitude @ pano_id @ tile_num @ heading @ pitch @ roll @
height @ timestamp @ note @ extension`. The text before the first @ is empty. Folder names may contain @.

Each distinct part of the names is parsed once, in one name that has it. A name that cannot be cut, or shares a part
with a reject, is parsed by itself.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.listing.lines import Lines
from pipeline.metadata.fields import FIELDS, HEADING_ORIGIN, parse_band, parse_fields, written_column
from pipeline.metadata.name_parts import PLACE, SHOT, TURN, Part, cut_names
from pipeline.metadata.paths import Paths
from pipeline.metadata.positions import compare_positions, complete_positions
from pipeline.metadata.rejects import MIN_FIELDS, REJECT, SUFFIX, Reason, Rule, find_rejects, reject_when, rules

MAX_POSITION_FIELDS = FIELDS.index("longitude") + 2  # in a name that ends after its position, with the extension
PARTS = ((*PLACE, "apart_m"), TURN, SHOT)
Rows = npt.NDArray[np.int64]
IN_EACH_PART = {"num_fields", "is_whole"}  # odd values in one name with a part are odd in all names with that part
READ_WITH_PARTS = (  # the columns that a rule may read of each part
    {*PLACE, *map(written_column, PLACE), "before", *IN_EACH_PART},
    {*TURN, *map(written_column, TURN), *IN_EACH_PART},
    {*SHOT, *map(written_column, SHOT), "extension", *IN_EACH_PART},
)


def read_names(paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
    """Return the manifest's columns for names, with `reject` and `apart_m`, sorted by path.

    Args:
        paths: The names.
        strict: As in `parse_names`.
        negative_headings: As in `heading_in_range`.
    """
    texts = paths.decode()
    parse = partial(_parse, texts, strict, negative_headings)
    images, doubtful = _read_by_parts(paths, texts, parse)
    doubtful |= any(map(_crosses_parts, rules(strict)))
    if doubtful.any():
        rows = pl.Series("row", np.arange(len(texts)))
        clear = images.with_columns(rows).filter(~pl.Series(doubtful))
        alone = parse(np.flatnonzero(doubtful)).with_columns(rows.filter(pl.Series(doubtful)))
        images = pl.concat((clear, alone.select(clear.columns))).sort("row").drop("row")
    return images if texts["is_utf8"].all() else images.sort("path")


def _parse(texts: pl.DataFrame, strict: bool, negative_headings: bool, rows: Rows) -> pl.DataFrame:
    parsed = parse_names(texts.select(pl.all().gather(pl.Series(rows))), strict, negative_headings)
    return with_positions(parsed, strict)


def _read_by_parts(
    paths: Paths, texts: pl.DataFrame, parse: Callable[[Rows], pl.DataFrame]
) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """Return the images as their parts say, and which of them must be parsed by themselves."""
    parts, doubtful = paths.parts, np.zeros(len(texts), bool)
    if parts is None or not texts["is_utf8"].all():  # as text, those that are not UTF-8 are other names
        cut = cut_names(Lines.join(texts["path"]))
        parts, doubtful = cut.parts(), ~cut.can_be_cut
    examples, columns, begin = parse(np.concatenate([part.first for part in parts])), [texts], 0
    for part, names_of_part in zip(parts, PARTS, strict=True):
        of_part = examples.slice(begin, len(part.first))
        begin += len(part.first)
        is_odd = of_part.select(pl.col("reject").is_not_null() | (pl.col("num_fields") != len(FIELDS))).to_series()
        if is_odd.any():
            doubtful |= is_odd.to_numpy()[part.number]
        columns.append(_of_each_name(of_part.select(names_of_part), part))
    return pl.concat(columns, how="horizontal").with_columns(reject=pl.lit(None, REJECT)), doubtful


def _crosses_parts(rule: Rule) -> bool:
    """Return whether a rule reads more than one part of names, so that each name must be parsed by itself."""
    return not rule.in_one_part and not any(rule.columns <= readable for readable in READ_WITH_PARTS)


def _of_each_name(parsed: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Return for each name the row of its part; columns without any value cost nothing."""
    empty = [column.name for column in parsed if column.null_count() == len(column)]
    number = pl.Series("number", part.number)
    filled = parsed.drop(empty).select(pl.all().gather(number)) if len(empty) < parsed.width else number.to_frame()
    return filled.with_columns(pl.lit(None, parsed.schema[name]).alias(name) for name in empty).select(parsed.columns)


def with_positions(parsed: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return parsed images with both positions, compared, and with paths that are no UTF-8 as rejects."""
    images = compare_positions(complete_positions(parsed), strict)
    shown = pl.lit("the path is shown percent-escaped")
    return images.with_columns(reject=pl.coalesce(reject_when(~pl.col("is_utf8"), Reason.NOT_UTF8, shown), "reject"))


def parse_names(paths: pl.DataFrame, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
    """Return the manifest's columns, `reject`, and what rules and counts read.

    Args:
        paths: A text column `path`.
        strict: For training: every field must be empty or possible, and a name has all 16 fields or ends after its
            position. Otherwise only the UTM position is required, and other impossible fields become null.
        negative_headings: As in `heading_in_range`.
    """
    rows = parse_fields(_split(paths), negative_headings)
    origin = (pl.lit(None, pl.String).alias(column) for column in HEADING_ORIGIN)
    return rows.with_columns(*origin, find_rejects(rows, rules(strict)))


def _split(paths: pl.DataFrame) -> pl.DataFrame:
    """Return paths with the base name's fields as text, `num_fields` and `is_whole`.

    A whole name has all fields, or ends after its position.
    """
    named = paths.with_columns(name=pl.col("path").str.split("/").list.last())  # faster than a regular expression
    named = named.with_columns(num_fields=pl.col("name").str.count_matches("@", literal=True) + 1)
    has_all = pl.col("num_fields") == len(FIELDS)
    if named.select(has_all.all()).item():
        return named.with_columns(_fields("name"), is_whole=True)
    short = pl.when(pl.col("num_fields") < len(FIELDS)).then(pl.col("name").str.replace(SUFFIX, "")).otherwise("name")
    closed = pl.col("name").str.contains(r"@\.[^@.]*$")
    ends_after_position = pl.col("num_fields").is_between(MIN_FIELDS + 1, MAX_POSITION_FIELDS) & closed
    fields = named.with_columns(name=short).select(_fields("name")).fill_null("")
    # Anything may follow the position: a number is a zone only before a band, or alone between two @.
    is_band = fields.select(parse_band(pl.col("utm_band")).is_not_null()).to_series()
    is_zone = pl.lit((fields["utm_band"] == "") | is_band)
    is_zone &= closed | (pl.col("num_fields") > MIN_FIELDS + 1)
    zone = pl.when(has_all | is_zone).then("utm_zone").otherwise(pl.lit("")).alias("utm_zone")
    return named.with_columns(fields, is_whole=has_all | ends_after_position).with_columns(zone)


def _fields(name: str) -> pl.Expr:
    """Return as many fields as a name has, as text."""
    return pl.col(name).str.split_exact("@", len(FIELDS) - 1).struct.rename_fields(FIELDS).struct.unnest()
