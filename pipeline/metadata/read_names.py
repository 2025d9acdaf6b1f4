"""Read the names of a partition, and decide whether each is a usable image.

Each distinct part of the names is parsed once, in one name that has it. A name that cannot be cut, shares a part with a
reject, or breaks a rule that reads several parts is parsed by itself. The rules are those of `parse_names`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.listing.lines import Lines
from pipeline.metadata.fields import FIELDS, written_column
from pipeline.metadata.name_parts import PLACE, SHOT, TURN, Part, Parts, cut_names
from pipeline.metadata.paths import Paths
from pipeline.metadata.positions import compare_positions, complete_positions
from pipeline.metadata.rejects import REJECT, Reason, Rule, any_fails, reject_when, rules
from pipeline.metadata.sf_xl_names import parse_names

PARTS = ((*PLACE, "apart_m"), TURN, SHOT)
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
    images, doubtful = _read_by_parts(paths, texts, strict, negative_headings)
    if doubtful.any():
        rows = pl.Series("row", np.arange(len(texts)))
        clear = images.with_columns(rows).filter(~pl.Series(doubtful))
        alone = with_positions(_parse(texts, strict, np.flatnonzero(doubtful), negative_headings), strict)
        alone = alone.with_columns(rows.filter(pl.Series(doubtful))).select(clear.columns)
        images = pl.concat((clear, alone)).sort("row").drop("row")
    return images if texts["is_utf8"].all() else images.sort("path")


def _read_by_parts(
    paths: Paths, texts: pl.DataFrame, strict: bool, negative_headings: bool
) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """Return the images as their parts say, and which of them must be read each by itself."""
    parts, doubtful = paths.parts, np.zeros(len(texts), bool)
    if parts is None or not texts["is_utf8"].all():  # as text, those that are not UTF-8 are other names
        cut = cut_names(Lines.join(texts["path"]))
        parts, doubtful = cut.parts(), ~cut.can_be_cut
    parsed = _parse(texts, strict, np.concatenate([part.first for part in parts]), negative_headings)
    examples, columns, begin = with_positions(parsed, strict), [texts], 0
    for part, names_of_part in zip(parts, PARTS, strict=True):
        of_part = examples.slice(begin, len(part.first))
        begin += len(part.first)
        is_odd = of_part.select(pl.col("reject").is_not_null() | (pl.col("num_fields") != len(FIELDS))).to_series()
        if is_odd.any():
            doubtful = doubtful | is_odd.to_numpy()[part.number]
        columns.append(_of_each_name(of_part.select(names_of_part), part))
    images = pl.concat(columns, how="horizontal").with_columns(reject=pl.lit(None, REJECT))
    if crossing := [rule for rule in rules(strict) if _crosses_parts(rule)]:
        doubtful = doubtful | _break_any(crossing, texts, parsed, parts)
    return images, doubtful


def _crosses_parts(rule: Rule) -> bool:
    """Return whether a rule must be checked on whole names, because it reads more than one part of them."""
    return not rule.in_one_part and not any(rule.columns <= readable for readable in READ_WITH_PARTS)


def _break_any(crossing: list[Rule], paths: pl.DataFrame, parsed: pl.DataFrame, parts: Parts) -> npt.NDArray[np.bool_]:
    """Return which names break a rule that reads several parts; `parsed` has one name with each distinct part."""
    wanted = {column for rule in crossing for column in rule.columns} - {*paths.columns}
    columns, begin = [paths], 0
    for part, readable in zip(parts, READ_WITH_PARTS, strict=True):
        of_part = parsed.slice(begin, len(part.first)).select(sorted(wanted & readable))
        columns.append(_of_each_name(of_part, part))
        wanted -= readable
        begin += len(part.first)
    return pl.concat(columns, how="horizontal").select(any_fails(crossing)).to_series().to_numpy()


def _of_each_name(parsed: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Return for each name the row of its part; columns without any value cost nothing."""
    empty = [column.name for column in parsed if column.null_count() == len(column)]
    number = pl.Series("number", part.number)
    filled = parsed.drop(empty).select(pl.all().gather(number)) if len(empty) < parsed.width else number.to_frame()
    return filled.with_columns(pl.lit(None, parsed.schema[name]).alias(name) for name in empty).select(parsed.columns)


def _parse(paths: pl.DataFrame, strict: bool, rows: npt.NDArray[Any], negative_headings: bool) -> pl.DataFrame:
    """Return what the names of some rows say, each parsed by itself."""
    return parse_names(paths.select(pl.all().gather(pl.Series(rows))), strict, negative_headings)


def with_positions(parsed: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return parsed images with both positions, compared, and with paths that are no UTF-8 as rejects."""
    images = compare_positions(complete_positions(parsed), strict)
    shown = pl.lit("the path is shown percent-escaped")
    return images.with_columns(reject=pl.coalesce(reject_when(~pl.col("is_utf8"), Reason.NOT_UTF8, shown), "reject"))
