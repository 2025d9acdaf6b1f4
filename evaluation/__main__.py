"""Use published evaluations: `python -m evaluation localize --model RUN --database EVALUATION photo.jpg`."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifest.command_line.command_parser import CommandParser, at_least_one, folder_or_url, share
from data_manifest.console import exit_status_of
from data_manifest.progress import working
from evaluation.localization.find_photos import find_photos
from evaluation.settings import EXACT, HNSW, IVFPQ

if TYPE_CHECKING:
    from evaluation.descriptors.trained_model import TrainedModel
    from evaluation.localization.localize import Localizer

DATABASE = "folder of an evaluation (artifacts/evaluation/<data set>) or of descriptors, whose database is searched"
logger = logging.getLogger(__name__)


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_localize(commands.add_parser("localize", help="show where photos were taken"))
    add_pairs(commands.add_parser("pairs", help="write matches as pairs of images for COLMAP and hloc"))
    return parser


def add_localize(parser: argparse.ArgumentParser, **database: Any) -> None:
    """Add the flags of `localize`; `database` as in `add_database`."""
    parser.description = "Show where photos were taken: the database images that look most like each."
    add = parser.add_argument
    add("photos", nargs="+", type=folder_or_url, metavar="PHOTO", help="a photo, or a folder of photos; or its URL")
    add_database(parser, **database)
    add("--top", type=at_least_one, default=5, metavar="N", help="matches to show per photo [%(default)s]")
    text = "give no position to photos below this certainty, 0 to 1: the share of equally certain test queries whose "
    text += "first match is correct; the database must be evaluated with this model"
    add("--min-certainty", type=share, metavar="SHARE", help=text)
    add("--format", choices=("table", "json", "geojson"), default="table", help="output format [%(default)s]")
    add("--panel", type=Path, metavar="FILE", help="draw photos and matches to this image, as in out.png")
    parser.set_defaults(run=localize)


def add_database(parser: argparse.ArgumentParser, **database: Any) -> None:
    """Add the flags of a model and a database; `database` replaces arguments of the flag --database."""
    add = parser.add_argument
    text = "folder of a training (artifacts/training/<data set>), a weights file, or an official name (ResNet50-512)"
    add("--model", required=True, metavar="MODEL", help=text)
    add("--database", required=True, **{"type": Path, "metavar": "PATH", "help": DATABASE, **database})
    add(
        "--index",
        choices=(EXACT, IVFPQ, HNSW),
        default=EXACT,
        help="exact search, or an approximate faiss index [%(default)s]",
    )
    text = "where the network runs: auto, cpu, cuda or cuda:1 [%(default)s]"
    add("--device", default="auto", metavar="TEXT", help=text)
    text = "processes that load images to be embedded; 0: none [%(default)s]"
    add("--num-workers", type=int, default=8, metavar="N", help=text)


def localize(options: argparse.Namespace, model: "TrainedModel | None" = None) -> int:
    """Show where photos were taken, by a model or that of the options; return 1 if a photo cannot be opened."""
    photos = find_photos(options.photos)
    with working("loading PyTorch and faiss"):
        from evaluation.localization.panel import check_panel, draw_panel
        from evaluation.localization.show_located import show, terminal_width

    if options.panel is not None:
        check_panel(options.panel)
    localizer = _load_localizer(options, model)
    database = localizer.database
    with working(f"localizing {len(photos):,} photos"):
        located = localizer.localize(photos, options.top, options.min_certainty)
    print(show(located, options.format, terminal_width()))
    if database.uncalibrated:
        logger.info(database.uncalibrated)
    if options.panel is not None:
        draw_panel(located, database.images.images_folder, options.panel)
    return int(any(photo.error is not None for photo in located))


def _load_localizer(options: argparse.Namespace, model: "TrainedModel | None") -> "Localizer":
    with working("loading PyTorch and faiss"):
        from evaluation.descriptors.trained_model import find_model
        from evaluation.localization.find_database import find_database
        from evaluation.localization.localize import Localizer

    if model is None:
        with working("loading the model"):
            model = find_model(options.model)
    database = find_database(
        options.database,
        model,
        options.index,
        device=options.device,
        num_workers=options.num_workers,
        min_certainty=options.min_certainty,
    )
    with working("loading the database"):
        return Localizer(model, database)


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `pairs`."""
    parser.description = (
        "Write a line `query database` for each of the best matches of each query, for COLMAP and hloc. Names are "
        "relative to the folder that holds the images of both, to be given to them as the image folder."
    )
    add = parser.add_argument
    add("evaluation", type=Path, metavar="ARTIFACT", help="evaluation, as in artifacts/evaluation/<data set>")
    add("--k", type=at_least_one, default=20, metavar="N", help="matches per query [%(default)s]")
    add("--output", type=Path, default=Path("pairs.txt"), metavar="FILE", help="file to write [%(default)s]")
    parser.set_defaults(run=pairs)


def pairs(options: argparse.Namespace) -> int:
    """Write the pairs of an evaluation."""
    from evaluation.search.write_pairs import write_pairs

    with working("writing pairs"):
        text = write_pairs(options.evaluation, options.k, options.output)
    print(text)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    options = make_parser().parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(exit_status_of(main))
