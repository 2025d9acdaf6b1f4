"""Images that change under the same names: what is embedded again, and what is said of it."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import read_table
from evaluation.descriptors.build_descriptors import build_descriptors, open_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import find_model
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.localization.find_database import find_database
from evaluation.localization.localize import Localizer
from evaluation.settings import RetrievalSettings
from pipeline.manifest.build_manifest import build_manifest
from tests.evaluation.conftest import TinyNetwork
from tests.evaluation.descriptors.test_build_descriptors import HOW, Counting, Killed, model
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

BACKBONE, DIM, SIDE = "SqueezeNet1_1", 8, 48
LONG_AGO = 1_500_000_000
ON_CPU: dict[str, Any] = {"device": "cpu", "num_workers": 0}


def name(number: int) -> str:
    return f"@{500_000 + 100 * number}@4000000@10@S@@@p{number}@@0@@@@2015@@.png"


def paint(folder: Path, number: int, colour: tuple[int, int, int], when: int = LONG_AGO) -> Path:
    """Write an image of one colour; all have the same size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), colour).save(folder / name(number), compress_level=0)
    os.utime(folder / name(number), (when, when))
    return folder / name(number)


def list_images(folder: Path, artifacts: Path) -> ImageList:
    return ImageList(build_manifest(folder, artifacts, strict=False), folder)


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def images(tmp_path: Path, artifacts: Path) -> ImageList:
    """Six images of six colours."""
    for number in range(6):
        paint(tmp_path / "city" / "database", number, (40 * number, 200 - 30 * number, 90))
    return list_images(tmp_path / "city" / "database", artifacts)


def embed(tmp_path: Path, images: ImageList, network: TinyNetwork, **options: Any) -> tuple[Path, int]:
    """Return the folder of the descriptors, and how many images were embedded for it."""
    counting = Counting(network)
    folder = build_descriptors(model(tmp_path, counting), images, tmp_path / "artifacts", HOW, **options)
    return folder, counting.described


def test_an_image_of_the_same_size_but_another_time_is_embedded_again_and_the_old_one_is_found_again(
    tmp_path: Path, images: ImageList, network: TinyNetwork
) -> None:
    first, embedded = embed(tmp_path, images, network)
    assert embedded == 6
    assert embed(tmp_path, images, network) == (first, 0)
    shutil.copytree(images.images_folder, tmp_path / "kept")  # with its times
    before = (images.images_folder / name(2)).stat().st_size
    replaced = paint(images.images_folder, 2, (255, 255, 255), LONG_AGO + 1)
    assert replaced.stat().st_size == before
    second, embedded = embed(tmp_path, images, network)
    assert (second != first, embedded) == (True, 6)
    rows = np.flatnonzero(np.abs(open_descriptors(first) - open_descriptors(second)).max(axis=1) > 1e-6)
    assert images.read()["path"][rows].to_list() == [name(2)]
    shutil.copy2(tmp_path / "kept" / name(2), replaced)
    assert embed(tmp_path, images, network) == (first, 0)
    states = read_table(first, "files")
    assert states["path"].to_list() == images.read()["path"].to_list()
    assert states["modified_ns"].unique().to_list() == [LONG_AGO * 10**9]


def test_a_folder_that_is_moved_is_not_embedded_again(
    tmp_path: Path, artifacts: Path, images: ImageList, network: TinyNetwork
) -> None:
    first, _ = embed(tmp_path, images, network)
    moved = list_images(images.images_folder.rename(tmp_path / "elsewhere"), artifacts)
    folder, embedded = embed(tmp_path, moved, network)
    assert (folder.name, embedded) == (first.name, 0)
    assert read_recipe(folder)["summary"]["images_folder"] == str(tmp_path / "elsewhere")


def test_a_killed_run_whose_images_changed_starts_over(
    tmp_path: Path, artifacts: Path, images: ImageList, network: TinyNetwork
) -> None:
    killed = model(tmp_path, Counting(network, dies_after=4))
    with pytest.raises(Killed):
        build_descriptors(killed, images, artifacts, HOW, chunk_images=2)
    paint(images.images_folder, 0, (255, 255, 255), LONG_AGO + 1)
    folder, embedded = embed(tmp_path, images, network, chunk_images=2)
    assert embedded == 6
    anew = build_descriptors(model(tmp_path, network), images, tmp_path / "anew", HOW, chunk_images=2)
    assert (folder / "descriptors.npy").read_bytes() == (anew / "descriptors.npy").read_bytes()


class Changing(Counting):
    """Has an image change while images are embedded."""

    def __init__(self, network: TinyNetwork, image: Path, after: int) -> None:
        super().__init__(network)
        self.image, self.after = image, after

    def forward(self, images: Any) -> Any:
        if self.described == self.after:
            paint(self.image.parent, int(self.image.name.split("@p")[1].split("@")[0]), (255, 255, 255), LONG_AGO + 1)
        return super().forward(images)


