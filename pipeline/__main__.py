"""Look ahead: `python -m pipeline plan sf-xl/processed/train --M 5 10 20` says what groupings would give.

Images come from a folder, or the list file beside it, or the artifact of a manifest. No table is written.
`python -m pipeline advise photos` says of images whose manifest is built which grouping to use, and what is odd.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path

from data_manifest.console import configure_logging
from data_manifest.errors import UserError
from pipeline.dataset_layout import DatasetSettings
from pipeline.groups.settings import GroupSettings
from pipeline.planning import show_advice as advice_text
from pipeline.planning.advise import advise, find_manifest
from pipeline.planning.plan_groups import EpochSettings, plan_groups
from pipeline.planning.show_plan import as_json, as_text

GROUPING = tuple(field.name for field in dataclasses.fields(GroupSettings))


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_plan(commands.add_parser("plan", help="what groupings would give, before anything is written"))
    _add_advise(commands.add_parser("advise", help="whether the images are enough, what is odd, what settings to use"))
    return parser


def _add_advise(command: argparse.ArgumentParser) -> None:
    command.description = "Looks at density, headings, years and positions, and says what a colleague would."
    command.add_argument(
        "images", type=Path, help="folder of images that BuildManifest has read, or the artifact of their manifest"
    )
    command.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), help="[%(default)s]")
    command.add_argument("--format", choices=("text", "json"), default="text", help="[%(default)s]")
    command.set_defaults(run=show_advice)


def show_advice(options: argparse.Namespace) -> str:
    """Return advice on the images of a manifest."""
    advice = advise(find_manifest(options.images, options.artifacts_folder), options.artifacts_folder)
    return (
        json.dumps(advice_text.as_json(advice), indent=2) if options.format == "json" else advice_text.as_text(advice)
    )


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.description = "Several values of a parameter are compared: one row for each combination."
    command.add_argument("images", type=Path, help="folder of images to train on, or artifact of their manifest")
    for field in (*dataclasses.fields(GroupSettings), *dataclasses.fields(EpochSettings)):
        several = {"nargs": "+", "default": [field.default]} if field.name in GROUPING else {"default": field.default}
        shown = "none" if field.default is None else field.default
        help_text = f"{field.metadata['help']} [{shown}]".replace("%", "%%")
        flag = f"--{field.name.replace('_', '-')}"
        command.add_argument(flag, metavar=field.name.upper(), help=help_text, **several)
    command.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), help="[%(default)s]")
    (rescan,) = (field for field in dataclasses.fields(DatasetSettings) if field.name == "rescan")
    command.add_argument("--rescan", action="store_true", help=rescan.metadata["help"])
    command.add_argument("--format", choices=("text", "json"), default="text", help="[%(default)s]")
    command.set_defaults(run=plan)


def plan(options: argparse.Namespace) -> str:
    """Return what the groupings of all combinations of the parameters would give."""
    combinations = itertools.product(*(getattr(options, name) for name in GROUPING))
    groupings = [GroupSettings(**dict(zip(GROUPING, values, strict=True))) for values in combinations]
    groupings = list(dict.fromkeys(groupings))  # 10 and 10.0 are one value
    epoch = EpochSettings(options.batch_size, options.iterations_per_epoch)
    counted, plans = plan_groups(options.images, options.artifacts_folder, groupings, epoch, options.rescan)
    return json.dumps(as_json(counted, plans), indent=2) if options.format == "json" else as_text(counted, plans)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = make_parser().parse_args(arguments)
    print(options.run(options))


if __name__ == "__main__":
    configure_logging()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
