"""A small town whose report is known by hand: three places, four headings, and a model that is partly correct."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from data_manifest import schemas
from data_manifest.images.file_states import stat_manifest
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import write_table
from evaluation.metrics.precision_recall import auprc_table
from evaluation.recipe import ImageDigests, ModelDigests, evaluation_recipe
from evaluation.report.charts.style import chart_style
from evaluation.report.write_report import write_report
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest

EAST, NORTH = 545000.0, 4181000.0
PLACES = (0.0, 40.0, 70.0)  # metres east
HEADINGS = (10, 100, 190, 280)
HOSTILE = "<img src=x onerror=alert(1)>"  # a file name may contain anything but a slash
COMMAND = "luigi --module workflows WriteReport --dataset-folder town"
MODEL_DIGEST = "0123456789abcdef"


@dataclasses.dataclass(frozen=True)
class Town:
    """The images, their artifacts and their evaluation."""

    images: Path
    artifacts: Path
    evaluation: Path

    @property
    def database(self) -> Path:
        """The database images."""
        return self.images / "test" / "database"

    @property
    def queries(self) -> Path:
        """The query images."""
        return self.images / "test" / "queries_v1"


def write_image(folder: Path, east: float, heading: int | None, year: int, note: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(round(east) * 360 + (heading or 0))
    pixels = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    shown = "" if heading is None else heading
    name = f"@{EAST + east:.2f}@{NORTH:.2f}@10@S@@@pano{east:.0f}@@{shown}@@@@{year}06@{note}@.jpg"
    Image.fromarray(pixels).save(folder / name)


def default_of(field: pa.Field) -> Any:
    if field.nullable:
        return None
    return "" if pa.types.is_string(field.type) else 0


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pl.DataFrame:
    """Return rows as a table of a schema; missing columns are null, 0 or an empty string."""
    whole = [{field.name: row.get(field.name, default_of(field)) for field in schema} for row in rows]
    return pl.DataFrame(pa.Table.from_pylist(whole, schema=schema))


def write_images(images: Path) -> None:
    for east in PLACES:
        for heading in HEADINGS:
            for year in (2012, 2014):
                write_image(images / "train", east, heading, year)
            write_image(images / "test" / "database", east, heading, 2013)
    (images / "train" / "broken@name.jpg").touch()
    (images / "train" / f"{HOSTILE}.jpg").touch()
    for heading in HEADINGS:
        write_image(images / "test" / "queries_v1", 2.0, heading, 2018)
        write_image(images / "test" / "queries_v1", 43.0, heading, 2019)
    write_image(images / "test" / "queries_v1", 5000.0, None, 2019, note=HOSTILE.replace("/", ""))  # far from all


def publish_training(artifacts: Path, groups: Path) -> str:
    grouping = read_recipe(groups)
    recipe = Recipe(
        *("training", "town-train", 1, {"backbone": "ResNet18", "fc_output_dim": 32, "grouping": grouping["settings"]}),
        inputs={"groups": grouping["digest"], "validation": {"database": "f" * 16, "queries": "e" * 16}},
    )
    epochs = [
        {
            **{"epoch": epoch, "group_index": epoch % 2, "loss": 10.0 - epoch, "resumes": epoch // 2},
            **{f"recall_{k}": 10.0 * epoch + k for k in (1, 5, 10, 20)},
            **{"images_per_second": 50.0 + epoch, "data_wait_share": 0.25, "lr": 1e-5, "classifiers_lr": 0.01},
        }
        for epoch in range(4)
    ]
    with publishing(artifacts, recipe, {"made": "best of 4 epochs is 4"}) as staging:
        write_table(table(epochs, schemas.METRICS), staging / "metrics" / "metrics.parquet", schemas.METRICS)
    return recipe.digest


def publish_evaluation(
    images: Path, artifacts: Path, manifests: dict[str, Path], model: str, name: str = "town-test-queries_v1"
) -> Path:
    """Publish an evaluation: correct for the first place, late for the second one, no positive for the far query."""
    database, queries = (
        pl.read_parquet(manifests[name] / "manifest" / "*.parquet") for name in ("database", "queries")
    )
    rows = []
    for query in queries.iter_rows(named=True):
        order = database.sort(
            (pl.col("utm_east") - (EAST + 10.0)).abs(), (pl.col("heading") - (query["heading"] or 0)).abs()
        )
        for rank, match in enumerate(order.head(6).iter_rows(named=True), start=1):
            distance = abs(match["utm_east"] - query["utm_east"])
            found = {"query_path": query["path"], "rank": rank, "database_path": match["path"]}
            rows.append({**found, "score": 1 - rank / 20, "distance_m": distance, "correct": distance <= 25})
    first = pl.DataFrame(rows).filter(rank=1)
    certainty = first.select(
        "query_path", "correct", similarity="score", ratio=1 - pl.col("score"), spread="distance_m"
    )
    folders = {"database": images / "test" / "database", "queries": images / "test" / "queries_v1"}
    listed = {
        role: ImageDigests(read_recipe(manifests[role])["digest"], stat_manifest(manifests[role], folder).digest)
        for role, folder in folders.items()
    }
    settings = {"positive_dist_threshold": 25.0, "resized_to": None}
    evaluated = ModelDigests(model, "0" * 16, "ResNet18", 32)
    recipe = evaluation_recipe(name, evaluated, listed["database"], listed["queries"], settings)
    counts = {"queries": 9, "queries_without_positive": 1, "database_images": 12}
    recalls = [{"test_set": "town", "k": k, "recall": recall, **counts} for k, recall in ((1, 44.4), (5, 88.9))]
    summary = {"made": "R@1 44.4", **{f"{role}_folder": str(folder) for role, folder in folders.items()}}
    with publishing(artifacts, recipe, summary) as staging:
        for table_name, content, schema in (
            ("predictions", rows, schemas.PREDICTIONS),
            ("recalls", recalls, schemas.RECALLS),
            ("certainty", certainty.to_dicts(), schemas.CERTAINTY),
            ("auprc", auprc_table("town", certainty).to_dicts(), schemas.AUPRC),
        ):
            write_table(table(content, schema), staging / table_name / f"{table_name}.parquet", schema)
    return recipe.folder(artifacts)


@pytest.fixture(autouse=True)
def _chart_style() -> Iterator[None]:
    with chart_style():
        yield


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The town, evaluated with a model that was trained on it."""
    folder = tmp_path_factory.mktemp("town")
    images, artifacts = folder / "images", folder / "artifacts"
    write_images(images)
    groups = build_groups(
        build_manifest(images / "train", artifacts, "town-train"),
        artifacts,
        GroupSettings(M=10, alpha=30, N=2, L=2, min_images_per_class=1),
    )
    manifests = {
        name: build_manifest(images / "test" / part, artifacts, f"town-test-{part}", strict=False)
        for name, part in (("database", "database"), ("queries", "queries_v1"))
    }
    return Town(
        images, artifacts, publish_evaluation(images, artifacts, manifests, publish_training(artifacts, groups))
    )


@pytest.fixture(scope="session")
def report(town: Town) -> Path:
    """Folder of the report on the town."""
    return write_report(town.evaluation, town.artifacts, command=COMMAND)


@pytest.fixture(scope="session")
def page(report: Path) -> str:
    """HTML of the report on the town."""
    return (report / "report.html").read_text()
