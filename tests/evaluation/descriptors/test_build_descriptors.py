import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.store.recipe import digest_of, read_recipe
from data_manifest.store.references import read_users
from data_manifest.store.run_folders import only_writer
from data_manifest.tables import read_table
from evaluation.descriptors.build_descriptors import build_descriptors, open_descriptors
from evaluation.descriptors.extract import extract_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from tests.evaluation.conftest import (
    BACKBONE,
    DIM,
    LONG_AGO,
    Counting,
    Killed,
    Rows,
    TinyNetwork,
    WriteImages,
    WriteManifest,
    list_images,
    model_of,
    name,
    on_cpu,
    paint,
)
from tests.helpers import run_forked
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

SIZES = [(24, 16), (16, 24), (24, 16), (9, 9), (24, 16), (16, 24), (40, 8)]


@pytest.fixture
def images(tmp_path: Path, write_images: WriteImages, write_manifest: WriteManifest) -> ImageList:
    write_images(SIZES)
    rows: Rows = [{"path": f"{number}.png", "utm_east": 0.0, "utm_north": 0.0} for number in range(len(SIZES))]
    artifact = write_manifest("database", rows).manifest_folder
    (artifact / "recipe.json").write_text(json.dumps({"name": "city", "digest": digest_of("city")}))
    return ImageList(artifact, tmp_path)


def embed(tmp_path: Path, images: ImageList, network: TinyNetwork, **options: Any) -> tuple[Path, int]:
    """Return the folder of the descriptors, and the number of images that were embedded for it."""
    counting = Counting(network)
    model = model_of(counting, tmp_path / "model.pth")
    return build_descriptors(model, images, tmp_path / "artifacts", on_cpu(), **options), counting.embedded


def interrupt(tmp_path: Path, images: ImageList, network: TinyNetwork, dies_after: int) -> None:
    killed = model_of(Counting(network, dies_after), tmp_path / "model.pth")
    with pytest.raises(Killed):
        build_descriptors(killed, images, tmp_path / "artifacts", on_cpu(), chunk_images=4)


def test_an_interrupted_run_resumes_at_its_chunk(tmp_path: Path, images: ImageList, network: TinyNetwork) -> None:
    artifacts = tmp_path / "artifacts"
    interrupt(tmp_path, images, network, dies_after=5)
    (user,) = read_users(artifacts)
    assert digest_of("city") in (user.inputs or ()), "the inputs of the run are kept"
    assert not list(artifacts.glob("descriptors/*"))

    folder, embedded = embed(tmp_path, images, network, chunk_images=4)
    assert embedded == len(SIZES) - 4
    whole = extract_descriptors(network, images.dataset(images.read(), None), on_cpu())
    np.testing.assert_allclose(open_descriptors(folder), whole, atol=1e-6)
    assert read_users(artifacts) == []
    assert embed(tmp_path, images, network) == (folder, 0)


