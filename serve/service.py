"""Localize photos of concurrent requests: decoded on several threads, embedded and searched in batches."""

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from torch import Tensor

from data_manifest.errors import UserError
from evaluation.localization.localize import Localizer
from evaluation.localization.located import Located
from serve.batching import Batcher
from serve.metrics import Metrics
from serve.room import Room
from serve.settings import Limits
from serve.uploads import Upload, open_upload

DECODERS = 4  # threads
FAILED = "The photo cannot be localized; the server's log has the reason"


@dataclass(frozen=True, eq=False)
class Job:
    """A decoded photo, and how many matches are requested."""

    name: str
    pixels: Tensor
    top: int
    min_certainty: float | None


class Service:
    """A localizer that many requests share.

    Args:
        localizer: The model and the database.
        model_name: Shown to users.
        limits: What is accepted.
    """

    def __init__(self, localizer: Localizer, model_name: str, limits: Limits) -> None:
        self.localizer, self.model_name, self.limits = localizer, model_name, limits
        self.metrics = Metrics()
        self.waiting, self.held_bytes = Room(limits.queue), Room(limits.held_bytes)
        self._decoders = ThreadPoolExecutor(DECODERS, "decoders")
        self.batcher: Batcher[Job, Located] = Batcher(self._run)

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

    async def localize(self, photos: Sequence[Upload], top: int, min_certainty: float | None) -> list[Located]:
        """Return each photo with its matches or its error, in the order of the photos.

        Raises:
            FullError: Too many photos wait already.
        """
        with self.waiting.take(len(photos)):
            located = await asyncio.gather(*(self._localize(photo, top, min_certainty) for photo in photos))
        for each in located:
            self.metrics.count_photo("failed" if each.error else "refused" if each.refused else "localized")
        return located

    async def _localize(self, photo: Upload, top: int, min_certainty: float | None) -> Located:
        loop, opener = asyncio.get_running_loop(), functools.partial(open_upload, photo, self.limits)
        try:
            with self.batcher.announced():
                pixels = await loop.run_in_executor(self._decoders, self.localizer.read, opener)
        except UserError as error:
            return Located(photo.name, error=str(error))
        try:
            return await self.batcher.result(Job(photo.name, pixels, top, min_certainty))
        except Exception:  # logged by the batcher
            return Located(photo.name, error=FAILED)

    def _run(self, jobs: Sequence[Job]) -> list[Located]:
        rows, scores = self.localizer.search([job.pixels for job in jobs])
        return [
            self.localizer.locate(job.name, rows[number], scores[number], job.top, job.min_certainty)
            for number, job in enumerate(jobs)
        ]
