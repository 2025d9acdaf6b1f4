"""The contents of a cache. Images whose next use is furthest away are evicted first.

Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 1966.
"""

import numpy as np
import numpy.typing as npt

from training.data.reads.lookahead.cache_folder import CacheFiles, space_of
from training.data.reads.lookahead.cached_store import ImageCache
from training.data.reads.lookahead.machine_reads import MachineReads
from training.data.reads.read_order import NEVER
from training.data.sampling import Numbers

MAX_SPACE = 2**31 - 2**12  # of the largest cached image, as `space` is int32


class CacheContents:
    """The cached images, and the next use of each image: 20 bytes per image of the trained groups.

    Files of other images, as of another data set, count too.
    """

    def __init__(self, num_images: int, limit: int) -> None:
        self.limit, self.used = limit, 0
        self.space = np.zeros(num_images, np.int32)  # bytes on the disk; 0: not in the cache
        self.next_uses = np.full(num_images, NEVER)
        self.names = np.zeros(num_images, np.uint64)
        self._others = (np.empty(0, np.uint64), np.empty(0, np.int64))  # names and bytes on the disk

    def adopt(self, found: CacheFiles, cache: ImageCache, reads: MachineReads) -> None:
        """Take over the files of earlier runs whose size and time are those of today's images."""
        is_other = np.ones(len(found), bool)
        self.used = int(space_of(found.image_bytes).sum())
        for epoch in range(reads.num_groups) if len(found) else ():
            group, files = reads.group_rows(epoch), reads.files(epoch)
            names = np.fromiter(map(cache.name, files["path"]), np.uint64, len(files))
            numbers = found.find(names)
            is_valid = found.are_of(numbers, files["bytes"].to_numpy(), files["modified_ns"].to_numpy())
            is_found = numbers >= 0
            is_outdated = is_found & ~is_valid
            for name in names[is_outdated]:
                cache.remove(int(name))
            self.used -= int(space_of(found.image_bytes[numbers[is_outdated]]).sum())
            self.names[group] = names
            self.space[group] = np.where(is_valid, space_of(found.image_bytes[numbers]), 0)
            is_other[numbers[is_found]] = False
        self._others = found.names[is_other], space_of(found.image_bytes[is_other])

    def is_cached(self, rows: Numbers) -> npt.NDArray[np.bool_]:
        """Return whether images are in the cache."""
        return self.space[rows] > 0

    def add(self, row: int, name: int, space: int) -> None:
        """Count an image as cached."""
        self.used += space
        self.space[row], self.names[row] = space, name

    def room(self, before: int) -> int:
        """Return the bytes that are free, or taken by images whose next use is not before the read `before`."""
        free = self.limit - self.used + int(self._others[1].sum())
        return free + int(self.space[self.next_uses >= before].sum(dtype=np.int64))

    def evict(self, needed: int, before: int) -> list[int]:
        """Remove files from the contents until `needed` bytes are free, and return their names.

        Files of other images go first, then those with the furthest next use. Images that are used before the read
        `before` stay.
        """
        excess = self.used + needed - self.limit
        if excess <= 0:
            return []
        names, spaces = self._others
        count = _count_for(spaces, excess)
        evicted: list[int] = names[:count].tolist()
        freed = int(spaces[:count].sum())
        self._others = names[count:], spaces[count:]
        if freed < excess:
            rows = self._furthest(np.flatnonzero((self.space > 0) & (self.next_uses >= before)), excess - freed)
            freed += int(self.space[rows].sum(dtype=np.int64))
            self.space[rows] = 0
            evicted += self.names[rows].tolist()
        self.used -= freed
        return evicted

    def _furthest(self, rows: Numbers, needed: int) -> Numbers:
        """Return the images with the furthest next uses that together take `needed` bytes; all if they take less."""
        spaces = self.space[rows]
        likely = 2 * int(needed / spaces.mean()) + 1 if len(rows) else 0
        if likely < len(rows):  # much faster than sorting all
            some = rows[np.argpartition(-self.next_uses[rows], likely)[:likely]]
            if self.space[some].sum(dtype=np.int64) >= needed:
                rows = some
        rows = rows[np.argsort(-self.next_uses[rows], kind="stable")]
        return rows[: _count_for(self.space[rows], needed)]


def _count_for(spaces: npt.NDArray[np.signedinteger], needed: int) -> int:
    """Return how many of the first files together take `needed` bytes; the number of all if they take less."""
    return min(len(spaces), int(np.searchsorted(np.cumsum(spaces, dtype=np.int64), needed)) + 1)
