"""What the names of a partition say, and whether each is a usable image.

What many names share is parsed once: one name with each distinct part, and then a name's columns are put together from
those of its parts. A name that cannot be cut, shares a part with a reject, or breaks a rule that reads several parts is
parsed by itself. So the rules are those of `parse_names`, and cutting decides only how long it takes.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.listing.list_images import Images
from pipeline.metadata.fields import FIELDS, written_column
from pipeline.metadata.name_parts import PLACE, SHOT, TURN, Part, Parts, cut_names, in_order_by_parts
from pipeline.metadata.positions import compare_positions, complete_positions
from pipeline.metadata.rejects import REJECT, Reason, Rule, any_fails, reject_when, rules
from pipeline.metadata.sf_xl_names import parse_names
from pipeline.texts import Texts

PARTS = ((*PLACE, "apart_m"), TURN, SHOT)
IN_EACH_PART = {"num_fields", "is_whole"}  # odd values in one name with a part are odd in all names with that part
READ_WITH_PARTS = (  # the columns that a rule may read of each part
    {*PLACE, *map(written_column, PLACE), "before", *IN_EACH_PART},
    {*TURN, *map(written_column, TURN), *IN_EACH_PART},
    {*SHOT, *map(written_column, SHOT), "extension", *IN_EACH_PART},
)


@dataclass(frozen=True)
class Distinct:
    """Paths as bytes, sorted, each once.

    Args:
        paths: The paths.
        repeats: How often one was listed again.
        parts: What names of SF-XL's form share, where the paths are cut already.
    """

    paths: Texts
    repeats: int
    parts: Parts | None = None


def distinct_paths(images: Images) -> Distinct:
    """Return the paths of images.

    Raises:
        UserError: They cannot be listed.
    """
    listed = Texts.together(images.blocks())
    if found := in_order_by_parts(cut_names(listed)):
        rows, parts = found
        return Distinct(listed.take(rows), len(listed) - len(rows), parts)
    in_order = listed.column().sort()
    paths = in_order.filter((in_order != in_order.shift()).fill_null(True))
    return Distinct(Texts.of_column(paths), len(listed) - len(paths))


def decode_paths(paths: Texts) -> pl.DataFrame:
    """Return paths given as bytes as text in `path`, and in `is_utf8` whether they were.

    One that is not gets a `./`, which no other path begins with, and its odd bytes and percent signs are escaped: so it
    has a text of its own, whatever files are called.
    """
    try:
        return pl.DataFrame({"path": paths.column().cast(pl.String)}).with_columns(is_utf8=pl.lit(True))
    except pl.exceptions.ComputeError:
        texts = [path.decode("utf-8", "surrogateescape") for path in paths]
    is_utf8 = [not re.search("[\udc80-\udcff]", text) for text in texts]
    escaped = [text if fine else _percent_escaped(text) for text, fine in zip(texts, is_utf8, strict=True)]
    return pl.DataFrame({"path": escaped, "is_utf8": is_utf8}, schema={"path": pl.String, "is_utf8": pl.Boolean})


def _percent_escaped(text: str) -> str:
    return "./" + re.sub("[%\udc80-\udcff]", lambda match: f"%{ord(match[0]) & 0xFF:02X}", text)


def read_names(
    paths: pl.DataFrame, strict: bool, parts: Parts | None = None, negative_headings: bool = False
) -> pl.DataFrame:
    """Return the manifest's columns for sorted paths with `is_utf8`, with `reject` and `apart_m`, sorted by path.

    Args:
        paths: `path`, text, and `is_utf8`, as `decode_paths` gives them.
        strict: As in `parse_names`.
        parts: Those of the paths, if these were cut already.
        negative_headings: As in `heading_in_range`.
    """
    images, doubtful = _read_by_parts(paths, strict, parts, negative_headings)
    if doubtful.any():
        rows = pl.Series("row", np.arange(len(paths)))
        clear = images.with_columns(rows).filter(~pl.Series(doubtful))
        alone = with_positions(_parse(paths, strict, np.flatnonzero(doubtful), negative_headings), strict)
        alone = alone.with_columns(rows.filter(pl.Series(doubtful))).select(clear.columns)
        images = pl.concat((clear, alone)).sort("row").drop("row")
    return images if paths["is_utf8"].all() else images.sort("path")


def _read_by_parts(
    paths: pl.DataFrame, strict: bool, parts: Parts | None, negative_headings: bool
) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """Return the images as their parts say, and which of them must be read each by itself."""
    doubtful = np.zeros(len(paths), bool)
    if parts is None or not paths["is_utf8"].all():  # as text, those that are no UTF-8 are other names
        cut = cut_names(Texts.of_column(paths["path"]))
        parts, doubtful = cut.parts(), ~cut.can_be_cut
    parsed = _parse(paths, strict, np.concatenate([part.first for part in parts]), negative_headings)
    examples, columns, begin = with_positions(parsed, strict), [paths], 0
    for part, names_of_part in zip(parts, PARTS, strict=True):
        of_part = examples.slice(begin, len(part.first))
        begin += len(part.first)
        is_odd = of_part.select(pl.col("reject").is_not_null() | (pl.col("num_fields") != len(FIELDS))).to_series()
        if is_odd.any():
            doubtful |= is_odd.to_numpy()[part.number]
        columns.append(_of_each_name(of_part.select(names_of_part), part))
    images = pl.concat(columns, how="horizontal").with_columns(reject=pl.lit(None, REJECT))
    if crossing := [rule for rule in rules(strict) if _crosses_parts(rule)]:
        doubtful |= _break_any(crossing, paths, parsed, parts)
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
