"""The arguments of `python -m training`: folders, and all settings. Imports no torch."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings

FOLDERS = {
    "groups_path": "folder of a groups artifact",
    "images_folder": "where the images of the groups lie",
    "artifacts_folder": "where everything that is made goes",
    "val_database_manifest": "folder of the manifest of the validation database",
    "val_database": "where its images lie",
    "val_queries_manifest": "folder of the manifest of the validation queries",
    "val_queries": "where their images lie",
}


def flag_of(name: str) -> str:
    """Return a name as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


def arguments_for(folders: Mapping[str, Path], settings: Iterable[Settings]) -> list[str]:
    """Return the arguments that mean these folders and settings."""
    given = {name: path.absolute() for name, path in folders.items()}
    for each in settings:
        given |= {field.name: getattr(each, field.name) for field in dataclasses.fields(each)}
    return [f"{flag_of(name)}={value}" for name, value in given.items() if value is not None]


def check_batch_size(batch_size: int, num_processes: int) -> None:
    """Raise UserError where the processes cannot have equal shares of a batch."""
    if batch_size % num_processes:
        raise UserError(
            f"batch_size = {batch_size}: {num_processes} processes cannot have equal shares of a batch; "
            "give a multiple of --num-processes"
        )
