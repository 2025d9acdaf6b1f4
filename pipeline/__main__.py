"""Preview groupings, or get advice on the images of a manifest. No tables are written."""

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any

from data_manifest.command_line.command_parser import CommandParser, add_run
from data_manifest.console import exit_status_of
from data_manifest.images.images_folder import as_images_folder
from data_manifest.settings import flag_of
from pipeline.dataset_layout import ScanSettings
from pipeline.groups.settings import GroupSettings
from pipeline.planning import show_plan
from pipeline.planning.advise import advice_as_json, advice_as_text, advise, find_manifest
from pipeline.planning.plan_groups import EpochSettings, plan_groups

ARTIFACTS = "folder of all results [%(default)s]"
METAVARS = {int: "N", float: "X"}
GROUPING = tuple(field.name for field in dataclasses.fields(GroupSettings))


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_plan(commands.add_parser("plan", help="preview groupings without writing anything"))
    add_advise(commands.add_parser("advise", help="check whether images suffice for training, and suggest settings"))
    return parser


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `plan`."""
    parser.description = "Preview groupings without writing anything: one row per combination of the given values."
    text = "folder of training images, or the artifact of their manifest"
    parser.add_argument("images", type=as_images_folder, metavar="IMAGES", help=text)
    parser.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), metavar="PATH", help=ARTIFACTS)
    for field in (*dataclasses.fields(GroupSettings), *dataclasses.fields(EpochSettings)):
        several = {"nargs": "+", "default": [field.default]} if field.name in GROUPING else {"default": field.default}
        shown = "none" if field.default is None else field.default
        help_text = f"{field.metadata['help']} [{shown}]".replace("%", "%%")
        metavar = METAVARS.get(type(field.default), "TEXT")
        parser.add_argument(flag_of(field.name), metavar=metavar, help=help_text, **several)
    (rescan,) = (field for field in dataclasses.fields(ScanSettings))
    parser.add_argument("--rescan", action="store_true", help=rescan.metadata["help"])
    add_run(parser, _plan)


def _plan(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    combinations = itertools.product(*(getattr(options, name) for name in GROUPING))
    groupings = [GroupSettings(**dict(zip(GROUPING, values, strict=True))) for values in combinations]
    groupings = list(dict.fromkeys(groupings))  # 10 and 10.0 are equal
    epoch = EpochSettings(options.batch_size, options.iterations_per_epoch)
    counts, plans = plan_groups(options.images, options.artifacts_folder, groupings, epoch, options.rescan)
    return show_plan.as_json(counts, plans), show_plan.as_text(counts, plans)


def add_advise(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `advise`."""
    parser.description = "Check amount, headings, years and positions of images, and suggest a grouping."
    text = "folder of images whose manifest is built, or the artifact of the manifest"
    parser.add_argument("images", type=as_images_folder, metavar="IMAGES", help=text)
    parser.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), metavar="PATH", help=ARTIFACTS)
    add_run(parser, _advise)


def _advise(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    advice = advise(find_manifest(options.images, options.artifacts_folder), options.artifacts_folder)
    return advice_as_json(advice), advice_as_text(advice)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = make_parser().parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    sys.exit(exit_status_of(main))
