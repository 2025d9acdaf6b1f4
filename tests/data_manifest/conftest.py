"""Artefacts that are quick to publish."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from data_manifest.artefacts import Recipe, publishing
from data_manifest.tables import write_table

SCHEMA = pa.schema([pa.field("path", pa.string(), nullable=False)])


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """Publish an artefact with tables of one row in tmp_path/A, and return its folder."""

    def publish(recipe: Recipe, tables: tuple[str, ...] = ("things",), text: str = "a.jpg") -> Path:
        with publishing(tmp_path / "A", recipe, {"made": "1 row"}) as staging:
            for table in tables:
                write_table(pl.DataFrame({"path": [text]}), staging / table / "part.parquet", SCHEMA)
        return recipe.folder(tmp_path / "A")

    return publish
