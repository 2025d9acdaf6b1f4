"""Results that links show again, kept in memory for a bounded time, never on disk."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass

KEPT_S = 30 * 60.0
MAX_RESULTS = 1000
MAX_BYTES = 64_000_000
ID_BYTES = 16  # random


@dataclass(frozen=True)
class KeptResult:
    """An answer as JSON, and the photo reduced to WebP."""

    answer: bytes
    picture: bytes

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.answer) + len(self.picture)


class KeptResults:
    """Results by ids that cannot be guessed; the oldest are dropped first. Used on the event loop's thread."""

    def __init__(self, seconds: float = KEPT_S, max_results: int = MAX_RESULTS, max_bytes: int = MAX_BYTES) -> None:
        self._seconds, self._max_results, self._max_bytes = seconds, max_results, max_bytes
        self._results: OrderedDict[str, KeptResult] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._results)

    @staticmethod
    def new_id() -> str:
        """Return an id for a result."""
        return secrets.token_urlsafe(ID_BYTES)

    def keep(self, key: str, result: KeptResult) -> None:
        """Keep a result, and drop the oldest beyond the limits."""
        self._results[key] = result
        self._bytes += result.size
        while len(self._results) > self._max_results or self._bytes > self._max_bytes:
            self._drop(next(iter(self._results)))
        asyncio.get_running_loop().call_later(self._seconds, self._drop, key)

    def get(self, key: str) -> KeptResult | None:
        """Return the result of an id; None if it is unknown or was dropped."""
        return self._results.get(key)

    def _drop(self, key: str) -> None:
        result = self._results.pop(key, None)
        self._bytes -= result.size if result else 0