@pytest.mark.parametrize("after", [0, 2])
def test_an_image_that_changes_while_it_is_embedded_is_one_error(
    tmp_path: Path, artifacts: Path, images: ImageList, network: TinyNetwork, after: int
) -> None:
    changed = images.images_folder / name(after)
    with pytest.raises(UserError, match=rf"{name(after)}: changed while it was being embedded\. Run the same command"):
        build_descriptors(model(tmp_path, Changing(network, changed, after)), images, artifacts, HOW, chunk_images=2)
    assert not list(artifacts.glob("descriptors/*/*"))
    assert not list(artifacts.glob("runs/*/*")), "what is embedded of files that are gone takes no room"
    _, embedded = embed(tmp_path, images, network, chunk_images=2)
    assert embedded == 6


def test_images_that_changed_after_the_command_started_are_one_error(
    tmp_path: Path, images: ImageList, network: TinyNetwork
) -> None:
    started = images.with_files()
    paint(images.images_folder, 1, (255, 255, 255), LONG_AGO + 1)
    with pytest.raises(UserError, match="images changed after this command started"):
        embed(tmp_path, started, network)


def test_a_deleted_image_is_named(tmp_path: Path, images: ImageList, network: TinyNetwork) -> None:
    embed(tmp_path, images, network)
    (images.images_folder / name(3)).unlink()
    with pytest.raises(UserError, match=f"{name(3)} cannot be opened as an image"):
        embed(tmp_path, images, network)


@pytest.fixture
def training(artifacts: Path, network: TinyNetwork) -> Path:
    recipe = Recipe("training", "city-train", 1, {"backbone": BACKBONE, "fc_output_dim": DIM}, {})
    with publishing(artifacts, recipe, {"made": "a model"}) as staging:
        save_network(GeoLocalizationNet(BACKBONE, DIM), staging / "model.pth")
    return recipe.folder(artifacts)


@pytest.fixture
def queries(tmp_path: Path, artifacts: Path, images: ImageList) -> ImageList:
    """The same six images, taken at the same places."""
    shutil.copytree(images.images_folder, tmp_path / "city" / "queries")
    return list_images(tmp_path / "city" / "queries", artifacts)


def recall_1(training: Path, database: ImageList, queries: ImageList, artifacts: Path, ks: str = "1,5") -> float:
    retrieval = RetrievalSettings(recall_values=ks)
    evaluation = evaluate_cosplace(
        training / "model.pth", BACKBONE, DIM, database, queries, artifacts, retrieval=retrieval, **ON_CPU
    )
    return float(read_table(evaluation, "recalls").filter(k=1)["recall"][0])


@pytest.mark.parametrize("role", ["database", "queries"])
def test_the_recalls_are_those_of_todays_images_whatever_recall_values_are_asked_for(
    images: ImageList, queries: ImageList, training: Path, artifacts: Path, role: str
) -> None:
    assert recall_1(training, images, queries, artifacts) == 100.0
    arrays = set(artifacts.glob("descriptors/*/*/descriptors.npy"))
    assert recall_1(training, images, queries, artifacts, "1,2") == 100.0
    assert set(artifacts.glob("descriptors/*/*/descriptors.npy")) == arrays, "other values embed nothing"
    changed = {"database": images, "queries": queries}[role]
    contents = [(changed.images_folder / name(number)).read_bytes() for number in range(6)]
    for number in range(6):  # each image is what the next one was
        (changed.images_folder / name(number)).write_bytes(contents[(number + 1) % 6])
    assert recall_1(training, images, queries, artifacts) == 0.0
    assert recall_1(training, images, queries, artifacts, "1,3") == 0.0


def test_localize_says_which_matches_have_changed(
    images: ImageList,
    queries: ImageList,
    training: Path,
    artifacts: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recall_1(training, images, queries, artifacts)
    tested, (evaluation,) = find_model(training), artifacts.glob("evaluation/*/current")
    descriptors = set(artifacts.glob("descriptors/*/*"))

    def located(photo: Path) -> list[tuple[str, bool]]:
        localizer = Localizer(tested, find_database(evaluation, tested, **ON_CPU), "cpu")
        (found,) = localizer.localize([photo], top=2)
        return [(match.path, match.changed) for match in found.matches]

    photo = queries.images_folder / name(4)
    assert located(photo)[0] == (name(4), False)
    assert "changed" not in caplog.text
    paint(images.images_folder, 4, (255, 255, 255), LONG_AGO + 1)
    assert located(photo)[0] == (name(4), True), "the place is that of the image that was embedded"
    assert "1 of 2 database images shown have changed since they were embedded" in caplog.text
    assert set(artifacts.glob("descriptors/*/*")) == descriptors
    (images.images_folder / name(4)).unlink()
    assert located(photo)[0] == (name(4), False), "a missing image is no other image"


def test_the_scale_of_photos_is_not_taken_from_an_image_that_changed(
    images: ImageList, queries: ImageList, training: Path, artifacts: Path
) -> None:
    recall_1(training, images, queries, artifacts)
    tested, (evaluation,) = find_model(training), artifacts.glob("evaluation/*/current")
    database = find_database(evaluation, tested, **ON_CPU)
    first = images.images_folder / str(images.read()["path"][0])
    Image.new("RGB", (8, 8)).save(first)
    photo = images.images_folder.parent / "photo.png"
    Image.new("RGB", (4 * SIDE, 4 * SIDE), (160, 80, 90)).save(photo)
    (found,) = Localizer(tested, database, "cpu").localize([photo], top=1)
    assert found.matches[0].path == name(4)
    assert found.matches[0].score == pytest.approx(1, abs=1e-3)
