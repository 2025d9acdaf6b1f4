"""The command `cosplace reads`."""

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any

from data_manifest.command_line.command_parser import add_run
from data_manifest.settings import flag_of
from training.settings import TrainingSettings

DECISIVE = ("groups_num", "groups", "batch_size", "iterations_per_epoch", "seed")  # for the order of reads
METAVARS: dict[Any, str] = {int: "N"}


def add_reads(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `reads`."""
    parser.description = (
        "Write which images a training will read, in order, without training. The settings are those of the training; "
        "images that turn out unreadable are replaced by others then, which the order does not know."
    )
    add = parser.add_argument
    add("groups_path", type=Path, metavar="ARTIFACT", help="groups, as in artifacts/groups/<data set>")
    every = range(TrainingSettings.epochs_num)
    text = f"epochs from 0, without the last, as in 0:5 for the first five [0:{every.stop}]"
    add("--epochs", type=epoch_range, default=every, metavar="FIRST:END", help=text)
    text = "table of all reads (.parquet), or paths in the order of their first read (.txt) [%(default)s]"
    add("--output", type=Path, default=Path("reads.parquet"), metavar="FILE", help=text)
    fields = {field.name: field for field in dataclasses.fields(TrainingSettings)}
    for field in map(fields.__getitem__, DECISIVE):
        shown = "none" if field.default is None else field.default
        metavar, meaning = METAVARS.get(type(field.default), "TEXT"), field.metadata["help"].partition(";")[0]
        add(flag_of(field.name), default=field.default, metavar=metavar, help=f"{meaning} [{shown}]")
    add_run(parser, _reads)


def epoch_range(text: str) -> range:
    """Return the epochs that a text such as 0:5 means; for the `type` of an argument."""
    if not re.fullmatch("[0-9]+:[0-9]+", text) or not (epochs := range(*map(int, text.split(":")))):
        raise argparse.ArgumentTypeError(f"{text}: expected FIRST:END, as in 0:5 for the first five epochs")
    return epochs


def _reads(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from training.data.reads.write_reads import show_reads, write_reads

    training = TrainingSettings(**{name: getattr(options, name) for name in DECISIVE})
    facts = write_reads(options.groups_path, training, options.epochs, options.output)
    return facts, show_reads(facts)
