from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.settings import Threshold
from evaluation.test_sets.named_sets import NAMED_SETS
from tests.evaluation.conftest import City, list_images, name, on_cpu, paint
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network


def test_evaluations_share_descriptors(city: City, model: TrainedModel, artifacts: Path) -> None:
    database, day, night = city("database"), city("queries_day", 3.0), city("queries_night", 3.0, ("red", "blue"))
    first = evaluate_cosplace(model, database, day, artifacts, on_cpu(16))
    assert read_table(first, "recalls").select("test_set", "queries", "database_images").row(0) == (
        *("city-queries_day", 4, 4),
    )
    named = evaluate_cosplace(model, database, night, artifacts, on_cpu(16), named=NAMED_SETS["svox-night"])
    arrays = {path.resolve(): path.stat().st_mtime_ns for path in artifacts.glob("descriptors/*/*/descriptors.npy")}
    assert len(arrays) == 3
    assert list(artifacts.glob("runs/*/*")) == []
    recalls = read_table(named, "recalls")
    assert recalls.select("test_set", "queries", "database_images").row(0) == ("svox-night", 2, 4)
    assert recalls.filter(k=5)["recall"].to_list() == [100.0]
    warning = "2 queries, published with 823; 4 database images, published with about 17,000"
    assert recalls["count_warning"].to_list() == [warning] * 4
    assert read_recipe(named)["summary"]["made"].endswith(f"; WARNING: {warning}")

    other = evaluate_cosplace(
        *(model, database, day, artifacts, on_cpu(16)), threshold=Threshold(1.0), recall_values=(2, 4), index="hnsw"
    )
    same = {path.resolve(): path.stat().st_mtime_ns for path in artifacts.glob("descriptors/*/*/descriptors.npy")}
    assert same == arrays, "nothing is embedded again"
    recalls = read_table(other, "recalls")
    assert recalls.select("k", "recall", "index", "queries_without_positive").rows() == [
        *((k, 0.0, "hnsw", 4) for k in (2, 4))
    ]
    assert recalls["index_loss"].to_list() == [0.0, 0.0]
    assert evaluate_cosplace(model, database, day, artifacts, on_cpu(16)) == first


def test_published_recalls_are_added_for_the_same_network_and_image_size(
    city: City, artifacts: Path, tmp_path: Path
) -> None:
    save_network(GeoLocalizationNet("ResNet18", 512), tmp_path / "official.pth")
    official, database, queries = TrainedModel(tmp_path / "official.pth", "ResNet18", 512), city("database"), city("q")
    for resized_to, published in ((None, [98.8, 99.7, 99.9, 100.0]), (32, [None] * 4)):
        folder = evaluate_cosplace(
            *(official, database, queries, artifacts, on_cpu(16, resized_to=resized_to)), named=NAMED_SETS["st-lucia"]
        )
        assert read_table(folder, "recalls")["published_recall"].to_list() == published


@pytest.mark.parametrize("role", ["database", "queries"])
def test_changed_images_give_other_recalls_for_all_recall_values(
    tmp_path: Path, model: TrainedModel, artifacts: Path, role: str
) -> None:
    def image_list(role: str) -> ImageList:
        for number in range(6):
            paint(tmp_path / "city" / role, number, (40 * number, 200 - 30 * number, 90))
        return list_images(tmp_path / "city" / role, artifacts)

    lists = {"database": image_list("database"), "queries": image_list("queries")}

    def recall_1(*recall_values: int) -> float:
        database, queries = lists["database"], lists["queries"]
        folder = evaluate_cosplace(model, database, queries, artifacts, on_cpu(), recall_values=recall_values)
        return float(read_table(folder, "recalls").filter(pl.col("k") == 1)["recall"][0])

    assert recall_1(1, 5) == 100.0
    arrays = set(artifacts.glob("descriptors/*/*/descriptors.npy"))
    assert recall_1(1, 2) == 100.0
    assert set(artifacts.glob("descriptors/*/*/descriptors.npy")) == arrays, "other values embed nothing"
    files = [Path(lists[role].images_folder) / name(number) for number in range(6)]
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    assert recall_1(1, 5) == 0.0
    assert recall_1(1, 3) == 0.0
