"""Ask a trained model: `python -m evaluation localize --model RUN --database EVALUATION photo.jpg`."""

import argparse
import sys
from pathlib import Path

from data_manifest.console import configure_logging
from data_manifest.errors import UserError
from data_manifest.progress import working
from evaluation.settings import EXACT, HNSW, IVFPQ, TOP


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    text = "Where were these photos taken? Shows the database images that look most like each of them."
    command = commands.add_parser("localize", help="where photos were taken", description=text)
    add = command.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="a photo, or a folder of photos")
    add("--model", type=Path, required=True, help="folder of a training, as in artifacts/training/<data set>, or file")
    text = (
        "folder of an evaluation, or of descriptors, in whose database to look, as in artifacts/evaluation/<data set>"
    )
    add("--database", type=Path, required=True, help=text)
    add("--backbone", help="network that a file of weights is for, where it does not show it")
    add("--fc-output-dim", type=int, help="length of its descriptors; likewise")
    add("--top", type=_at_least_one, default=TOP, metavar="N", help="matches to show [%(default)s]")
    add("--format", choices=("table", "json", "geojson"), default="table", help="[%(default)s]")
    add("--panel", type=Path, metavar="FILE", help="draw photos and matches into this image, as in out.png")
    add(
        "--index", choices=(EXACT, IVFPQ, HNSW), default=EXACT, help="how to search: see EvaluateCosPlace [%(default)s]"
    )
    add("--device", default="auto", help="where the network runs: auto, cpu, cuda, or cuda:1 etc. [%(default)s]")
    add("--num-workers", type=int, default=8, help="processes that load images to be described [%(default)s]")
    command.set_defaults(run=localize)
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: at least 1 match is needed")
    return number


def localize(options: argparse.Namespace) -> int:
    """Show where photos were taken; return 1 if one of them could not be opened."""
    with working("loading PyTorch and faiss"):
        from evaluation.descriptors.trained_model import find_model
        from evaluation.localization.find_database import find_database, photos_in
        from evaluation.localization.localize import Localizer
        from evaluation.localization.panel import check_panel, draw_panel
        from evaluation.localization.show_located import show

    photos = photos_in(options.photos)
    if options.panel is not None:  # before a database is described, perhaps for hours
        check_panel(options.panel)
    with working("loading the model"):
        model = find_model(options.model, options.backbone, options.fc_output_dim)
    database = find_database(
        options.database, model, options.index, device=options.device, num_workers=options.num_workers
    )
    with working("loading the database"):
        localizer = Localizer(model, database, options.device)
    with working(f"looking up {len(photos):,} photos"):
        located = localizer.localize(photos, options.top)
    print(show(located, options.format))
    if options.panel is not None:
        draw_panel(located, database.images.images_folder, options.panel)
    return int(any(photo.error is not None for photo in located))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    options = make_parser().parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    configure_logging()
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
