"""SF-XL's file names: 16 fields between @, from the base name only.

`@ UTM_east @ UTM_north @ zone number @ band @ latitude @ longitude @ pano_id @ tile_num @ heading @ pitch @ roll @
height @ timestamp @ note @ extension`. The text before the first @ is empty. Folder names may contain @.
"""

import polars as pl

from pipeline.metadata.fields import FIELDS, HEADING_ORIGIN, parse_band, parse_fields
from pipeline.metadata.rejects import MIN_FIELDS, SUFFIX, find_rejects, rules

MAX_POSITION_FIELDS = FIELDS.index("longitude") + 2  # in a name that ends after its position, with the extension


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
