"""Memory per rank and step time of a group's classifier: whole on each rank, and sharded over the ranks.

    python benchmarks/shard_classifier.py
    python benchmarks/shard_classifier.py --ranks 4 --classes 35000

Processes of one thread each, over gloo on the CPU. A step is loss, gradients, their exchange and Adam on descriptors of
512 dimensions, without a network; whole and sharded steps alternate. Memory is counted from the tensors.
"""

import argparse
import os
import socket
import statistics
import time
from collections.abc import Sequence

import torch
from measure import machine, table
from torch.multiprocessing import spawn

from training.classifier.group_classifier import GroupClassifier, ShardedGroupClassifier
from training.distributed.processes import barrier, is_rank_zero, process_group, rank

BATCH, DIM, STEPS = 32, 512, 7
KINDS = {"whole": GroupClassifier, "sharded": ShardedGroupClassifier}


def step(group: GroupClassifier, descriptors: torch.Tensor, class_indices: torch.Tensor) -> float:
    """Take a step as the trainer does, and return its seconds."""
    barrier()
    began = time.perf_counter()
    group.optimizer.zero_grad()
    torch.autograd.backward(group.classifier.loss(descriptors, class_indices))
    group.classifier.reduce_gradient(is_scaled=False)
    group.optimizer.step()
    barrier()
    return time.perf_counter() - began


def bytes_of(group: GroupClassifier) -> tuple[int, int]:
    """Return the bytes of the weights with Adam's moments, and of these with the gradient."""
    weight = group.classifier.weight
    kept = [weight, *(value for value in group.optimizer.state[weight].values() if value.ndim)]
    count = sum(each.untyped_storage().nbytes() for each in kept)
    assert weight.grad is not None
    return count, count + weight.grad.untyped_storage().nbytes()


def compare(num_classes: int, ranks: int) -> list[tuple[str, ...]]:
    """Return the rows of the table for a number of classes."""
    groups = {name: kind(DIM, num_classes, lr=0.01, seed=0) for name, kind in KINDS.items()}
    generator = torch.Generator().manual_seed(rank())
    descriptors = torch.randn(BATCH // ranks, DIM, generator=generator).requires_grad_()
    class_indices = torch.randint(num_classes, (BATCH // ranks,), generator=generator)
    seconds: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(STEPS + 1):
        for name, group in groups.items():
            seconds[name].append(step(group, descriptors, class_indices))
    medians = {
        name: statistics.median(each[1:]) for name, each in seconds.items()
    }  # the first one creates Adam's state
    rows = []
    for name, group in groups.items():
        kept, with_gradient = bytes_of(group)
        megabytes = (f"{kept / 1e6:.0f} MB", f"{with_gradient / 1e6:.0f} MB")
        share = f"{medians[name] / medians['whole']:.2f}"
        rows.append((f"{num_classes:,} x {DIM}", name, *megabytes, f"{1000 * medians[name]:.0f} ms", share))
    return rows


def run_rank(number: int, ranks: int, port: int, sizes: Sequence[int]) -> None:
    """Measure as one of the ranks; rank 0 prints the table."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    os.environ |= {**common, "RANK": str(number), "LOCAL_RANK": str(number)}
    torch.set_num_threads(1)
    with process_group("cpu"):
        rows = [row for num_classes in sizes for row in compare(num_classes, ranks)]
        if is_rank_zero():
            titles = ("classifier", f"on {ranks} ranks", "weights and Adam", "with the gradient", "step", "of whole")
            print(table(titles, rows))


def main() -> None:
    """Start the ranks, which measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2, help=f"processes, a divisor of the batch of {BATCH}")
    parser.add_argument("--classes", type=int, nargs="+", default=[35_000, 200_000], help="classes of a group")
    options = parser.parse_args()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    print(f"{machine()} torch {torch.__version__}, one thread per rank.\n", flush=True)
    spawn(run_rank, (options.ranks, port, options.classes), nprocs=options.ranks)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
