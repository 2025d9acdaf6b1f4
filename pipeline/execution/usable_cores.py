"""How many threads to work with."""

import os


def usable_cores() -> int:
    """Return the number of cores that this process may use, which in a container can be fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no such call
        return os.cpu_count() or 1
