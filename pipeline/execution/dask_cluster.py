"""Run jobs on the workers of a Dask cluster, whose machines all see the same shared folders (docs/guides/scale.md).

Dask is imported late: local runs do not need it.
"""

import asyncio
import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from pipeline.execution.dask_worker import code_digest, run_on_worker

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

Result = TypeVar("Result")
CONNECT_TIMEOUT_S = 10.0
WORKERS_TIMEOUT_S = 10.0
PACKAGES_THAT_DECIDE_BYTES = ("python", "polars", "pyarrow", "numpy", "utm")
DASK_CONFIG = {"distributed.admin.large-graph-warning-threshold": "1 GB"}  # a partition's classes can be 13 MB
SILENCED_LOGGERS = ("distributed.batched", "distributed.client")  # they log a lost scheduler as tracebacks
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ClusterSettings(Settings):
    """Settings of the cluster that builds tables and extracts descriptors."""

    title = "Cluster"

    dask_scheduler: str | None = setting(
        None,
        "address of a Dask scheduler whose workers build the tables and extract descriptors, such as tcp://host:8786; "
        "none: this machine",
    )

    def check(self) -> None:
        """Raise UserError if the address is malformed."""
        if self.dask_scheduler is not None and not _is_address(self.dask_scheduler):
            raise UserError(
                f"dask_scheduler = {self.dask_scheduler!r} is not an address such as tcp://host:8786. "
                "Give the one that `dask scheduler` prints when it starts."
            )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_port = bool(parts.port)
    except ValueError:
        return False
    return parts.scheme in ("tcp", "tls") and bool(parts.hostname) and has_port and not parts.path


@contextlib.contextmanager
def executor_at(scheduler: str | None) -> Iterator["ClusterExecutor | None"]:
    """Yield an executor that runs jobs on a cluster; None, which stands for this machine, without a scheduler.

    Raises:
        UserError: The cluster cannot be reached, has no workers, or is lost during use.
    """
    if scheduler is None:
        yield None
        return
    ClusterSettings(scheduler)
    import dask
    from distributed import Client
    from distributed.comm.core import CommClosedError

    for name in SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _check_scheduler(scheduler)
    with dask.config.set(DASK_CONFIG), Client(scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False) as client:
        _check_workers(client, scheduler)
        try:
            yield ClusterExecutor(client, scheduler)
        except BrokenExecutor as error:
            raise UserError(f"{error}. If it ran out of memory, start it with fewer threads.") from error
        except (CancelledError, CommClosedError) as error:
            raise UserError(
                f"The connection to the scheduler {scheduler} was lost. Check that it runs, then run again."
            ) from error


class ClusterExecutor(Executor):
    """Run jobs on the workers of a cluster with `run_on_worker`.

    Dask's own executor logs tracebacks when jobs are cancelled.
    """

    def __init__(self, client: "Client", scheduler: str) -> None:
        self._client, self._scheduler = client, scheduler

    @property
    def num_workers(self) -> int:
        """The number of processes that are connected."""
        return len(self._client.nthreads())

    def submit(self, work: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        """Send a job to the cluster."""
        job = functools.partial(run_on_worker, work, code_digest())
        remote = self._client.submit(job, *args, **kwargs, pure=False)  # equal jobs must all run
        local: Future[Result] = Future()
        local.add_done_callback(lambda future: remote.cancel() if future.cancelled() else None)
        remote.add_done_callback(functools.partial(_copy_result, local=local, scheduler=self._scheduler))
        return local


def _copy_result(remote: "DaskFuture[Any]", local: "Future[Any]", scheduler: str) -> None:
    from distributed import KilledWorker

    if not local.set_running_or_notify_cancel():
        return
    try:
        local.set_result(remote.result())
    except KilledWorker as error:
        died = f"{error.allowed_failures + 1} workers of {scheduler} died on the same job"
        local.set_exception(BrokenExecutor(f"{died}, last {error.last_worker.address}. See its log"))
    except BaseException as error:
        local.set_exception(error)


def _check_scheduler(scheduler: str) -> None:
    """Raise UserError if no scheduler answers; Dask's client would wait forever for another kind of server."""
    from distributed.comm.core import connect
    from distributed.security import Security

    async def shake_hands() -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            comm = await connect(scheduler, CONNECT_TIMEOUT_S, **Security().get_connection_args("client"))
            await comm.close()

    try:
        with ThreadPoolExecutor(1) as thread:  # in a notebook this thread has a running event loop
            thread.submit(lambda: asyncio.run(shake_hands())).result()
    except Exception as error:  # another kind of server can cause any
        raise UserError(
            f"dask_scheduler = {scheduler} does not answer within {CONNECT_TIMEOUT_S:g} seconds. "
            "Check that `dask scheduler` runs and that this machine can reach it."
        ) from error


def _check_workers(client: "Client", scheduler: str) -> None:
    """Raise UserError if workers are missing or lack this package; warn of those with other versions."""
    try:
        client.wait_for_workers(1, WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        raise UserError(
            f"The scheduler {scheduler} has no workers. Start some with `dask worker {scheduler}`."
        ) from error
    try:
        client.run_on_scheduler(code_digest)  # it unpickles jobs
        client.run(code_digest)
    except Exception as error:  # of many kinds, where a module is missing
        raise UserError(
            f"The scheduler {scheduler} or a worker lacks this pipeline ({error}). Install it on all of them."
        ) from error
    versions: Any = client.get_versions(packages=PACKAGES_THAT_DECIDE_BYTES)
    logger.info("%s: %d workers", scheduler, len(versions["workers"]))
    for worker, other in sorted(versions["workers"].items()):
        if differing := differing_versions(versions["client"]["packages"], other["packages"]):
            logger.warning("worker %s has %s: its files may differ in their bytes", worker, differing)


def differing_versions(ours: dict[str, str | None], theirs: dict[str, str | None]) -> str:
    """Return the packages whose versions differ and affect the bytes of tables, as text."""
    pairs = ((name, theirs.get(name), ours.get(name)) for name in PACKAGES_THAT_DECIDE_BYTES)
    return ", ".join(f"{name} {their} (here {our})" for name, their, our in pairs if their != our)