def test_a_full_disk_is_an_error_before_anything_is_embedded(
    tmp_path: Path, images: ImageList, network: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.descriptors.chunks.chunked_array.disk_usage", lambda folder: (1000, 8))
    with pytest.raises(UserError, match="is full"):
        build_descriptors(
            model_of(Counting(network, dies_after=0), tmp_path / "model.pth"), images, tmp_path / "A", on_cpu()
        )


def test_two_processes_never_extract_the_same_descriptors(
    tmp_path: Path, images: ImageList, network: TinyNetwork
) -> None:
    interrupt(tmp_path, images, network, dies_after=0)
    (run,) = (tmp_path / "artifacts" / "runs").glob("*/*")
    with only_writer(run), pytest.raises(UserError, match="is in use by process"):
        embed(tmp_path, images, network)


def test_another_precision_or_size_gives_other_descriptors(
    tmp_path: Path, images: ImageList, network: TinyNetwork
) -> None:
    model = model_of(network, tmp_path / "model.pth")
    extractions = (on_cpu(), on_cpu(precision="bf16"), on_cpu(resized_to=8))
    folders = {build_descriptors(model, images, tmp_path / "A", extraction) for extraction in extractions}
    assert len(folders) == 3


def build_until_killed(model: TrainedModel, images: ImageList, artifacts: Path) -> None:
    """Be killed when the third chunk is written, but not yet counted."""
    touch = Path.touch

    def killing(path: Path) -> None:
        if path.name == "4-6":
            os.kill(os.getpid(), signal.SIGKILL)
        touch(path)

    Path.touch = killing  # type: ignore[assignment,method-assign]
    torch.set_num_threads(1)
    build_descriptors(model, images, artifacts, on_cpu(2, resized_to=48), chunk_images=2)


def test_a_run_resumed_after_sigkill_gives_the_same_bytes(tmp_path: Path, images: ImageList) -> None:
    torch.manual_seed(0)
    save_network(GeoLocalizationNet(BACKBONE, DIM), tmp_path / "model.pth")
    model = TrainedModel(tmp_path / "model.pth", BACKBONE, DIM)
    killed = run_forked(build_until_killed, model, images, tmp_path / "A")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sorted(path.name for path in (tmp_path / "A" / "runs").glob("*/*/chunks.done/*")) == ["0-2", "2-4"]

    percentages: list[int] = []
    resized = on_cpu(2, resized_to=48)
    whole = build_descriptors(model, images, tmp_path / "B", resized, chunk_images=2)
    resumed = build_descriptors(
        model, images, tmp_path / "A", resized, on_percentage=percentages.append, chunk_images=2
    )
    assert percentages[0] > 100 * 4 // len(SIZES), "the first four images are not embedded again"
    assert (resumed / "descriptors.npy").read_bytes() == (whole / "descriptors.npy").read_bytes()


@pytest.fixture
def painted(tmp_path: Path, artifacts: Path) -> ImageList:
    """Return a published list of six images of six colours."""
    for number in range(6):
        paint(tmp_path / "city" / "database", number, (40 * number, 200 - 30 * number, 90))
    return list_images(tmp_path / "city" / "database", artifacts)


def test_a_changed_image_is_embedded_again_and_the_old_descriptors_are_found_again(
    tmp_path: Path, painted: ImageList, network: TinyNetwork
) -> None:
    first, embedded = embed(tmp_path, painted, network)
    assert embedded == 6
    assert embed(tmp_path, painted, network) == (first, 0)
    shutil.copytree(painted.images_folder, tmp_path / "kept")  # with its times
    before = (Path(painted.images_folder) / name(2)).stat().st_size
    replaced = paint(Path(painted.images_folder), 2, (255, 255, 255), LONG_AGO + 1)
    assert replaced.stat().st_size == before
    second, embedded = embed(tmp_path, painted, network)
    assert (second != first, embedded) == (True, 6)
    rows = np.flatnonzero(np.abs(open_descriptors(first) - open_descriptors(second)).max(axis=1) > 1e-6)
    assert painted.read()["path"][rows].to_list() == [name(2)]
    shutil.copy2(tmp_path / "kept" / name(2), replaced)
    assert embed(tmp_path, painted, network) == (first, 0)
    states = read_table(first, "files")
    assert states["path"].to_list() == painted.read()["path"].to_list()
    assert states["modified_ns"].unique().to_list() == [LONG_AGO * 10**9]


def test_a_moved_folder_is_not_embedded_again(
    tmp_path: Path, artifacts: Path, painted: ImageList, network: TinyNetwork
) -> None:
    first, _ = embed(tmp_path, painted, network)
    moved = list_images(Path(painted.images_folder).rename(tmp_path / "elsewhere"), artifacts)
    folder, embedded = embed(tmp_path, moved, network)
    assert (folder.name, embedded) == (first.name, 0)
    assert read_recipe(folder)["summary"]["images_folder"] == str(tmp_path / "elsewhere")


def test_an_interrupted_run_whose_images_changed_starts_over(
    tmp_path: Path, artifacts: Path, painted: ImageList, network: TinyNetwork
) -> None:
    killed = model_of(Counting(network, dies_after=4), tmp_path / "model.pth")
    with pytest.raises(Killed):
        build_descriptors(killed, painted, artifacts, on_cpu(), chunk_images=2)
    paint(Path(painted.images_folder), 0, (255, 255, 255), LONG_AGO + 1)
    folder, embedded = embed(tmp_path, painted, network, chunk_images=2)
    assert embedded == 6
    again = build_descriptors(
        model_of(network, tmp_path / "model.pth"), painted, tmp_path / "again", on_cpu(), chunk_images=2
    )
    assert (folder / "descriptors.npy").read_bytes() == (again / "descriptors.npy").read_bytes()


class Changing(Counting):
    """Changes an image while images are embedded."""

    def __init__(self, network: TinyNetwork, image: Path, after: int) -> None:
        super().__init__(network)
        self.image, self.after = image, after

    def forward(self, images: Any) -> Any:
        if self.embedded == self.after:
            paint(self.image.parent, int(self.image.name.split("@p")[1].split("@")[0]), (255, 255, 255), LONG_AGO + 1)
        return super().forward(images)


@pytest.mark.parametrize("after", [0, 2])
def test_an_image_that_changes_while_it_is_embedded_is_an_error(
    tmp_path: Path, artifacts: Path, painted: ImageList, network: TinyNetwork, after: int
) -> None:
    changed = Path(painted.images_folder) / name(after)
    changing = model_of(Changing(network, changed, after), tmp_path / "model.pth")
    with pytest.raises(UserError, match=rf"{name(after)}: changed while it was being embedded\. Run the same command"):
        build_descriptors(changing, painted, artifacts, on_cpu(), chunk_images=2)
    assert not list(artifacts.glob("descriptors/*/*"))
    assert not list(artifacts.glob("runs/*/*")), "descriptors of the old file are removed"
    _, embedded = embed(tmp_path, painted, network, chunk_images=2)
    assert embedded == 6


def test_an_image_that_changed_after_the_command_started_is_an_error(
    tmp_path: Path, painted: ImageList, network: TinyNetwork
) -> None:
    started = painted.with_states()
    paint(Path(painted.images_folder), 1, (255, 255, 255), LONG_AGO + 1)
    with pytest.raises(UserError, match="images changed after this command started"):
        embed(tmp_path, started, network)


def test_a_deleted_image_is_named(tmp_path: Path, painted: ImageList, network: TinyNetwork) -> None:
    embed(tmp_path, painted, network)
    (Path(painted.images_folder) / name(3)).unlink()
    with pytest.raises(UserError, match=f"{name(3)} cannot be opened as an image"):
        embed(tmp_path, painted, network)
