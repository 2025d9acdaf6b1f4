"""A server of a small city on a free port, and requests to it."""

import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

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
from serve.settings import Limits, ServerSettings, Tiles, listen
from tests.evaluation.conftest import COLOURS, Rows, manifest_frame, on_cpu, pattern
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

if TYPE_CHECKING:
    from serve.databases.reloader import Reloader
    from serve.databases.served import Served
    from serve.service import Service

BACKBONE, DIM = "SqueezeNet1_1", 8
PACKAGES = ("fastapi", "uvicorn")  # of the extra
TOKEN = "a token of 24 characters"
Parts = list[tuple[str, bytes]]


@dataclass
class Answer:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Client:
    """Sends requests to a server."""

    port: int

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, **headers)

    def picture(self, number: int | str) -> str:
        """Return the address of an image of the first database."""
        return f"/api/images/{self.get('/api/database').json['digest']}/{number}"

    def send(self, photo: bytes, kind: str = "image/png", query: str = "", **headers: str) -> Answer:
        return self.request("POST", f"/api/localize{query}", photo, Content_Type=kind, **headers)

    def send_form(self, photos: Parts, query: str = "") -> Answer:
        return self.send(form_of(photos), "multipart/form-data; boundary=border", query)


@dataclass
class RunningClient(Client):
    """Sends requests to a server of this process."""

    service: "Service"
    reloader: "Reloader"


def form_of(photos: Parts) -> bytes:
    parts = [
        f'--border\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'.encode()
        + photo
        + b"\r\n"
        for name, photo in photos
    ]
    return b"".join([*parts, b"--border--\r\n"])


def wait_until(is_met: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_met():
            return
        time.sleep(0.05)
    raise AssertionError


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def photo_of(colour: str, size: tuple[int, int] = (64, 48), form: str = "PNG") -> bytes:
    return encoded(pattern(COLOURS[colour], size), form)


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
    torch.manual_seed(0)
    recipe = Recipe("training", "city-train", 1, {"backbone": BACKBONE, "fc_output_dim": DIM}, {})
    with publishing(artifacts, recipe, {"made": "a model"}) as staging:
        save_network(GeoLocalizationNet(BACKBONE, DIM), staging / "model.pth")
    database, queries = (publish_images(artifacts, folder / name) for name in ("database", "queries"))
    evaluate_cosplace(
        TrainedModel(recipe.folder(artifacts) / "model.pth", BACKBONE, DIM), database, queries, artifacts, on_cpu(16)
    )
    return folder


@pytest.fixture(scope="session")
def localizer(city: Path) -> Localizer:
    (training,) = (city / "artifacts" / "training" / "city-train" / "current",)
    model = TrainedModel(training.resolve() / "model.pth", BACKBONE, DIM)
    (evaluation,) = (city / "artifacts" / "evaluation").iterdir()
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
    load: "Callable[[Sequence[Served]], list[Served]]" = list,
    has_moved: Callable[[], bool] | None = None,
    **limits: int,
) -> Iterator[RunningClient]:
    """Serve a localizer, or several by the names of their databases, while a context lasts."""
    for package in PACKAGES:
        pytest.importorskip(package)
    from serve import run_server
    from serve.databases.databases import Databases
    from serve.databases.reloader import Reloader
    from serve.databases.served import Served
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


Serve = Callable[..., Client]


@pytest.fixture(scope="module")
def client(localizer: Localizer) -> Iterator[RunningClient]:
    with running(localizer, photos=4, megabytes=1, megapixels=1, seconds=20) as client:
        yield client
