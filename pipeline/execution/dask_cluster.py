"""A Dask cluster to run partitions on: `--dask-scheduler tcp://host:8786`, over folders that all its machines share.

The scheduler and its workers are started beforehand (docs/scale.md); here is what it takes to use them, and to tell in
plain words what goes wrong with them. Dask is imported late: a local run does without.
"""

import asyncio
import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from pipeline.execution.dask_worker import code_digest, run_on_worker

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

Result = TypeVar("Result")
CONNECTED_WITHIN_S = 10.0
WORKERS_WITHIN_S = 10.0
SAME_VERSIONS = ("python", "polars", "pyarrow", "numpy", "utm")  # of these, the same bytes come
# A partition's classes, each of another place, may be 13 MB; Dask's advice is for those who load data with it.
UNSURPRISED = {"distributed.admin.large-graph-warning-threshold": "1 GB"}
TOLD_HERE = ("distributed.batched", "distributed.client")  # Dask logs a lost scheduler as tracebacks
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ClusterSettings(Settings):
    """Where the partitions of tables are built."""

    dask_scheduler: str | None = setting(
        None, "address of a Dask scheduler, as in tcp://host:8786, whose workers build the tables; none: this machine"
    )

    def check(self) -> None:
        """Refuse what is no address."""
        if self.dask_scheduler is not None and not _is_address(self.dask_scheduler):
            raise UserError(
                f"dask_scheduler = {self.dask_scheduler!r}: expected an address as in tcp://host:8786, "
                "which `dask scheduler` prints when it starts"
            )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_port = bool(parts.port)
    except ValueError:
        return False
    return parts.scheme in ("tcp", "tls") and bool(parts.hostname) and has_port and not parts.path


@contextlib.contextmanager
def executor_at(scheduler: str | None) -> Iterator[Executor | None]:
    """Give an executor whose jobs run on a cluster, or None, which means this machine, if no scheduler is named.

    Raises:
        UserError: The cluster cannot be reached, has no workers, or is lost while it is used.
    """
    if scheduler is None:
        yield None
        return
    ClusterSettings(scheduler)
    import dask
    from distributed import Client, KilledWorker
    from distributed.comm.core import CommClosedError

    for name in TOLD_HERE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _check_answers(scheduler)
    with dask.config.set(UNSURPRISED), Client(scheduler, timeout=CONNECTED_WITHIN_S, set_as_default=False) as client:
        _check_workers(client, scheduler)
        try:
            yield ClusterExecutor(client)
        except KilledWorker as error:
            raise UserError(
                f"{error.allowed_failures + 1} workers of {scheduler} died over one job, the last of them "
                f"{error.last_worker.address}: look into its log; did it run out of memory? Give it fewer threads"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise UserError(
                f"the connection to the scheduler {scheduler} was lost: see whether it still runs, and run again"
            ) from error


class ClusterExecutor(Executor):
    """Runs jobs on the workers of a cluster, each of them by `run_on_worker`.

    Dask's own executor is not used because it logs tracebacks when its jobs are cancelled.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client

    def submit(self, work: Callable[..., Result], /, *given: Any, **named: Any) -> "Future[Result]":
        """Send a job to the cluster."""
        job = functools.partial(run_on_worker, work, code_digest())
        on_cluster = self._client.submit(job, *given, **named, pure=False)  # asked for twice, it runs twice
        here: Future[Result] = Future()
        here.add_done_callback(lambda future: on_cluster.cancel() if future.cancelled() else None)
        on_cluster.add_done_callback(functools.partial(_hand_over, here=here))
        return here


def _hand_over(on_cluster: "DaskFuture[Any]", here: "Future[Any]") -> None:
    """Give the outcome of a job to a future of the standard library."""
    if not here.set_running_or_notify_cancel():
        return
    try:
        here.set_result(on_cluster.result())
    except BaseException as error:
        here.set_exception(error)


def _check_answers(scheduler: str) -> None:
    """Check that there is a scheduler; Dask's client would wait forever for a server of another kind to answer."""
    from distributed.comm.core import connect
    from distributed.security import Security

    async def shake_hands() -> None:
        async with asyncio.timeout(CONNECTED_WITHIN_S):
            comm = await connect(scheduler, CONNECTED_WITHIN_S, **Security().get_connection_args("client"))
            await comm.close()

    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have a running event loop, as in a notebook
            thread.submit(lambda: asyncio.run(shake_hands())).result()
    except Exception as error:  # what another kind of server says can fail in any way
        raise UserError(
            f"dask_scheduler = {scheduler}: no scheduler has answered there for {CONNECTED_WITHIN_S:g} seconds; "
            "is `dask scheduler` running, and can this machine reach it?"
        ) from error


def _check_workers(client: "Client", scheduler: str) -> None:
    """Check that there are workers, and warn of those that may give other bytes."""
    try:
        client.wait_for_workers(1, WORKERS_WITHIN_S)
    except TimeoutError as error:
        text = f"the scheduler {scheduler} has no workers: start some with `dask worker {scheduler}`"
        raise UserError(text) from error
    try:
        client.run_on_scheduler(code_digest)  # it unpacks what it passes on
        client.run(code_digest)
    except Exception as error:  # of many kinds, where a module is missing
        text = f"the scheduler {scheduler} and each of its workers need this pipeline installed, as it is here"
        raise UserError(f"{text} ({error})") from error
    versions: Any = client.get_versions(packages=SAME_VERSIONS)
    logger.info("%s: %d workers", scheduler, len(versions["workers"]))
    for worker, others in sorted(versions["workers"].items()):
        differing = differing_versions(versions["client"]["packages"], others["packages"])
        if differing:
            text = "worker %s has %s: files are the same to the last byte under the same versions alone"
            logger.warning(text, worker, differing)


def differing_versions(ours: dict[str, str | None], theirs: dict[str, str | None]) -> str:
    """Return in words where versions that the bytes depend on differ."""
    pairs = ((name, theirs.get(name), ours.get(name)) for name in SAME_VERSIONS)
    return ", ".join(f"{name} {their} (here {our})" for name, their, our in pairs if their != our)
