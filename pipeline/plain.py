"""What `pipeline.compiled` does, for where nothing could be compiled: the same results, in a multiple of the time."""

import numpy as np
import pyarrow as pa

from pipeline.arrays import Letters, Numbers, Offsets, Sums, first_rows

VERSION = 2  # as in compiled.pyx
NEWLINE, RETURN, SLASH, AT = b"\n\r/@"
ROWS_AT_A_TIME = 16_384  # more would not stay in a processor's cache


def find_lines(content: Letters, separator: int) -> tuple[Offsets, Offsets]:
    """Return where each line starts and ends: the last one may lack its end, which is not a part of it."""
    ends = np.flatnonzero(content == separator)
    if len(content) and content[-1] != separator:
        ends = np.append(ends, len(content))
    return np.concatenate(([0], ends[:-1] + 1))[: len(ends)], ends


def find_folders(content: Letters) -> tuple[Offsets, Sums | None]:
    """Return the runs of lines of one folder.

    Returns:
        Of each run where it starts, where the folder of its first line ends, how many lines it has, and the least and
        the largest number of carriage returns that one of them ends with: [num_runs, 5]; and no sums over the lines:
        these decide nothing but whether lines must be read that are known already.
    """
    starts, ends = find_lines(content, NEWLINE)
    slashes = np.flatnonzero(content == SLASH)
    last_slash = np.append(slashes, -1)[np.searchsorted(slashes, ends) - 1]  # -1 finds the one that is none
    folder_ends = np.maximum(last_slash + 1, starts)
    numbers, _ = number(content, starts, folder_ends)
    first = np.flatnonzero(np.diff(numbers, prepend=-1))
    if not len(first):
        return np.empty((0, 5), np.int64), None
    lines, returns = np.diff(np.append(first, len(starts))), _returns(content, folder_ends, ends)
    least, most = np.minimum.reduceat(returns, first), np.maximum.reduceat(returns, first)
    return np.stack((starts[first], folder_ends[first], lines, least, most), axis=1), None


def _returns(content: Letters, starts: Offsets, ends: Offsets) -> Offsets:
    """Return how many carriage returns each text ends with."""
    returns = np.zeros_like(ends)
    rows = np.arange(len(ends))
    while len(rows := rows[ends[rows] - returns[rows] > starts[rows]]):
        rows = rows[content[ends[rows] - returns[rows] - 1] == RETURN]
        returns[rows] += 1
    return returns


def cut(
    content: Letters, starts: Offsets, ends: Offsets, at_of_a_name: int, behind_place: int, behind_turn: int
) -> tuple[Offsets, Offsets, bool]:
    """Return where the place and the turn of each path end, and whether all paths have as many @ as a name has.

    A place ends with an @, with so many @ from there to the path's end, at most 16, and a turn likewise. A path with
    too few of them has both ends where it starts.
    """
    place_ends, turn_ends, all_alike = np.empty_like(starts), np.empty_like(starts), True
    nowhere = np.full(behind_place, -1)
    for begin in range(0, len(starts), ROWS_AT_A_TIME):
        rows = slice(begin, begin + ROWS_AT_A_TIME)
        start, end = starts[begin], ends[rows][-1]
        at = np.concatenate((nowhere, np.flatnonzero(content[start:end] == AT) + start))
        first, last = np.searchsorted(at, starts[rows]), np.searchsorted(at, ends[rows])
        all_alike &= bool((last - first == at_of_a_name).all())
        place_ends[rows] = at[last - behind_place] + 1
        turn_ends[rows] = at[last - behind_turn] + 1
    too_few = place_ends <= starts
    place_ends[too_few] = turn_ends[too_few] = starts[too_few]
    return place_ends, turn_ends, all_alike


def number(content: Letters, starts: Offsets, ends: Offsets) -> tuple[Numbers, Offsets]:
    """Return a number for each text, the same for the same, and the first row of each number; they count from 0."""
    texts = _binary(*gather(content, starts, ends, np.arange(len(starts))))
    numbers = texts.dictionary_encode().indices.to_numpy()
    return numbers, first_rows(numbers, numbers.max() + 1 if len(numbers) else 0)


def gather(content: Letters, starts: Offsets, ends: Offsets, rows: Offsets) -> tuple[Letters, Offsets]:
    """Return the bytes of the texts of some rows, one after the other, and where each begins, with the last's end."""
    borders = np.empty(2 * len(starts) + 1, np.int64)  # each text, and what stands before the next one
    borders[:-1:2], borders[1::2], borders[-1] = starts, ends, len(content)
    taken = _binary(content, borders).take(pa.array(2 * rows))
    _, offsets, gathered = taken.buffers()
    if gathered is None:
        return np.empty(0, np.uint8), np.zeros(len(rows) + 1, np.int64)
    return np.frombuffer(gathered, np.uint8), np.frombuffer(offsets, np.int64)[: len(rows) + 1]


def _binary(content: Letters, offsets: Offsets) -> pa.Array:
    return pa.Array.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    )
