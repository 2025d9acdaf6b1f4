"""Train from the command line: `python -m training --groups-path GROUPS --images-folder IMAGES ... --num-processes 4`.

On several machines, start it with torchrun; all must see the same folders:

    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29400 -m training ...
"""

import argparse
import dataclasses
import functools
import io
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from data_manifest.console import LOGGERS, configure_logging, show_user_errors
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.settings import Settings, flag_of, normalise
from evaluation.settings import EvaluationSettings
from training.data.settings import AugmentationSettings
from training.distributed.launch import launch, send_percentage
from training.network.settings import NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings

FOLDERS = {
    "groups_path": "folder of a groups artifact",
    "images_folder": "folder of the training images",
    "artifacts_folder": "folder of all artifacts and runs",
    "val_database_manifest": "manifest artifact of the validation database",
    "val_database": "folder of its images",
    "val_queries_manifest": "manifest artifact of the validation queries",
    "val_queries": "folder of their images",
}
FOLDERS_OF_IMAGES = ("images_folder", "val_database", "val_queries")
KINDS: tuple[type[Settings], ...]
KINDS = (NetworkSettings, AugmentationSettings, TrainingSettings, EvaluationSettings, RuntimeSettings)
Kind = TypeVar("Kind", bound=Settings)


def arguments_for(folders: Mapping[str, ImagesFolder], settings: Iterable[Settings]) -> list[str]:
    """Return the command-line arguments for these folders (keys of FOLDERS) and settings."""
    given = {name: path.absolute() for name, path in folders.items()}
    for each in settings:
        given |= {field.name: getattr(each, field.name) for field in dataclasses.fields(each)}
    return [f"{flag_of(name)}={value}" for name, value in given.items() if value is not None]


def make_parser() -> argparse.ArgumentParser:
    """Return the argument parser: all folders, and the fields of all settings."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, help_text in FOLDERS.items():
        kind = functools.partial(normalise, name, hint=ImagesUrl if name in FOLDERS_OF_IMAGES else Path)
        parser.add_argument(flag_of(name), type=kind, required=True, help=help_text)
    parser.add_argument("--data-set", type=json.loads, help="settings of the data set to record, as JSON")
    for field in (field for kind in KINDS for field in dataclasses.fields(kind)):
        default = "none" if field.default is None else field.default
        parser.add_argument(flag_of(field.name), help=f"{field.metadata['help']} [{default}]".replace("%", "%%"))
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Start `num_processes` training processes, or be one of them."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = make_parser().parse_args(arguments)
    runtime = _settings(RuntimeSettings, options)
    if runtime.num_processes > 1 and "LOCAL_RANK" not in os.environ:
        _settings(TrainingSettings, options).check_num_processes(runtime.num_processes)
        launch(runtime.num_processes, arguments)
    else:
        _train(options, runtime)


def _train(options: argparse.Namespace, runtime: RuntimeSettings) -> None:
    from evaluation.descriptors.image_list import ImageList
    from evaluation.validation_set import ValidationSet
    from training.distributed.processes import is_rank_zero, process_group
    from training.train_cosplace import train_cosplace

    with process_group(runtime.device) as device:
        if not is_rank_zero():
            _log_only_errors()
        augmentation = _settings(AugmentationSettings, options)
        evaluation = _settings(EvaluationSettings, options)
        validation = ValidationSet(
            ImageList(options.val_database_manifest, options.val_database),
            ImageList(options.val_queries_manifest, options.val_queries),
            evaluation.extraction(augmentation.size, device, runtime.num_workers),
            evaluation.positive_dist_threshold,
        )
        train_cosplace(
            options.groups_path,
            options.images_folder,
            options.artifacts_folder,
            validation,
            network=_settings(NetworkSettings, options),
            augmentation=augmentation,
            training=_settings(TrainingSettings, options),
            runtime=dataclasses.replace(runtime, device=device),
            data_set=options.data_set,
            on_percentage=send_percentage if is_rank_zero() else None,
        )


def _settings(kind: type[Kind], options: argparse.Namespace) -> Kind:
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in given.items() if value is not None})


class _NoTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return False


def _log_only_errors() -> None:
    """Silence progress bars and log lines, which rank 0 shows."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.stderr = _NoTerminal(sys.stderr.buffer, line_buffering=True)


if __name__ == "__main__":
    configure_logging()
    sys.excepthook = show_user_errors(sys.excepthook)
    main()
