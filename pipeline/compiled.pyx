# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What is done with each byte or each line of names, compiled: `pipeline.plain` does the same in Python's libraries.

Texts are given by where each starts and ends in a content. Nothing is checked: they must lie within it.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef extern from *:
    """
    static inline uint64_t folded(uint64_t one, uint64_t other) {
        unsigned __int128 product = (unsigned __int128) one * other;
        return (uint64_t) product ^ (uint64_t) (product >> 64);
    }
    """
    uint64_t folded(uint64_t one, uint64_t other) nogil

VERSION = 2  # as in plain.py: raise both when a function here takes or gives something else, the sums among it

cdef enum:
    NEWLINE = 10
    RETURN = 13
    SLASH = 47
    AT = 64
    MARKS = 16  # a power of two: so many @ of a path are remembered, of which those at its end are wanted
    BYTES_OF_A_LINE = 64  # at least, as a rule: where lines are shorter, room is made for more
    FIRST_ROOM = 1024  # of what grows, a power of two


def find_lines(const uint8_t[::1] content, int separator):
    """Return where each line starts and ends: the last one may lack its end, which is not a part of it."""
    cdef int64_t size = content.shape[0], start = 0, end, count = 0, room = size // BYTES_OF_A_LINE + 2
    cdef int64_t[:, ::1] lines = np.empty((room, 2), np.int64)
    cdef const uint8_t* begin = &content[0] if size else NULL
    cdef const uint8_t* found
    with nogil:
        while start < size:
            found = <const uint8_t*> memchr(begin + start, separator, size - start)
            end = size if found == NULL else found - begin
            if count == room:
                room *= 2
                with gil:
                    lines = _grown(lines, room)
            lines[count, 0] = start
            lines[count, 1] = end
            start = end + 1
            count += 1
    return tuple(np.asarray(lines)[:count].T.copy())


def find_folders(const uint8_t[::1] content):
    """Return the runs of lines of one folder.

    Returns:
        Of each run where it starts, where the folder of its first line ends, how many lines it has, and the least and
        the largest number of carriage returns that one of them ends with: [num_runs, 5]; and sums over what the lines
        have between the folder and these returns, which are the same for the same lines in any order: [num_runs, 2].
    """
    cdef int64_t size = content.shape[0], start = 0, end, length = 0, returns, count = 0, room = FIRST_ROOM
    cdef bint goes_on
    cdef int64_t[:, ::1] runs = np.empty((room, 5), np.int64)
    cdef uint64_t[:, ::1] sums = np.empty((room, 2), np.uint64)
    cdef const uint8_t* begin = &content[0] if size else NULL
    cdef const uint8_t* found
    with nogil:
        while start < size:
            found = <const uint8_t*> memchr(begin + start, NEWLINE, size - start)
            end = size if found == NULL else found - begin
            goes_on = (
                count > 0
                and length <= end - start
                and memcmp(begin + runs[count - 1, 0], begin + start, length) == 0
                and memchr(begin + start + length, SLASH, end - start - length) == NULL
            )
            if not goes_on:
                length = end - start
                while length > 0 and begin[start + length - 1] != SLASH:
                    length -= 1
            returns = 0
            while end - returns > start + length and begin[end - returns - 1] == RETURN:
                returns += 1
            if not goes_on:
                if count == room:
                    room *= 2
                    with gil:
                        runs = _grown(runs, room)
                        sums = _grown(sums, room)
                runs[count, 0] = start
                runs[count, 1] = start + length
                runs[count, 2] = 0
                runs[count, 3] = runs[count, 4] = returns
                sums[count, 0] = sums[count, 1] = 0
                count += 1
            runs[count - 1, 2] += 1
            runs[count - 1, 3] = min(runs[count - 1, 3], returns)
            runs[count - 1, 4] = max(runs[count - 1, 4], returns)
            _add(&sums[count - 1, 0], begin + start + length, end - returns - start - length)
            start = end + 1
    return np.asarray(runs)[:count].copy(), np.asarray(sums)[:count].copy()


def cut(
    const uint8_t[::1] content,
    const int64_t[::1] starts,
    const int64_t[::1] ends,
    int64_t at_of_a_name,
    int64_t behind_place,
    int64_t behind_turn,
):
    """Return where the place and the turn of each path end, and whether all paths have as many @ as a name has.

    A place ends with an @, with so many @ from there to the path's end, at most 16, and a turn likewise. A path with
    too few of them has both ends where it starts.
    """
    cdef int64_t count = starts.shape[0], row, at_count
    cdef int64_t[::1] place_ends = np.empty(count, np.int64), turn_ends = np.empty(count, np.int64)
    cdef int64_t marks[MARKS]
    cdef bint all_alike = True
    cdef const uint8_t* begin = &content[0] if content.shape[0] else NULL
    cdef const uint8_t* here
    cdef const uint8_t* end
    with nogil:
        for row in range(count):
            here, end, at_count = begin + starts[row], begin + ends[row], 0
            while here < end:
                if here[0] == AT:
                    marks[at_count & (MARKS - 1)] = here - begin
                    at_count += 1
                here += 1
            all_alike &= at_count == at_of_a_name
            if at_count < behind_place:
                place_ends[row] = turn_ends[row] = starts[row]
            else:
                place_ends[row] = marks[(at_count - behind_place) & (MARKS - 1)] + 1
                turn_ends[row] = marks[(at_count - behind_turn) & (MARKS - 1)] + 1
    return np.asarray(place_ends), np.asarray(turn_ends), bool(all_alike)


