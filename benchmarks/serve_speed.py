"""Requests per second of the server, against `Localizer.localize` in a loop.

    python benchmarks/serve_speed.py artifacts/training/city-train artifacts/evaluation/city-test-queries_v1 photos

MODEL and DATABASE are those of `cosplace localize`; PHOTOS is a folder. Server and clients share this machine.
"""

import argparse
import http.client
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from measure import machine, note, table

from evaluation.descriptors.trained_model import find_model
from evaluation.localization.find_database import find_database
from evaluation.localization.find_photos import find_photos
from evaluation.localization.localize import Localizer
from serve.run_server import make_server
from serve.settings import ServerSettings, listen

CLIENTS = (1, 4, 16)
TITLES = ("photos", "requests/s", "of the loop", "p50, ms", "p95, ms")


def main() -> None:
    """Measure the loop and each number of clients, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "database", "photos"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="per measurement (default: %(default)s)")
    options = parser.parse_args()
    model = find_model(options.model)
    localizer = Localizer(model, find_database(options.database, model, device="cpu"))
    photos = find_photos([options.photos])
    localizer.localize(photos[:1])
    note("loop")
    loop = loop_times(localizer, photos, options.seconds)
    rate = len(loop) / sum(loop)
    rows = [row("localize in a loop", loop, rate, rate)]
    with serving(localizer, model.backbone) as port:
        for clients in CLIENTS:
            note(f"{clients} clients")
            times, seconds = client_times(port, [photo.read_bytes() for photo in photos], clients, options.seconds)
            rows.append(row(f"{clients} clients", times, len(times) / seconds, rate))
    print(f"{machine()}\n\n{table(TITLES, rows)}")


def row(name: str, times: Sequence[float], rate: float, loop_rate: float) -> tuple[str, ...]:
    """Return a row of the table: requests per second and percentiles of their times."""
    p50, p95 = np.percentile(times, (50, 95))
    return name, f"{rate:.1f}", f"{100 * rate / loop_rate:.0f} %", f"{1000 * p50:.0f}", f"{1000 * p95:.0f}"


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


@contextmanager
def serving(localizer: Localizer, name: str) -> Iterator[int]:
    """Serve while a context lasts; yields the port."""
    settings = ServerSettings(port=0)
    with listen(settings) as bound:
        server = make_server(localizer, name, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield bound.getsockname()[1]
        server.should_exit = True
        thread.join()


def client_times(port: int, photos: Sequence[bytes], clients: int, seconds: float) -> tuple[list[float], float]:
    """Return the time of each request by several clients, each with one connection, and the seconds of all."""
    times: list[float] = []
    began = time.monotonic()

    def send(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for photo in itertools.islice(itertools.cycle(photos), first, None):
            sent = time.monotonic()
            connection.request("POST", "/api/localize", photo, {"Content-Type": "application/octet-stream"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            times.append(time.monotonic() - sent)
            if time.monotonic() - began >= seconds:
                return connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.monotonic() - began


if __name__ == "__main__":
    main()
