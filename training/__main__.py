"""Train from the command line: `python -m training --groups-path GROUPS --images-folder IMAGES ... --num-processes 4`.

With torchrun this trains on many machines, which see the same folders and the same global batch:

    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29400 -m training ...
"""

import argparse
import dataclasses
import io
import logging
import os
import sys
from pathlib import Path
from typing import TypeVar

from data_manifest.console import LOGGERS, configure_logging, show_user_errors
from data_manifest.settings import Settings
from evaluation.settings import EvaluationSettings
from training.command_line import FOLDERS, check_batch_size, flag_of
from training.distributed.launch import launch
from training.network.settings import NetworkSettings
from training.settings import AugmentationSettings, RuntimeSettings, TrainingSettings

KINDS: tuple[type[Settings], ...]
KINDS = (NetworkSettings, AugmentationSettings, TrainingSettings, EvaluationSettings, RuntimeSettings)
Kind = TypeVar("Kind", bound=Settings)


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, help_text in FOLDERS.items():
        parser.add_argument(flag_of(name), type=Path, required=True, help=help_text)
    for field in (field for kind in KINDS for field in dataclasses.fields(kind)):
        shown = "none" if field.default is None else field.default
        parser.add_argument(flag_of(field.name), help=f"{field.metadata['help']} [{shown}]".replace("%", "%%"))
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: start the processes that train, or be one of them."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = make_parser().parse_args(arguments)
    runtime = _settings(RuntimeSettings, options)
    if runtime.num_processes > 1 and "LOCAL_RANK" not in os.environ:
        check_batch_size(_settings(TrainingSettings, options).batch_size, runtime.num_processes)
        launch(runtime.num_processes, arguments)
    else:
        _train(options, runtime)


def _train(options: argparse.Namespace, runtime: RuntimeSettings) -> None:
    from evaluation.descriptors.image_list import ImageList
    from evaluation.evaluate_cosplace import Validation
    from training.distributed.percentages import teller_of_percentages
    from training.distributed.processes import is_first, joined_processes
    from training.train_cosplace import train_cosplace

    with joined_processes(runtime.device) as device:
        if not is_first():
            _say_mistakes_alone()
        augmentation = _settings(AugmentationSettings, options)
        validation = Validation(
            ImageList(options.val_database_manifest, options.val_database),
            ImageList(options.val_queries_manifest, options.val_queries),
            _settings(EvaluationSettings, options),
            image_size=augmentation.size,
            device=device,
            num_workers=runtime.num_workers,
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
            on_percentage=teller_of_percentages() if is_first() else None,
        )


def _settings(kind: type[Kind], options: argparse.Namespace) -> Kind:
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in given.items() if value is not None})


class _NoTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return False


def _say_mistakes_alone() -> None:
    """Show neither progress nor log lines: the first process does."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.stderr = _NoTerminal(sys.stderr.buffer, line_buffering=True)


if __name__ == "__main__":
    configure_logging()
    sys.excepthook = show_user_errors(sys.excepthook)
    main()
