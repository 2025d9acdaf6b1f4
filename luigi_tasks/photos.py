"""Localize photos in a database that may be a folder of photos, which is embedded first."""

import argparse
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.command_line.command_parser import folder_or_url
from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.progress import working
from data_manifest.settings import flag_of, normalise
from data_manifest.store.find import find_artifact
from data_manifest.tables import scan_rejects
from evaluation.__main__ import DATABASE
from evaluation.__main__ import add_localize as add_localize_in_artifacts
from evaluation.__main__ import localize as localize_in_artifacts
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.find_photos import find_photos
from luigi_tasks.evaluation import ExtractDescriptors, digests_of, pinned_images
from luigi_tasks.given_model import check_no_inputs, pinned_model
from luigi_tasks.parameters import parameters_of
from methods.find_method import Method
from methods.settings import METHOD_INPUTS, MethodSettings
from pipeline.dataset_layout import PHOTOS
from pipeline.sources.make_source import source_of

MAX_NAMES = 5  # shown
PHOTOS_OR_DATABASE = f"folder of photos with positions in EXIF or in SF-XL's names, or {DATABASE}"
logger = logging.getLogger(__name__)


def add_localize(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `localize`, whose --database may also be a folder of photos."""
    add_localize_in_artifacts(parser, type=folder_or_url, help=PHOTOS_OR_DATABASE)
    add_photos_as_database(parser)
    parser.set_defaults(run=localize)


def add_photos_as_database(parser: argparse.ArgumentParser) -> None:
    """Add the flags of methods, which --model may name, and of the artifacts folder for a database of photos."""
    for action in parser._actions:
        if action.dest == "model":
            action.help = f"{action.help}; or a method: a name (MegaLoc), REPO:ENTRY, FILE.py:FUNCTION"
    add_inputs(parser)
    parser.add_argument(
        "--artifacts-folder",
        type=functools.partial(normalise, "artifacts_folder", hint=Path),
        metavar="PATH",
        help="where descriptors of a folder of photos are cached; by default that of the model, or artifacts",
    )


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the flags of methods."""
    parameters = parameters_of("ExtractDescriptors")
    parser.add_argument("--trust-repo", action="store_true", help=parameters["trust_repo"].description)
    for name in ("input_size", "input_multiple"):
        text = parameters[name].description
        parser.add_argument(flag_of(name), default=None, metavar="PIXELS", help=text)


def localize(options: argparse.Namespace) -> int:
    """Show where photos were taken; return 1 if one of them cannot be opened."""
    find_photos(options.photos)  # before the database is embedded
    model = model_of(options)
    options.database = artifact_of(options.database, options)
    return localize_in_artifacts(options, model)


def model_of(options: argparse.Namespace) -> TrainedModel:
    """Return the model or method of the flags.

    Raises:
        UserError: There is none, or flags of methods are given with a model.
    """
    inputs = _method_inputs(options)
    model = pinned_model(options.model, MethodSettings(**inputs))
    if not isinstance(model, Method):
        check_no_inputs(inputs, f"{options.model} is not a method")
    return model


def artifact_of(database: ImagesFolder, options: argparse.Namespace) -> Path:
    """Return the artifact of --database; a folder of photos is embedded first."""
    if isinstance(database, Path) and not is_folder_of_photos(database):
        return database
    more = {"device": options.device, "num_workers": options.num_workers, **_method_inputs(options)}
    if options.artifacts_folder is not None:
        more["artifacts_folder"] = options.artifacts_folder
    check = functools.partial(_check_certainty, getattr(options, "min_certainty", None), options.index)
    return database_of_photos(options.model, database, check, **more)


def _method_inputs(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in METHOD_INPUTS}


def is_folder_of_photos(path: ImagesFolder) -> bool:
    """Return whether a path is a URL or a folder, but not of an artifact."""
    if isinstance(path, ImagesUrl):
        return True
    if not path.is_dir():
        return False
    try:
        find_artifact(path)
    except UserError:
        return True
    return False


def database_of_photos(
    model: str, folder: ImagesFolder, check: Callable[[ExtractDescriptors], None], **others: Any
) -> Path:
    """Return the folder of a model's descriptors of all photos in a folder, embedded unless they are published.

    Photos without a position are logged. `check` is called before the photos are embedded. `others` are more
    parameters of ExtractDescriptors, such as the device.

    Raises:
        UserError: There is no such model, no photo with a position, or `check` raises it.
    """
    photos: dict[str, Any] = {"photos_folder": folder, "part": PHOTOS, "source": source_of(folder)}
    task = ExtractDescriptors(model=model, **photos, **others)
    if not task.manifest().complete():
        task.manifest().run()
    check(task)
    if not task.complete():
        task.run()
    _log_skipped(folder, task.manifest().artifact())
    return task.artifact()


def _check_certainty(min_certainty: float | None, index: str, task: ExtractDescriptors) -> None:
    """Raise UserError if a minimum certainty is given, and no evaluation calibrates certainties."""
    if min_certainty is None:
        return
    with working("looking for an evaluation"):
        from evaluation.localization.calibration import find_calibration
        from evaluation.localization.find_database import why_uncalibrated

    model, digests = task.trained_model(), digests_of(task.manifest())
    if not find_calibration(task.artifacts_folder, model.digests, digests, task.extraction(), index):
        reason = why_uncalibrated(model, pinned_images(task.manifest()), None, index)
        raise UserError(f"--min-certainty {min_certainty:g}: {reason}")


def _log_skipped(folder: ImagesFolder, manifest: Path) -> None:
    """Log the photos of a folder that its manifest rejects, by reason."""
    rejects = scan_rejects(manifest).group_by("reason").agg(pl.col("path").sort()).sort("reason").collect()
    for reason, paths in rejects.rows():
        names = ", ".join(paths[:MAX_NAMES]) + (", ..." if len(paths) > MAX_NAMES else "")
        logger.warning("%s: skipped %s, %s: %s", folder, f"{len(paths):,}", reason, names)
