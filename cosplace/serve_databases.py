"""`cosplace serve`: its flags, and loading and reloading the given databases."""

import argparse
import contextlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_manifest.command_line.command_parser import folder_or_url
from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import working
from data_manifest.store.find import find_artifact
from evaluation.__main__ import add_database
from evaluation.descriptors.trained_model import TrainedModel
from luigi_tasks.data.manifests import forget_inputs
from luigi_tasks.given_model import forget_models
from luigi_tasks.photos import PHOTOS_OR_DATABASE, add_photos_as_database, artifact_of, model_of
from methods.find_method import Method
from pipeline.sources.photo_metadata import position_of
from serve.settings import ServerSettings, add_server, listen

if TYPE_CHECKING:
    from evaluation.localization.find_database import Database
    from evaluation.localization.localize import Localizer
    from serve.databases.served import Served

UNNAMED = "database"
NAME = re.compile(r"[A-Za-z0-9._-]+")
logger = logging.getLogger("serve")


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `serve`."""
    text = f"{PHOTOS_OR_DATABASE}; several as --database NAME=PATH --database NAME=PATH"
    add_database(parser, action="append", type=named_database, help=text)
    add_photos_as_database(parser)
    add_server(parser)
    parser.set_defaults(run=serve)


def named_database(text: str) -> tuple[str | None, ImagesFolder]:
    """Return name and path of NAME=PATH, or None and the path; for the `type` of an argument."""
    name, _, path = text.partition("=")
    is_named = path and NAME.fullmatch(name) and not Path(text).exists()
    return (name, folder_or_url(path)) if is_named else (None, folder_or_url(text))


def by_name(given: Sequence[tuple[str | None, ImagesFolder]]) -> dict[str, ImagesFolder]:
    """Return the paths of databases by name; a single database needs no name.

    Raises:
        UserError: A name is missing or repeated.
    """
    if len(given) == 1:
        return {name or UNNAMED: path for name, path in given}
    paths: dict[str, ImagesFolder] = {}
    for name, path in given:
        if name is None:
            raise UserError(f"--database {path}: several databases need names. Pass --database NAME={path}")
        if name in paths:
            raise UserError(f"--database {name}={path}: the name {name} is given twice. Choose another")
        paths[name] = path
    return paths


def serve(options: argparse.Namespace) -> int:
    """Serve a page and an HTTP API that localize photos, until Ctrl-C or SIGTERM."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported; spinning threads slow the decoders
    settings, given = ServerSettings.of(options), GivenDatabases(options)
    if settings.watch:
        given.check_watched()
    with listen(settings) as bound:  # before the model is loaded
        served = given.load()
        with working("starting the server"):
            from serve.databases.databases import Databases
            from serve.databases.reloader import Reloader
            from serve.run_server import run_server
            from serve.service import Service

        for each in served:
            if each.localizer.database.uncalibrated:
                logger.info(each.localizer.database.uncalibrated)
        databases = Databases(served)
        reloader = Reloader(databases, given.load, given.has_moved if settings.watch else None)
        run_server(Service(databases, settings.limits, position_of), settings, bound, reloader)
    return 0


class GivenDatabases:
    """Loads the model and the databases of the flags."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self._paths = options, by_name(options.database)
        self._loaded: dict[str, Path | int | None] = {}

    def load(self, served: Sequence["Served"] = ()) -> list["Served"]:
        """Return the current databases. An unchanged model, and unchanged databases of `served`, are reused.

        Raises:
            UserError: The model or a database does not exist, or cannot be read.
        """
        self._loaded = self._targets()  # before anything is read
        forget_inputs()
        forget_models()
        model = self._model([each.localizer for each in served])
        with working("loading PyTorch and faiss"):
            from evaluation.localization.localize import Localizer
            from serve.databases.served import Served, digest_of_database

        known, loaded = {each.name: each for each in served}, list[Served]()
        for name, path in self._paths.items():
            database = self._find(path, model)
            if name in known and known[name].digest == digest_of_database(database):
                loaded.append(known[name])
                continue
            localizers = (each.localizer for each in (*loaded, *served))
            sharing = next((each for each in localizers if each.model is model), None)
            with working("loading the database"):
                localizer = Localizer(model, database, sharing)
            loaded.append(Served.of(name, name_of(model), localizer))
        return loaded

    def _model(self, localizers: Sequence["Localizer"]) -> TrainedModel:
        """Return the model; if it is unchanged, that of the localizers."""
        with working("loading the model"):
            model = model_of(self._options)
        return next((each.model for each in localizers if each.model.digests == model.digests), model)

    def _find(self, path: ImagesFolder, model: TrainedModel) -> "Database":
        from evaluation.localization.find_database import find_database

        options = self._options
        artifact = artifact_of(path, options)
        return find_database(artifact, model, options.index, device=options.device, num_workers=options.num_workers)

    def has_moved(self) -> bool:
        """Return whether the target of a path has changed since `load` last began."""
        return self._targets() != self._loaded

    def check_watched(self) -> None:
        """Log the paths that cannot be watched.

        Raises:
            UserError: No path can be watched.
        """
        fixed = [path for path, target in self._targets().items() if target is None]
        if len(fixed) == len(self._targets()):
            raise UserError("--watch: neither the model nor a database is an artifact or a file. Leave it out")
        if fixed:
            logger.info("--watch does not follow %s. Send SIGHUP to reload", ", ".join(fixed))

    def _targets(self) -> dict[str, Path | int | None]:
        return {str(path): _target(path) for path in (Path(self._options.model), *self._paths.values())}


def _target(path: ImagesFolder) -> Path | int | None:
    """Return the artifact of a path, or a file's time of modification; None for folders of photos and names."""
    if not isinstance(path, Path):
        return None
    with contextlib.suppress(UserError, OSError):
        return find_artifact(path)
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns if path.is_file() else None
    return None


def name_of(model: TrainedModel) -> str:
    """Return the displayed name of a model: of a method, or backbone and dimensions, as in ResNet50-512."""
    return model.backbone if isinstance(model, Method) else f"{model.backbone}-{model.fc_output_dim}"
