"""A bounded resource: waiting photos, or bytes in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class FullError(Exception):
    """There is no room left."""


class Room:
    """Counts what is taken, up to a capacity; not thread-safe."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.taken = capacity, 0

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Take an amount while a context lasts.

        Raises:
            FullError: The amount does not fit. Nothing is taken.
        """
        with self.taking() as take:
            take(amount)
            yield

    @contextmanager
    def taking(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes amounts as `take` does, until the context ends."""
        own = 0

        def take(amount: int) -> None:
            nonlocal own
            if self.taken + amount > self.capacity:
                raise FullError
            self.taken, own = self.taken + amount, own + amount

        try:
            yield take
        finally:
            self.taken -= own
