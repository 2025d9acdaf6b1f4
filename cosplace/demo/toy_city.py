"""Render a small synthetic city as a data set with SF-XL's folders and file names.

    python -m cosplace.demo.toy_city OUT                                    # train, val and test
    python -m cosplace.demo.toy_city --contact-sheet toy_city.png           # only an overview picture

Each place has twelve views per year; light, cars, pedestrians, paint and shops change over the years. Equal settings
give equal bytes for equal versions of NumPy and Pillow.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from cosplace.demo.city.dataset import write_city
from cosplace.demo.city.settings import SPACINGS_M, CityError, CitySettings
from cosplace.demo.city.sheet import write_contact_sheet


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after printing a user error."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = make_parser().parse_args(arguments)
    try:
        if options.out is None and options.contact_sheet is None:
            raise CityError("No output given. Pass a folder for the images, or --contact-sheet PATH.png.")
        settings = CitySettings(options.seed, options.size, options.places, options.spacing, options.train_years)
        if options.processes < 1:
            raise CityError(f"processes = {options.processes}: expected at least 1.")
        if options.out is not None:
            make_city(options.out, settings, options.processes)
        if options.contact_sheet is not None:
            write_contact_sheet(options.contact_sheet, settings)
            logging.info(
                "contact sheet: %s (%d kB)", options.contact_sheet, options.contact_sheet.stat().st_size // 1000
            )
    except (CityError, OSError) as error:
        print(f"toy_city: {error}", file=sys.stderr)
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    defaults = CitySettings()
    parser = argparse.ArgumentParser(description="Render a small synthetic city with SF-XL's folders and file names.")
    parser.add_argument("out", type=Path, nargs="?", help="folder for the images: new or empty")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="random seed of the city (default %(default)s)")
    parser.add_argument(
        "--size", type=int, default=defaults.size, help="height of the images, pixels (default %(default)s)"
    )
    parser.add_argument("--places", type=int, default=defaults.places, help="number of places (default %(default)s)")
    parser.add_argument(
        "--spacing", type=int, default=defaults.spacing,
        help=f"metres between adjacent places of a street: {', '.join(map(str, SPACINGS_M))} (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--train-years", type=int, default=defaults.train_years, help="number of training years (default %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=2, help="years rendered in parallel (default %(default)s)")
    parser.add_argument(
        "--contact-sheet", type=Path, metavar="PATH", help="write a picture of four places over the years"
    )
    return parser


def make_city(out: Path, settings: CitySettings, processes: int) -> None:
    """Render next to `out`, then move into place, so that an interrupted run leaves nothing incomplete."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CityError(f"{out} exists and is not an empty folder. Choose another name, or remove it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent.resolve()))
    try:
        counts = write_city(staging, settings, processes)
        staging.chmod(0o755)  # mkdtemp creates folders that only their owner can read
        staging.replace(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    listing = ", ".join(f"{folder} {count}" for folder, count in sorted(counts.items()))
    logging.info("%s: %d images in %.0f s (%s)", out, counts.total(), time.monotonic() - start, listing)


if __name__ == "__main__":
    sys.exit(main())
