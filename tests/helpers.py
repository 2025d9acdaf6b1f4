"""What tests of several packages share: files and tables as bytes by their place, and lines of progress on request."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest import progress
from data_manifest.store.find import list_artifacts, list_current


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