def number(const uint8_t[::1] content, const int64_t[::1] starts, const int64_t[::1] ends):
    """Return a number for each text, the same for the same, and the first row of each number; they count from 0."""
    cdef int64_t count = starts.shape[0], row, length, found = 0, slots = FIRST_ROOM, slot, other
    cdef int32_t[::1] numbers = np.empty(count, np.int32)
    cdef int64_t[::1] first = np.empty(count, np.int64), table = np.full(slots, -1, np.int64)
    cdef uint64_t[::1] hashes = np.empty(count, np.uint64)
    cdef uint64_t hashed
    cdef const uint8_t* begin = &content[0] if content.shape[0] else NULL
    with nogil:
        for row in range(count):
            length = ends[row] - starts[row]
            if row > 0 and _same(begin, starts, ends, row - 1, row, length):
                numbers[row] = numbers[row - 1]
                continue
            hashed = _hash_of(begin + starts[row], length, 0)
            slot = hashed & (slots - 1)
            other = table[slot]
            while other >= 0 and not (
                hashes[other] == hashed and _same(begin, starts, ends, first[other], row, length)
            ):
                slot = (slot + 1) & (slots - 1)
                other = table[slot]
            if other < 0:
                other = found
                table[slot] = other
                first[other] = row
                hashes[other] = hashed
                found += 1
                if 2 * found > slots:
                    slots *= 2
                    with gil:
                        table = np.full(slots, -1, np.int64)
                    _fill(table, hashes, found)
            numbers[row] = <int32_t> other
    return np.asarray(numbers), np.asarray(first)[:found].copy()


def gather(
    const uint8_t[::1] content, const int64_t[::1] starts, const int64_t[::1] ends, const int64_t[::1] rows
):
    """Return the bytes of the texts of some rows, one after the other, and where each begins, with the last's end."""
    cdef int64_t count = rows.shape[0], index, row, total = 0
    cdef int64_t[::1] offsets = np.empty(count + 1, np.int64)
    cdef uint8_t[::1] gathered
    offsets[0] = 0
    with nogil:
        for index in range(count):
            row = rows[index]
            total += ends[row] - starts[row]
            offsets[index + 1] = total
    gathered = np.empty(total, np.uint8)
    if total:
        with nogil:
            for index in range(count):
                row = rows[index]
                memcpy(&gathered[0] + offsets[index], &content[0] + starts[row], ends[row] - starts[row])
    return np.asarray(gathered), np.asarray(offsets)


cdef object _grown(view, int64_t room):
    values = np.asarray(view)
    grown = np.empty((room, *values.shape[1:]), values.dtype)
    grown[: len(values)] = values
    return grown


cdef inline bint _same(
    const uint8_t* begin,
    const int64_t[::1] starts,
    const int64_t[::1] ends,
    int64_t one,
    int64_t other,
    int64_t length,
) noexcept nogil:
    """Whether the texts of two rows are the same; the second one has a length."""
    return ends[one] - starts[one] == length and memcmp(begin + starts[one], begin + starts[other], length) == 0


cdef inline uint64_t _hash_of(const uint8_t* text, int64_t length, uint64_t seed) noexcept nogil:
    """A hash of which each bit depends on all bytes.

    16 bytes at a time are multiplied to 128 bits, of which the halves are put together: the step that Wang Yi's wyhash
    and its like are made of.
    """
    cdef uint64_t hashed = seed ^ <uint64_t> length
    cdef uint64_t words[2]
    while length > 0:
        words[0] = words[1] = 0
        memcpy(words, text, min(length, 16))
        hashed = folded(words[0] ^ <uint64_t> 0x9E3779B97F4A7C15, words[1] ^ hashed)
        text += 16
        length -= 16
    return folded(hashed ^ <uint64_t> 0xD6E8FEB86659FD93, seed ^ <uint64_t> 0xC4CEB9FE1A85EC53)


cdef inline void _add(uint64_t* sums, const uint8_t* text, int64_t length) noexcept nogil:
    """Add two hashes of a text to two sums: 128 bits, of which by chance no two sets of names have the same."""
    sums[0] += _hash_of(text, length, 0x2545F4914F6CDD1D)
    sums[1] += _hash_of(text, length, 0x8BB84B93962EACC9)


cdef void _fill(int64_t[::1] table, const uint64_t[::1] hashes, int64_t count) noexcept nogil:
    cdef int64_t slots = table.shape[0], slot, index
    for index in range(count):
        slot = hashes[index] & (slots - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (slots - 1)
        table[slot] = index
