"""Names cut into three parts, each of which many names share.

A place is all up to the panorama's id: its crops share it. A turn is what differs between them, heading and so on; a
shot is when it was and what is left. A partition of 250,000 images has some 20,000 places, 360 turns and 200 shots.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline import bytewise
from pipeline.arrays import Numbers, Offsets, first_rows
from pipeline.metadata.fields import FIELDS
from pipeline.texts import Texts

PLACE = ("utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "longitude", "pano_id", "utm_fault")
TURN = ("tile_num", "heading", "odd_heading", "heading_source", "heading_reference", "pitch", "roll", "height")
SHOT = ("timestamp", "year", "month", "note")
AT_OF_A_NAME = len(FIELDS) - 1
BEHIND_PLACE = len(FIELDS) - FIELDS.index("tile_num")  # so many @, with that at its end, to the path's end
BEHIND_TURN = len(FIELDS) - FIELDS.index("timestamp")
KEYS = 2**63  # what fits into an int64


@dataclass(frozen=True)
class Part:
    """One part of names.

    Args:
        first: The row of a name with it, for each distinct one: [num_distinct], int64.
        number: Which of these each name has: [num_names].
    """

    first: Offsets
    number: Numbers


Parts = tuple[Part, Part, Part]


@dataclass(frozen=True)
class Cut:
    """Names cut into place, turn and shot.

    Args:
        can_be_cut: Which of the names can be; the parts of one that cannot be are empty: [num_names].
        all_alike: Whether each of them has the number of @ that a name has.
        texts: The places, the turns and the shots.
    """

    can_be_cut: npt.NDArray[np.bool_]
    all_alike: bool
    texts: tuple[Texts, Texts, Texts]

    def parts(self) -> Parts:
        """Return the distinct places, turns and shots."""
        place, turn, shot = (Part(first, number) for number, first in map(_numbered, self.texts))
        return place, turn, shot


def _numbered(texts: Texts) -> tuple[Numbers, Offsets]:
    return bytewise.number(texts.content, texts.starts, texts.ends)


def cut_names(names: Texts) -> Cut:
    """Cut names at the @ before the tile and at that before the timestamp, counted from the path's end.

    That is right for a name of 16 fields, whatever its folder. Of a name with more or fewer, at least one part is such
    that all names with it have more or fewer.
    """
    content, starts, ends = names.content, names.starts, names.ends
    place_ends, turn_ends, all_alike = bytewise.cut(content, starts, ends, AT_OF_A_NAME, BEHIND_PLACE, BEHIND_TURN)
    can_be_cut = place_ends > starts
    shot_ends = np.where(can_be_cut, ends, turn_ends)
    texts = (
        Texts(content, starts, place_ends),
        Texts(content, place_ends, turn_ends),
        Texts(content, turn_ends, shot_ends),
    )
    return Cut(can_be_cut, all_alike, texts)


def in_order_by_parts(cut: Cut) -> tuple[Offsets, Parts] | None:
    """Return the rows of the distinct names in the order of their bytes, and their parts; None if these do not tell it.

    Sorting the distinct parts takes a tenth of what sorting the names does. It tells their order if no part of one name
    is the beginning of another's: places that all have 8 @, the last of them at the end, are not, nor are such turns.
    """
    if not cut.all_alike:
        return None
    parts = cut.parts()
    if math.prod(len(part.first) for part in parts) >= KEYS:
        return None
    keys = np.zeros(len(cut.can_be_cut), np.int64)
    for part, texts in zip(parts, cut.texts, strict=True):
        keys = keys * len(part.first) + _ranks(texts.take(part.first))[part.number]
    order = np.argsort(keys)
    rows = order[np.diff(keys[order], prepend=-1) > 0]
    place, turn, shot = (_taken(part, rows) for part in parts)
    return rows, (place, turn, shot)


def _taken(part: Part, rows: Offsets) -> Part:
    """Return the part of the names of some rows, in their order; each distinct one is among these."""
    number = part.number[rows]
    return Part(first_rows(number, len(part.first)), number)


def _ranks(distinct: Texts) -> Offsets:
    """Return for each of distinct texts how many come before it in their order."""
    order = pc.sort_indices(distinct.array()).to_numpy()  # in two thirds of polars' time
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
