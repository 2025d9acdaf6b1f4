"""What a command takes: wall time, processor time, and the memory of all its processes, shared pages once (PSS).

Time and memory are measured in two runs. To add up the pages of a process takes the system 10 ms a GB and more, and
holds the process up meanwhile: looking 20 times a second made a process of 1 GB a fifth slower.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Command:
    """A command, its environment, and the folder that it runs in."""

    words: Sequence[str]
    environment: Mapping[str, str] | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Measured:
    """What a command took, and what it said; processor time is that of all its processes together."""

    seconds: float
    user_seconds: float
    system_seconds: float
    output: str

    def __str__(self) -> str:
        return f"{as_seconds(self.seconds)} ({self.user_seconds:.1f} + {self.system_seconds:.1f})"


def measure(command: Command) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: The command failed.
    """
    with tempfile.TemporaryFile() as output:  # a pipe that nobody reads would fill up
        began = time.monotonic()
        with _started(command, output) as process:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        text = _output_of(command, process.returncode, output)
    return Measured(seconds, usage.ru_utime, usage.ru_stime, text)


def peak_memory(command: Command) -> int:
    """Run a command to its end, and return the most bytes that its processes were seen with.

    Raises:
        RuntimeError: The command failed.
    """
    peak = 0
    with tempfile.TemporaryFile() as output:
        with _started(command, output) as process:
            while process.poll() is None:
                peak = max(peak, sum(map(_proportional_bytes, _with_children(process.pid))))
                time.sleep(SECONDS_BETWEEN_LOOKS)
        _output_of(command, process.returncode, output)
    return peak


@contextmanager
def _started(command: Command, output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that ends with this context at the latest."""
    words, environment, folder = command.words, command.environment, command.folder
    with subprocess.Popen(words, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _output_of(command: Command, status: int, output: IO[bytes]) -> str:
    output.seek(0)
    text = output.read().decode(errors="replace")
    if status:
        raise RuntimeError(f"{' '.join(command.words)} exited with {status}:\n{text}")
    return text


def _with_children(process: int) -> list[int]:
    found = [process]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found.extend(map(int, (task / "children").read_text().split()))
        except OSError:
            continue  # it has ended
    return found


def _proportional_bytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def as_seconds(seconds: float) -> str:
    """Return a time with the digits that mean something."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def as_gigabytes(count: int) -> str:
    """Return a number of bytes for a table."""
    return f"{count / 1e9:.2f} GB"


def median(runs: Iterable[Measured]) -> Measured:
    """Return the run that half of the others were faster than."""
    ordered = sorted(runs, key=lambda each: each.seconds)
    return ordered[len(ordered) // 2]


def machine() -> str:
    """Return the date, the machine and the versions that times depend on, in one line."""
    models = [line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    kilobytes = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    cores, model, memory = len(os.sched_getaffinity(0)), " ".join(models[:1]), sum(kilobytes) * 1024 / 1e9
    libraries = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow"))
    python = platform.python_version()
    return f"{time.strftime('%Y-%m-%d')}; {cores} cores ({model}), {memory:.0f} GB; Python {python}, {libraries}."


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [titles, *rows]
    shown = [f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |") for cells in lines]
    return "\n".join([shown[0], "|---" * len(titles) + "|", *shown[1:]])


def note(text: str) -> None:
    """Show how far the measuring is, apart from the tables."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
