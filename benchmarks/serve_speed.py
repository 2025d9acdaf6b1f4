"""The server under load: requests per second against `Localizer.localize` in a loop, memory, hostile uploads.

    python benchmarks/serve_speed.py --images 100000
    python benchmarks/serve_speed.py --images 100000 --soak 10
    python benchmarks/serve_speed.py --images 100000 --hostile 1000
    python benchmarks/serve_speed.py artifacts/training/city-train artifacts/evaluation/city-test-queries_v1 photos

The server is a process of its own; it shares this machine with its clients. Without MODEL, DATABASE and PHOTOS, those
of `cosplace localize`, a database of generated descriptors of ResNet18-512 is made in a temporary folder.
"""

import argparse
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measure import machine, note, table
from serve_hostile import attack
from serve_process import Server, send_photos, serving
from synthetic_database import load_localizer, write_database, write_photo

from evaluation.descriptors.trained_model import find_model
from evaluation.localization.find_database import find_database
from evaluation.localization.find_photos import find_photos
from evaluation.localization.localize import Localizer
from serve.settings import Limits

LOOP, CLIENTS = 0, (1, 4, 16)
TURNS = 3
PHOTOS, PHOTO_SIZE = 16, (1600, 1200)
BACKBONE = "ResNet18"
MEGABYTE = 1e6
PATIENT = Limits(seconds=300)  # answers on a busy machine too


def main() -> None:
    """Run the benchmark that the options name, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "database", "photos"):
        parser.add_argument(name, type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=100_000, help="of the generated database (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="per turn and row (default: %(default)s)")
    parser.add_argument("--soak", type=int, metavar="MINUTES", help="memory during minutes of full load")
    parser.add_argument("--hostile", type=int, metavar="UPLOADS", help="answers to so many hostile uploads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if options.photos:
            load: Callable[[], Localizer] = functools.partial(load_given, options.model, options.database)
            photos = find_photos([options.photos])
        else:
            note(f"making a database of {options.images:,} images")
            photos = [Path(work, f"photo-{number}.jpg") for number in range(PHOTOS)]
            for number, photo in enumerate(photos):
                write_photo(photo, PHOTO_SIZE if number % 4 else PHOTO_SIZE[::-1], number)
            write_database(Path(work), options.images)
            load = functools.partial(load_localizer, Path(work), BACKBONE)
            load()  # writes the weights
        if options.soak:
            shown = soak(load, photos, options.soak)
        elif options.hostile:
            shown = hostile(load, photos, options.hostile)
        else:
            shown = speed(load, photos, options.seconds)
    print(f"{machine()}\n\n{shown}")


def load_given(model: Path, database: Path) -> Localizer:
    """Return the localizer of a model in a database, on the CPU."""
    found = find_model(model)
    return Localizer(found, find_database(database, found, device="cpu"))


@dataclass
class Measured:
    """Photos localized in one way."""

    times: list[float] = field(default_factory=list)  # of each photo, in seconds
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def add(self, times: Sequence[float], seconds: float, processor_seconds: float) -> None:
        """Add the photos of a turn."""
        self.times += times
        self.seconds += seconds
        self.processor_seconds += processor_seconds

    @property
    def rate(self) -> float:
        """Photos per second."""
        return len(self.times) / self.seconds


def speed(load: Callable[[], Localizer], photos: Sequence[Path], seconds: float) -> str:
    """Compare the loop with 1, 4 and 16 clients, in turn, so that other work on the machine meets all alike."""
    localizer, contents = load(), [photo.read_bytes() for photo in photos]
    localizer.localize(photos[:1])
    measured = {clients: Measured() for clients in (LOOP, *CLIENTS)}
    with serving(load, PATIENT) as server:
        send_photos(server, contents, 1, lambda _: True)
        for turn in range(1, TURNS + 1):
            note(f"turn {turn} of {TURNS}")
            began = time.process_time()
            times = loop_times(localizer, photos, seconds)
            measured[LOOP].add(times, sum(times), time.process_time() - began)
            for clients in CLIENTS:
                began = server.processor_seconds()
                answers = send_photos(server, contents, clients, lambda so_far: so_far >= seconds)
                assert not answers.refused, answers.refused
                measured[clients].add(answers.times, answers.seconds, server.processor_seconds() - began)
        memory = megabytes(server)
    rows = []
    for clients, each in measured.items():
        p50, p95 = np.percentile(each.times, (50, 95))
        name = f"{clients} client{'s' if clients > 1 else ''}" if clients else "localize in a loop"
        share = f"{100 * each.rate / measured[LOOP].rate:.0f} %"
        processor = f"{1000 * each.processor_seconds / len(each.times):.0f}"
        rows.append((name, f"{each.rate:.2f}", share, f"{1000 * p50:.0f}", f"{1000 * p95:.0f}", processor))
    shown = table(("photos by", "photos/s", "of the loop", "p50, ms", "p95, ms", "processor time per photo, ms"), rows)
    return f"{shown}\n\nMemory of the server afterwards: {memory} MB."


def megabytes(server: Server) -> str:
    """Return the memory of a server."""
    return f"{server.resident() / MEGABYTE:,.0f}"


def loop_times(localizer: Localizer, photos: Sequence[Path], seconds: float) -> list[float]:
    """Return the time of each photo, one after the other, for some seconds."""
    times: list[float] = []
    for photo in itertools.cycle(photos):
        began = time.monotonic()
        localizer.localize([photo])
        times.append(time.monotonic() - began)
        if sum(times) >= seconds:
            return times
    return times


def soak(load: Callable[[], Localizer], photos: Sequence[Path], minutes: int) -> str:
    """Show the server's memory after each minute of full load, with results that are kept."""
    contents, rows, localized = [photo.read_bytes() for photo in photos], [], 0
    with serving(load, PATIENT) as server:
        for minute in range(1, minutes + 1):
            answers = send_photos(server, contents, CLIENTS[-1], lambda passed: passed >= 60, "?keep=true")
            assert not answers.refused, answers.refused
            localized += len(answers.times)
            rows.append((f"{minute}", f"{localized:,}", megabytes(server)))
            note(f"minute {minute}: {rows[-1][-1]} MB")
    return table(("minute", "photos so far", "memory of the server, MB"), rows)


def hostile(load: Callable[[], Localizer], photos: Sequence[Path], count: int) -> str:
    """Show the answers to hostile uploads, and how good photos fared."""
    good = photos[0].read_bytes()
    with serving(load) as server:
        send_photos(server, [good], 1, lambda _: True)
        before = megabytes(server)
        note(f"{count:,} hostile uploads")
        answers, peak, times, refused = attack(server, good, count)
        after = megabytes(server)
        last = send_photos(server, [good], 1, lambda _: True)
    rows = [(kind, answer, f"{number:,}") for (kind, answer), number in sorted(answers.items())]
    p50, p95 = np.percentile(times, (50, 95))
    return "\n".join(
        [
            table(("upload", "answer", "times"), rows),
            "",
            f"Good photos meanwhile: {len(times):,} localized (p50 {p50:.2f} s, p95 {p95:.2f} s), {len(refused):,} "
            f"refused {sorted(set(refused)) or ''}. Afterwards: {len(last.times)} of 1.",
            f"Memory of the server: {before} MB before, {peak / MEGABYTE:,.0f} MB at most, {after} MB after.",
        ]
    )


if __name__ == "__main__":
    main()
