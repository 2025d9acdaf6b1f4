"""Names cut into three parts, each of which many names share.

A place is all up to the panorama's id: its crops share it. A turn is what differs between them, heading and so on; a
shot is when it was and what is left. A partition of 250,000 images has some 20,000 places, 360 turns and 200 shots.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.texts import Offsets, flat, texts_between

PLACE = ("utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "longitude", "pano_id")
TURN = ("tile_num", "heading", "heading_source", "heading_reference", "pitch", "roll", "height")
SHOT = ("timestamp", "year", "month", "note")
AT = ord("@")
AFTER_PLACE, AFTER_TURN = 8, 3  # how many @ stand behind a place, and behind a turn, in a name of 16 fields
ROWS_AT_A_TIME = 16_384  # more would not stay in a processor's cache


@dataclass(frozen=True)
class Part:
    """One part of names.

    Args:
        first: The row of a name with it, for each distinct one: [num_distinct], int64.
        number: Which of these each name has: [num_names].
    """

    first: npt.NDArray[np.int64]
    number: npt.NDArray[np.integer[Any]]


def cut_names(paths: pl.Series) -> tuple[npt.NDArray[np.bool_], Part, Part, Part]:
    """Return which names can be cut, and their places, turns and shots; the part of one that cannot be is empty.

    It is cut at the 8th and the 3rd @ from the path's end. That is right for a name of 16 fields, whatever its folder;
    names of more or fewer are rejects whichever of their parts is looked at.
    """
    content, offsets = flat(paths)
    place_ends, turn_ends = _cuts(content, offsets)
    can_be_cut = place_ends > offsets[:-1]
    shot_ends = np.where(can_be_cut, offsets[1:], turn_ends)
    place = texts_between(content, offsets[:-1], place_ends)
    turn = texts_between(content, place_ends, turn_ends)
    shot = texts_between(content, turn_ends, shot_ends)
    return can_be_cut, _runs(place), _distinct(turn), _distinct(shot)


def _cuts(content: npt.NDArray[np.uint8], offsets: Offsets) -> tuple[Offsets, Offsets]:
    """Return where the place and the turn of each path end; both where it starts if it has too few @."""
    place_ends, turn_ends = np.empty(len(offsets) - 1, np.int64), np.empty(len(offsets) - 1, np.int64)
    nowhere = np.full(AFTER_PLACE, -1)
    for begin in range(0, len(place_ends), ROWS_AT_A_TIME):
        rows = slice(begin, begin + ROWS_AT_A_TIME)
        ends = offsets[1:][rows]
        start = offsets[begin]
        at = np.concatenate((nowhere, np.flatnonzero(content[start : ends[-1]] == AT) + start))
        last = np.searchsorted(at, ends)
        place_ends[rows] = at[last - AFTER_PLACE] + 1
        turn_ends[rows] = at[last - AFTER_TURN] + 1
    too_few = place_ends <= offsets[:-1]
    place_ends[too_few] = turn_ends[too_few] = offsets[:-1][too_few]
    return place_ends, turn_ends


def _runs(texts: pl.Series) -> Part:
    """Return the texts by where they change: nearly the distinct ones, for sorted paths, at less cost."""
    changes = (texts != texts.shift()).fill_null(True).to_numpy()
    return Part(np.flatnonzero(changes), np.cumsum(changes, dtype=np.int32) - np.int32(1))


def _distinct(texts: pl.Series) -> Part:
    number = texts.to_arrow().dictionary_encode().indices.to_numpy()
    first = np.empty(number.max() + 1 if len(number) else 0, np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]  # of the rows of a number the first is written last
    return Part(first, number)
