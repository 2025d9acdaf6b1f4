"""Batches of an epoch, read by worker processes or by this one."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.context import BaseContext
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from data_manifest.errors import UserError
from training.dataset import GroupDataset, Sample
from training.processes import number_of_processes, own_number
from training.settings import RuntimeSettings

Batch = tuple[Tensor, Tensor]
Item = TypeVar("Item")


def read_batches(
    dataset: GroupDataset, runtime: RuntimeSettings, device: torch.device, first_iteration: int = 0
) -> Iterator[Batch]:
    """Give the batches of an epoch from an iteration on: images [b, 3, h, w], uint8, and their classes [b], int64.

    Of processes that train together each gets its share of every batch.

    Raises:
        UserError: An image cannot be read.
    """
    process, processes = own_number(), number_of_processes()
    with warnings.catch_warnings():
        # More workers than cores are the user's choice: they help where the images lie on a slow disk.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: DataLoader[Batch | UserError] = DataLoader(
            dataset,  # type: ignore[arg-type]  # the loader is typed by what `collate` gives
            batch_size=dataset.plan.batch_size // processes,
            sampler=dataset.plan.share(first_iteration, process, processes),
            num_workers=runtime.num_workers,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
            multiprocessing_context=_worker_context() if runtime.num_workers else None,
            worker_init_fn=leave_signals_to_the_trainer,
            generator=torch.Generator(),  # otherwise starting an epoch draws from the global random state
        )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def collate(samples: Sequence[Sample | UserError]) -> Batch | UserError:
    """Return samples as a batch, or the first error among them."""
    whole: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        whole.append(sample)
    return torch.stack([image for image, _ in whole]), torch.tensor([class_index for _, class_index in whole])


def leave_signals_to_the_trainer(worker: int) -> None:
    """Have a worker go on when Ctrl-C, or a signal to all processes of a job, asks the run to stop.

    The trainer ends its iteration, for which it needs the images, and then its workers.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_trainer, daemon=True).start()


def _end_with_the_trainer() -> None:
    """End this worker when the trainer is killed: torch watches its parent, which is the server that lives as long."""
    trainer = multiprocessing.parent_process()
    assert trainer is not None
    multiprocessing.connection.wait([trainer.sentinel])
    os._exit(1)


def _worker_context() -> BaseContext:
    """Return the way to start workers: copies of a small server process that has torch loaded.

    A plain fork of this process may hang on the locks of its threads, and a fresh interpreter for each worker would
    load torch each time.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "training.dataset"])
    return context


class WaitTimer:
    """Iterates, and adds up the seconds spent waiting for the next item."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Give the items as they come."""
        iterator = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield item
