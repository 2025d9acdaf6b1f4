"""What tests of several packages share: files and tables as bytes by their place, and lines of progress on request."""

import contextlib
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from data_manifest import progress
from data_manifest.store.find import list_artifacts, list_current

ROOT = Path(__file__).resolve().parents[1]
SLOW_IMPORTS = ["torchvision", "polars", "scipy.stats", "PIL.Image", "tests.helpers"]


def fork(folder: Path, target: Callable[..., object], *arguments: object, **environment: str) -> BaseProcess:
    """Start a function in a process that has imported torch already, which would take seconds each time.

    Args:
        folder: Where its `stdout` and `stderr` are written.
        target: A function of a module.
        arguments: Of the function.
        environment: Variables to add.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SLOW_IMPORTS)
    process = context.Process(target=_run, args=(folder, {**os.environ, **environment}, target, arguments))
    process.start()
    return process


def _run(folder: Path, environment: dict[str, str], target: Callable[..., object], arguments: tuple[object]) -> None:
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    try:
        target(*arguments)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


def run_forked(target: Callable[..., object], *arguments: object, **environment: str) -> "CompletedProcess[str]":
    """Run a function as `fork` does, and return its status and output."""
    with tempfile.TemporaryDirectory() as folder:
        process = fork(Path(folder), target, *arguments, **environment)
        process.join(timeout=300)
        stdout, stderr = (Path(folder, stream).read_text() for stream in ("stdout", "stderr"))
        assert process.exitcode is not None, f"{target.__name__}{arguments} still runs after 5 minutes: {stderr}"
        return CompletedProcess(target.__name__, process.exitcode, stdout, stderr)


def run_module(name: str, *arguments: str, **environment: str) -> "CompletedProcess[str]":
    """Run `python -m NAME` in the repository as `fork` does, and return its status and output."""
    return run_forked(as_main, name, *arguments, **environment)


def as_main(name: str, *arguments: str) -> None:
    """Run a module as `python -m NAME` does."""
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def files_in(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Return the content of all files in a folder and below whose names match, by their path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob(pattern) if path.is_file()}


def tables_in(folder: Path) -> dict[str, bytes]:
    """Return the Parquet files in a folder and below, by their path in it."""
    return files_in(folder, "*.parquet")


def current_tables(artifacts: Path) -> dict[str, bytes]:
    """Return the Parquet files of the current artifacts, by stage and by their path in the artifact."""
    return {
        f"{folder.parent.parent.name}/{path}": content
        for folder in list_current(artifacts)
        for path, content in tables_in(folder).items()
    }


def published_files(artifacts: Path) -> dict[str, bytes]:
    """Return the files of all published artifacts, recipes left out, by their path in the artifacts folder."""
    return {
        f"{folder.relative_to(artifacts)}/{path}": content
        for folder in list_artifacts(artifacts)
        for path, content in files_in(folder).items()
        if path != "recipe.json"
    }


def progress_lines_on_request(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Return a function that logs the line of the newest Progress, which is no longer logged as time passes."""
    shows: list[Callable[[], object]] = []

    class Heartbeat(contextlib.nullcontext[None]):
        def __init__(self, show: Callable[[], object]) -> None:
            super().__init__()
            shows.append(show)

    monkeypatch.setattr(progress, "Heartbeat", Heartbeat)
    return lambda: shows[-1]()
