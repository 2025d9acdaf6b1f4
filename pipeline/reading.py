"""What the names of a partition say, and whether each is a usable image.

What many names share is parsed once: one name with each distinct part, and then a name's columns are put together from
those of its parts. A name that cannot be cut, or shares a part with a reject, is parsed by itself. So the rules are
those of `parse_names` alone, and what is cut decides nothing but how long it takes.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.listing import Images
from pipeline.name_parts import PLACE, SHOT, TURN, Part, Parts, cut_names, in_order_by_parts
from pipeline.names import REJECT, Reason, parse_names
from pipeline.positions import compare_positions, complete_positions
from pipeline.texts import Texts

PARTS = ((*PLACE, "apart_m"), TURN, SHOT)


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


def read_names(paths: pl.DataFrame, strict: bool, parts: Parts | None = None) -> pl.DataFrame:
    """Return the manifest's columns for sorted paths with `is_utf8`, with `reject` and `apart_m`, sorted by path.

    `parts` are those of the paths, if these were cut already.
    """
    images, doubtful = _read_by_parts(paths, strict, parts)
    if doubtful.any():
        rows = pl.Series("row", np.arange(len(paths)))
        clear = images.with_columns(rows).filter(~pl.Series(doubtful))
        alone = _read_each(paths, strict, np.flatnonzero(doubtful)).with_columns(rows.filter(pl.Series(doubtful)))
        images = pl.concat((clear, alone.select(clear.columns))).sort("row").drop("row")
    return images if paths["is_utf8"].all() else images.sort("path")


def _read_by_parts(
    paths: pl.DataFrame, strict: bool, parts: Parts | None
) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """Return the images as their parts say, and which of them must be read each by itself."""
    doubtful = np.zeros(len(paths), bool)
    if parts is None or not paths["is_utf8"].all():  # as text, those that are no UTF-8 are other names
        cut = cut_names(Texts.of_column(paths["path"]))
        parts, doubtful = cut.parts(), ~cut.can_be_cut
    examples = _read_each(paths, strict, np.concatenate([part.first for part in parts]))
    columns, begin = [paths], 0
    for part, names in zip(parts, PARTS, strict=True):
        parsed = examples.slice(begin, len(part.first))
        begin += len(part.first)
        is_reject = parsed["reject"].is_not_null().to_numpy()
        if is_reject.any():
            doubtful |= is_reject[part.number]
        columns.append(_of_each_name(parsed.select(names), part))
    images = pl.concat(columns, how="horizontal")
    return images.with_columns(reject=pl.lit(None, REJECT)), doubtful


def _of_each_name(parsed: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Return for each name the row of its part; columns without any value cost nothing."""
    empty = [column.name for column in parsed if column.null_count() == len(column)]
    number = pl.Series("number", part.number)
    filled = parsed.drop(empty).select(pl.all().gather(number)) if len(empty) < parsed.width else number.to_frame()
    return filled.with_columns(pl.lit(None, parsed.schema[name]).alias(name) for name in empty).select(parsed.columns)


def _read_each(paths: pl.DataFrame, strict: bool, rows: npt.NDArray[Any]) -> pl.DataFrame:
    """Return the images of some rows, each parsed by itself."""
    chosen = paths.select(pl.all().gather(pl.Series(rows)))
    return with_positions(parse_names(chosen, strict), strict)


def with_positions(parsed: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return parsed images with both positions, compared, and with paths that are no UTF-8 as rejects."""
    images = compare_positions(complete_positions(parsed), strict)
    not_utf8 = pl.struct(reason=pl.lit(Reason.NOT_UTF8.value), detail=pl.lit("the path is shown percent-escaped"))
    return images.with_columns(reject=pl.when("is_utf8").then("reject").otherwise(not_utf8))
