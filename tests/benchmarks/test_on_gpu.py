"""The benchmark on the CPU, with tiny sizes."""

import importlib
import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT, run_forked

OPTIONS = ("--device", "cpu", "--tiny")


def measure() -> None:
    """Run the benchmark as a module: each loader worker would import a script again, which takes seconds."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    sys.exit(importlib.import_module("on_gpu").main([*OPTIONS]))


def rows_of(output: str) -> dict[str, list[str]]:
    """Return the cells of all rows by their first cell; rows of a later table replace earlier ones."""
    lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in lines}


@pytest.mark.slow
def test_every_row_is_measured_on_the_cpu() -> None:
    done = run_forked(measure, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    rows = rows_of(done.stdout)
    for precision in ("fp32", "tf32", "bf16", "fp16"):
        assert float(rows[f"ResNet18, {precision}"][0]) > 0
    assert rows["1 workers, augmentation on the CPU"][1].endswith("%")
    assert rows["fp32"] == rows["bf16"] == ["4", "equal"], "an interrupted training ends with the same weights"


def test_rows_after_the_deadline_say_so() -> None:
    words = [sys.executable, str(ROOT / "benchmarks/on_gpu.py"), *OPTIONS, "--minutes", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows_of(done.stdout)["fp32"] == ["not measured: the time was up"]
