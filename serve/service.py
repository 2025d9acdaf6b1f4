"""Localize the photos of concurrent requests: decode on several threads, embed and search in batches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from torch import Tensor

from data_manifest.errors import UserError
from evaluation.localization.localize import Localizer
from evaluation.localization.located import Located
from serve.answers import Found
from serve.batching import Batcher
from serve.databases.databases import Databases
from serve.metrics import Metrics
from serve.photos.kept_results import KeptResults
from serve.photos.uploads import OpenUpload, ReadPosition, Upload, as_webp
from serve.room import Room
from serve.settings import Limits

DECODERS = 4  # threads
FAILED = "The photo cannot be localized; the server's log has the reason"


@dataclass(frozen=True)
class Wanted:
    """The parameters of a request."""

    top: int
    min_certainty: float | None
    keep: bool  # the result, for a link


@dataclass(frozen=True, eq=False)
class Job:
    """A decoded photo, its database, and the parameters of its request."""

    name: str
    pixels: Tensor
    localizer: Localizer
    wanted: Wanted


class Service:
    """Localizes the photos of all requests, and keeps counts and results.

    Args:
        databases: The served databases.
        limits: The limits of requests.
        read_position: Returns the position in the EXIF of an opened photo.
    """

    def __init__(self, databases: Databases, limits: Limits, read_position: ReadPosition) -> None:
        self.databases, self.limits, self._read_position = databases, limits, read_position
        self.metrics, self.results = Metrics(), KeptResults()
        self.waiting, self.held_bytes = Room(limits.queue), Room(limits.held_bytes)
        self._decoders = ThreadPoolExecutor(DECODERS, "decoders")
        self.batcher: Batcher[Job, Located] = Batcher(_run)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run batches while a context lasts."""
        batches = asyncio.create_task(self.batcher.run_batches())
        try:
            yield
        finally:
            batches.cancel()
            with suppress(asyncio.CancelledError):
                await batches
            self._decoders.shutdown(wait=False, cancel_futures=True)

    async def localize(self, photos: Sequence[Upload], localizer: Localizer, wanted: Wanted) -> list[Found]:
        """Return each photo with its matches or its error, in the order of the photos.

        Raises:
            FullError: Too many photos are waiting.
        """
        with self.waiting.take(len(photos)):
            found = await asyncio.gather(*(self._localize(photo, localizer, wanted) for photo in photos))
        for photo in (each.located for each in found):
            self.metrics.count_photo("failed" if photo.error else "refused" if photo.refused else "localized")
        return found

    async def _localize(self, photo: Upload, localizer: Localizer, wanted: Wanted) -> Found:
        loop, opened = asyncio.get_running_loop(), OpenUpload(photo, self.limits, self._read_position, wanted.keep)
        try:
            with self.batcher.announced():
                pixels = await loop.run_in_executor(self._decoders, localizer.read, opened)
        except UserError as error:
            return Found(Located(photo.name, error=str(error)))
        small = opened.small  # encoded while the batch runs
        picture = None if small is None else loop.run_in_executor(self._decoders, as_webp, small)
        try:
            located = await self.batcher.result(Job(photo.name, pixels, localizer, wanted))
            return Found(located, opened.position, await picture if picture else None)
        except Exception:  # logged by the batcher
            return Found(Located(photo.name, error=FAILED))


def _run(jobs: Sequence[Job]) -> list[Located]:
    """Localize photos, together for each database."""
    found: dict[Job, Located] = {}
    for localizer in {job.localizer: None for job in jobs}:
        together = [job for job in jobs if job.localizer is localizer]
        rows, scores = localizer.search([job.pixels for job in together])
        for number, job in enumerate(together):
            wanted = job.wanted
            found[job] = localizer.locate(job.name, rows[number], scores[number], wanted.top, wanted.min_certainty)
    return [found[job] for job in jobs]
