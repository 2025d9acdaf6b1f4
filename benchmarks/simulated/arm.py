"""Model of a spinning disk: one arm over a platter that turns 7,200 times per minute.

- A seek takes 1 ms + 13.1 ms * sqrt(share of the disk that it crosses): 8 ms on average between random places.
- Then the platter turns until the place is below the arm: 4.2 ms on average. The disk reads 150 MB/s.
- Of up to 32 waiting requests, the disk serves the one that it reaches first, as disks with command queues do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

RATE = 150e6  # bytes per second
SETTLE_S, STROKE_S, TURN_S = 0.001, 0.0131, 1 / 120
SPREADS = math.sqrt(5), math.sqrt(2)  # irrational, so that the angles of places and of their inodes are spread evenly
QUEUE = 32


@dataclass(frozen=True)
class Access:
    """A read of consecutive bytes, counted from the start of the disk; an inode is read at the start of its file."""

    begin: int
    end: int
    disk_bytes: int
    is_inode: bool = False

    @property
    def place(self) -> float:
        """The place on the disk, from 0 to 1."""
        return self.begin / self.disk_bytes

    @property
    def angle(self) -> float:
        """The place on its track, in turns."""
        return self.begin * SPREADS[self.is_inode] % 1


class Arm:
    """The arm and the time at which it is free, in seconds of any clock."""

    def __init__(self) -> None:
        self.place, self.end, self.free_at = 0.0, -1, 0.0

    def serve(self, waiting: Sequence[tuple[Access, float]]) -> tuple[int, float]:
        """Serve the request that is reached first; return its number and the time at which it is done.

        `waiting` has the requests with the times at which they came.
        """
        reached, number = min(
            (self._reach(access, max(self.free_at, came)), number)
            for number, (access, came) in enumerate(waiting[:QUEUE])
        )
        access, _ = waiting[number]
        self.place, self.end = access.place, -1 if access.is_inode else access.end
        self.free_at = reached + (access.end - access.begin) / RATE
        return number, self.free_at

    def _reach(self, access: Access, begin: float) -> float:
        """Return the time at which the first byte is below the arm."""
        if access.begin == self.end and not access.is_inode:  # follows what was read last, so the disk has read ahead
            return begin
        arrived = begin + SETTLE_S + STROKE_S * math.sqrt(abs(access.place - self.place))
        return arrived + (access.angle - arrived / TURN_S) % 1 * TURN_S
