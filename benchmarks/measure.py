"""Wall time and peak memory of a command: the memory of all its processes, shared pages counted once (PSS)."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Measured:
    """What a command took."""

    seconds: float
    peak_bytes: int
    output: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.peak_bytes / 1e9:.2f} GB"


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end, looking at its memory 20 times a second.

    Raises:
        RuntimeError: The command failed.
    """
    began, peak = time.monotonic(), 0
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional_bytes, _with_children(process.pid))))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.monotonic() - began
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n{output}")
    return Measured(seconds, peak, output)


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
