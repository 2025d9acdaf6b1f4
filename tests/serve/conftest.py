"""A server of a small city on a free port, and requests to it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from data_manifest import schemas
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.tables import write_table
from evaluation.descriptors.build_descriptors import build_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.localization.find_database import find_database
from evaluation.localization.localize import Localizer
from pipeline.sources.photo_metadata import position_of
from serve.databases.databases import Databases
from serve.databases.reloader import Reloader
from serve.databases.served import Served
from serve.settings import INSTALL, Limits, ServerSettings, Tiles, listen, missing_packages
from tests.evaluation.conftest import COLOURS, Rows, manifest_frame, on_cpu
from tests.serve.client import Client, photo_of
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

if TYPE_CHECKING:
    from serve.service import Service

BACKBONE, DIM = "SqueezeNet1_1", 8
needs_server = pytest.mark.skipif(bool(missing_packages()), reason=f"a package is missing: {INSTALL}")


@dataclass
class RunningClient(Client):
    """Sends requests to a server of this process."""

    service: "Service"
    reloader: Reloader


def publish_model(artifacts: Path, seed: int = 0) -> TrainedModel:
    """Publish a training with random weights."""
    recipe = Recipe("training", "city-train", 1, {"backbone": BACKBONE, "fc_output_dim": DIM, "seed": seed}, {})
    with publishing(artifacts, recipe, {"made": "a model"}) as staging:
        save_random_weights(staging / "model.pth", seed)
    return TrainedModel(recipe.folder(artifacts) / "model.pth", BACKBONE, DIM)


def save_random_weights(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    save_network(GeoLocalizationNet(BACKBONE, DIM), path)


def publish_images(
    artifacts: Path, folder: Path, shift_m: float = 0.0, colours: Sequence[str] = tuple(COLOURS)
) -> ImageList:
    """Write an image per colour, a kilometre apart, and publish their manifest."""
    folder.mkdir(parents=True)
    rows: Rows = []
    for number, colour in enumerate(colours):
        (folder / f"{colour}.png").write_bytes(photo_of(colour))
        place = {"utm_east": 500_000.0 + 1000 * number + shift_m, "utm_north": 4e6, "utm_zone": 10, "utm_band": "S"}
        facts = {"latitude": 36.14, "longitude": -123.0 + number / 100, "heading": 90.0 * number, "year": 2015}
        rows.append({"path": f"{colour}.png", **place, **facts})
    recipe = Recipe("manifest", f"city-{folder.name}", 1, {}, {"images": folder.name})
    with publishing(artifacts, recipe, {"made": "some"}) as staging:
        write_table(manifest_frame(rows), staging / "manifest" / "part.parquet", schemas.MANIFEST)
    return ImageList(recipe.folder(artifacts), folder)


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a published training and the evaluation of its model."""
    folder = tmp_path_factory.mktemp("served")
    artifacts = folder / "artifacts"
    model = publish_model(artifacts)
    database, queries = (publish_images(artifacts, folder / name) for name in ("database", "queries"))
    evaluate_cosplace(model, database, queries, artifacts, on_cpu(16))
    return folder


@pytest.fixture(scope="session")
def evaluation(city: Path) -> Path:
    (folder,) = (city / "artifacts" / "evaluation").iterdir()
    return folder


@pytest.fixture(scope="session")
def localizer(city: Path, evaluation: Path) -> Localizer:
    training = (city / "artifacts" / "training" / "city-train" / "current").resolve()
    model = TrainedModel(training / "model.pth", BACKBONE, DIM)
    return Localizer(model, find_database(evaluation, model, device="cpu", num_workers=0))


@pytest.fixture(scope="session")
def other(city: Path, localizer: Localizer) -> Localizer:
    """A localizer of the same model in the same images in reverse order, 50 km to the east."""
    artifacts = city / "artifacts"
    images = publish_images(artifacts, city / "other", 50_000.0, list(COLOURS)[::-1])
    descriptors = build_descriptors(localizer.model, images, artifacts, on_cpu(16))
    return Localizer(localizer.model, find_database(descriptors, localizer.model, device="cpu"), localizer)


@contextmanager
def running(
    localizer: Localizer | Mapping[str, Localizer],
    token: str | None = None,
    tiles: Tiles | None = None,
    load: Callable[[Sequence[Served]], list[Served]] = list,
    has_moved: Callable[[], bool] | None = None,
    **limits: int,
) -> Iterator[RunningClient]:
    """Serve a localizer, or several by the names of their databases, while a context lasts."""
    if missing_packages():
        pytest.skip(INSTALL)
    from serve import run_server
    from serve.service import Service

    settings = ServerSettings(port=0, token=token, limits=Limits(**limits), tiles=tiles)
    named = localizer if isinstance(localizer, Mapping) else {"database": localizer}
    databases = Databases([Served.of(name, "Tiny-8", each) for name, each in named.items()])
    service = Service(databases, settings.limits, position_of)
    reloader = Reloader(databases, load, has_moved, seconds=0.1)
    with listen(settings) as bound:
        port = bound.getsockname()[1]
        server = run_server.make_server(service, settings, reloader)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            client = RunningClient(port, service, reloader)
            while not server.started:
                assert thread.is_alive()
            yield client
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def holding(localizer: Localizer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold searches until an event; yields the event of the first one's start, and the one that releases them."""
    started, released, search = threading.Event(), threading.Event(), localizer.search

    def held(*arguments: object) -> object:
        started.set()
        assert released.wait(30)
        return search(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(localizer, "search", held)
    try:
        yield started, released
    finally:
        released.set()


@pytest.fixture(scope="module")
def client(localizer: Localizer) -> Iterator[RunningClient]:
    with running(localizer, photos=4, megabytes=1, megapixels=1, seconds=20) as client:
        yield client
