"""Counters of the server, in the text format of Prometheus."""

from collections import Counter

BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # of the histogram


class Metrics:
    """Counters of requests by status and photos by outcome, and the durations of localize requests; not thread-safe."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._photos: Counter[str] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds, self._timed = 0.0, 0

    def count_request(self, status: int) -> None:
        """Count a request by the status of its answer."""
        self._requests[status] += 1

    def count_photo(self, outcome: str) -> None:
        """Count a photo by its outcome: localized, refused or failed."""
        self._photos[outcome] += 1

    def time_request(self, seconds: float) -> None:
        """Add the duration of a localize request."""
        self._seconds, self._timed = self._seconds + seconds, self._timed + 1
        for bound in BOUNDS_S:
            self._within[bound] += seconds <= bound

    @property
    def mean_seconds(self) -> float:
        """The mean duration of localize requests; 1 before the first."""
        return self._seconds / self._timed if self._timed else 1.0

    def text(self, **others: int) -> str:
        """Return all metrics, and others by name: a counter if the name ends with _total, else a gauge."""
        lines = _counter("requests_total", "HTTP requests by status", "status", self._requests)
        lines += _counter("photos_total", "Photos by outcome", "outcome", self._photos)
        lines += _described("localize_seconds", "histogram", "Seconds of localize requests")
        lines += [f'cosplace_localize_seconds_bucket{{le="{bound:g}"}} {self._within[bound]}' for bound in BOUNDS_S]
        lines += [f'cosplace_localize_seconds_bucket{{le="+Inf"}} {self._timed}']
        lines += [f"cosplace_localize_seconds_sum {self._seconds:.6f}"]
        lines += [f"cosplace_localize_seconds_count {self._timed}"]
        for name, value in others.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            text = name.removesuffix("_total").replace("_", " ").capitalize()
            lines += [*_described(name, kind, text), f"cosplace_{name} {value}"]
        return "\n".join(lines) + "\n"


def _counter(name: str, text: str, label: str, counts: Counter[int] | Counter[str]) -> list[str]:
    values = [f'cosplace_{name}{{{label}="{value}"}} {count}' for value, count in sorted(counts.items())]
    return [*_described(name, "counter", text), *values]


def _described(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP cosplace_{name} {text}", f"# TYPE cosplace_{name} {kind}"]
