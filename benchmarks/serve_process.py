"""A server in a process of its own, and clients of it."""

import http.client
import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evaluation.localization.localize import Localizer
from pipeline.sources.photo_metadata import position_of
from serve.databases.databases import Databases
from serve.databases.reloader import Reloader
from serve.databases.served import Served
from serve.run_server import run_server
from serve.service import Service
from serve.settings import Limits, ServerSettings, listen

KIND = {"Content-Type": "application/octet-stream"}
RETRY_S = 0.1
LIMITS = Limits()


@dataclass(frozen=True)
class Server:
    """Port and process of a server."""

    port: int
    process: int

    def resident(self) -> int:
        """Return the bytes of the process that are in memory."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def processor_seconds(self) -> float:
        """Return the processor time that the process has taken so far, of all its threads."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(load: Callable[[], Localizer], limits: Limits = LIMITS) -> Iterator[Server]:
    """Serve while a context lasts; `load` is called in the other process."""
    context = multiprocessing.get_context("spawn")
    ports: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(target=_serve, args=(load, limits, ports), daemon=True)
    process.start()
    server = Server(ports.get(), process.pid or 0)
    try:
        _wait_for(server)
        yield server
    finally:
        process.terminate()
        process.join()


def _serve(load: Callable[[], Localizer], limits: Limits, ports: "multiprocessing.Queue[int]") -> None:
    settings = ServerSettings(port=0, limits=limits)
    with listen(settings) as bound:
        databases = Databases([Served.of("city", "ResNet18-512", load())])
        ports.put(bound.getsockname()[1])
        service = Service(databases, settings.limits, position_of)
        run_server(service, settings, bound, Reloader(databases, list))


def _wait_for(server: Server) -> None:
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().close()
        except ConnectionError:
            time.sleep(0.05)
        finally:
            connection.close()


@dataclass(frozen=True)
class Answers:
    """Seconds of each request that gave a result, and the statuses of refused ones."""

    times: list[float]
    refused: list[int]
    seconds: float  # of all


def send_photos(
    server: Server, photos: Sequence[bytes], clients: int, is_over: Callable[[float], bool], query: str = ""
) -> Answers:
    """Send photos from several clients, each with one connection, until `is_over(seconds so far)` is true."""
    times: list[float] = []
    refused: list[int] = []
    began = time.monotonic()

    def send(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for photo in itertools.islice(itertools.cycle(photos), first, None):
            sent = time.monotonic()
            connection.request("POST", f"/api/localize{query}", photo, KIND)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                times.append(time.monotonic() - sent)
            else:
                refused.append(answer.status)
                time.sleep(RETRY_S)
            if is_over(time.monotonic() - began):
                return connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Answers(times, refused, time.monotonic() - began)
