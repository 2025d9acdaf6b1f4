"""Preview groupings, or get advice on the images of a manifest. No tables are written."""

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from data_manifest.console import configure_logging
from data_manifest.errors import UserError
from pipeline.dataset_layout import DatasetSettings
from pipeline.groups.settings import GroupSettings
from pipeline.planning import show_plan
from pipeline.planning.advise import advice_as_json, advice_as_text, advise, find_manifest
from pipeline.planning.plan_groups import EpochSettings, plan_groups

Result = tuple[dict[str, Any], str]  # for JSON and as text
GROUPING = tuple(field.name for field in dataclasses.fields(GroupSettings))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    plan = commands.add_parser("plan", help="preview groupings without writing anything")
    _add_plan_options(plan)
    suggest = commands.add_parser("advise", help="check whether images suffice for training, and suggest settings")
    suggest.description = "Check amount, headings, years and positions of images, and suggest a grouping."
    text = "folder of images whose manifest is built, or the artifact of the manifest"
    suggest.add_argument("images", type=Path, help=text)
    for command, run in ((plan, _plan), (suggest, _advise)):
        command.set_defaults(run=run)
        command.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), help="[%(default)s]")
        command.add_argument("--format", choices=("text", "json"), default="text", help="[%(default)s]")
    return parser


def _add_plan_options(command: argparse.ArgumentParser) -> None:
    command.description = "Several values of a parameter are compared, with one row per combination."
    command.add_argument("images", type=Path, help="folder of training images, or the artifact of their manifest")
    for field in (*dataclasses.fields(GroupSettings), *dataclasses.fields(EpochSettings)):
        several = {"nargs": "+", "default": [field.default]} if field.name in GROUPING else {"default": field.default}
        shown = "none" if field.default is None else field.default
        help_text = f"{field.metadata['help']} [{shown}]".replace("%", "%%")
        command.add_argument(f"--{field.name.replace('_', '-')}", metavar=field.name.upper(), help=help_text, **several)
    (rescan,) = (field for field in dataclasses.fields(DatasetSettings) if field.name == "rescan")
    command.add_argument("--rescan", action="store_true", help=rescan.metadata["help"])


def _plan(options: argparse.Namespace) -> Result:
    combinations = itertools.product(*(getattr(options, name) for name in GROUPING))
    groupings = [GroupSettings(**dict(zip(GROUPING, values, strict=True))) for values in combinations]
    groupings = list(dict.fromkeys(groupings))  # 10 and 10.0 are equal
    epoch = EpochSettings(options.batch_size, options.iterations_per_epoch)
    counts, plans = plan_groups(options.images, options.artifacts_folder, groupings, epoch, options.rescan)
    return show_plan.as_json(counts, plans), show_plan.as_text(counts, plans)


def _advise(options: argparse.Namespace) -> Result:
    advice = advise(find_manifest(options.images, options.artifacts_folder), options.artifacts_folder)
    return advice_as_json(advice), advice_as_text(advice)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = make_parser().parse_args(arguments)
    facts, text = options.run(options)
    print(json.dumps(facts, indent=2) if options.format == "json" else text)


if __name__ == "__main__":
    configure_logging()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
