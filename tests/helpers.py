"""Helpers for tests of several packages: processes, files and tables by path, images, progress lines."""

import contextlib
import gc
import importlib.metadata
import importlib.util
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from data_manifest import progress
from data_manifest.images.image_store import FolderStore
from data_manifest.store.find import list_artifacts, list_current

if TYPE_CHECKING:
    from torch import Tensor

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
TORCH = tuple(int(number) for number in importlib.metadata.version("torch").split(".")[:2])
needs_exporter = pytest.mark.skipif(TORCH < (2, 14), reason="the ONNX exporter of older versions of torch fails")
Luigi = Callable[..., CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[1]
PLACES, HEADINGS = ((500005.0, 4000005.0), (500105.0, 4000005.0)), (15, 105, 195, 285)
GROUPING = ("--min-images-per-class", "2", "--N", "1", "--L", "1", "--groups-num", "1")
TINY = (
    *GROUPING,
    *("--backbone", "SqueezeNet1_1", "--backbone-weights", "none", "--fc-output-dim", "16", "--image-size", "40"),
    *("--batch-size", "4", "--iterations-per-epoch", "2", "--num-workers", "0", "--device", "cpu"),
)
SLOW_IMPORTS = [  # without Luigi, which reads the configuration of a test while it is imported
    *("torchvision", "polars", "scipy.stats", "pyarrow.compute", "matplotlib.pyplot", "timm"),
    *("requests", "tenacity", "tornado.ioloop"),  # of Luigi
    *("pipeline.sources.make_source", "pipeline.manifest.split_manifest", "pipeline.groups.build_groups"),
    *("pipeline.packs.pack_groups", "pipeline.verification.verify_images", "pipeline.panoramas.crop_panoramas"),
    *("training.train_cosplace", "evaluation.evaluate_cosplace", "evaluation.report.write_report"),
    *("methods.find_method", "export.export_model", "tests.helpers"),
]


def fork(folder: Path, target: Callable[..., object], *arguments: object, **environment: str) -> BaseProcess:
    """Call a function in a forked process and return the process, without waiting.

    Args:
        folder: Gets the files `stdout` and `stderr`.
        target: A function defined at the top of a module.
        arguments: Arguments of the function.
        environment: Environment variables to add.
    """
    arguments = folder, {**os.environ, **environment}, target, arguments
    process = multiprocessing.get_context("forkserver").Process(target=redirected, args=arguments)
    process.start()
    return process


def redirected(
    folder: Path, environment: dict[str, str], target: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    """Call a function in a process of its own, with this environment, and write its output in a folder."""
    gc.freeze()  # a collection would copy the memory that is shared with the server
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # loader workers of the same fork server block some signals
    try:
        target(*arguments)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


def run_forked(target: Callable[..., object], *arguments: object, **environment: str) -> CompletedProcess[str]:
    """Call a function in a forked process and return its exit status and output."""
    with tempfile.TemporaryDirectory() as folder:
        process = fork(Path(folder), target, *arguments, **environment)
        process.join(timeout=300)
        stdout, stderr = (Path(folder, stream).read_text() for stream in ("stdout", "stderr"))
        assert process.exitcode is not None, f"{target.__name__}{arguments} still runs after 5 minutes: {stderr}"
        return CompletedProcess(target.__name__, process.exitcode, stdout, stderr)


def run_module(name: str, *arguments: str, **environment: str) -> CompletedProcess[str]:
    """Run `python -m NAME` in a forked process and return its exit status and output."""
    return run_forked(as_main, name, *arguments, **environment)


def as_main(name: str, *arguments: str) -> None:
    """Run a module as `python -m NAME` does, in this process."""
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def files_in(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Return the contents of all matching files below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob(pattern) if path.is_file()}


def tables_in(folder: Path) -> dict[str, bytes]:
    """Return the contents of all Parquet files below a folder, by relative path."""
    return files_in(folder, "*.parquet")


def current_tables(artifacts: Path) -> dict[str, bytes]:
    """Return the Parquet files of the current artifacts, by stage and path in the artifact."""
    return {
        f"{folder.parent.parent.name}/{path}": content
        for folder in list_current(artifacts)
        for path, content in tables_in(folder).items()
    }


def current_artifacts(tmp_path: Path) -> dict[str, Path]:
    """Return the current artifacts in tmp_path/artifacts, by stage and last part of the name."""
    links = (tmp_path / "artifacts").glob("[!.]*/*/current")
    return {f"{link.parent.parent.name}/{link.parent.name.split('-')[-1]}": link.resolve() for link in links}


def published_files(artifacts: Path) -> dict[str, bytes]:
    """Return the files of all published artifacts except recipes, by path in the artifacts folder."""
    return {
        f"{folder.relative_to(artifacts)}/{path}": content
        for folder in list_artifacts(artifacts)
        for path, content in files_in(folder).items()
        if path != "recipe.json"
    }


def progress_lines_on_request(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Return a function that logs the newest progress line; no line is logged by time."""
    shows: list[Callable[[], object]] = []

    class Heartbeat(contextlib.nullcontext[None]):
        def __init__(self, show: Callable[[], object]) -> None:
            super().__init__()
            shows.append(show)

    monkeypatch.setattr(progress, "Heartbeat", Heartbeat)
    return lambda: shows[-1]()


def read_image(path: Path) -> "Tensor":
    """Return an image file as training reads it."""
    from training.data.image_files import decode_image  # late: torch takes seconds to import

    return decode_image(next(FolderStore(path.parent).read([path.name])), path)


def write_images(folder: Path, years: tuple[int, ...], shift_m: float = 0.0) -> None:
    """Write one image per place, heading and year, with one color per class and noise per year."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for place, (east, north) in enumerate(PLACES):
        for heading in HEADINGS:
            for year in years:
                color = np.array([60 + 120 * place, heading * 2 // 3, 255 - heading * 2 // 3])
                pixels = np.clip(color + rng.normal(0, 12, (40, 40, 3)), 0, 255).astype(np.uint8)
                name = f"@{east + shift_m:.2f}@{north:.2f}@10@S@@@pano{place}@@{heading}@@@@{year}06@@.jpg"
                Image.fromarray(pixels).save(folder / name)
