"""Artifacts that are quick to publish."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from data_manifest import schemas
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.tables import write_table

Tables = dict[str, list[list[dict[str, Any]]]]
SCHEMA = pa.schema([pa.field("path", pa.string(), nullable=False)])


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """Publish an artifact with tables of one row in tmp_path/A, and return its folder."""

    def publish(recipe: Recipe, tables: tuple[str, ...] = ("things",), text: str = "a.jpg") -> Path:
        with publishing(tmp_path / "A", recipe, {"made": "1 row"}) as staging:
            for table in tables:
                write_table(pl.DataFrame({"path": [text]}), staging / table / "part.parquet", SCHEMA)
        return recipe.folder(tmp_path / "A")

    return publish


@pytest.fixture
def publish_tables(tmp_path: Path) -> Callable[..., Path]:
    """Publish an artifact with tables given as {name: parts of rows}, of the schemas' columns, in tmp_path/A."""

    def publish_tables(recipe: Recipe, tables: Tables, summary: Mapping[str, Any] | None = None) -> Path:
        with publishing(tmp_path / "A", recipe, {"made": "by hand", **(summary or {})}) as staging:
            for name, parts in tables.items():
                schema = getattr(schemas, name.upper())
                for number, rows in enumerate(parts):
                    whole = [dict.fromkeys(schema.names) | row for row in rows]
                    types = pl.Schema(schema) | ({"reason": pl.String} if name == "rejects" else {})
                    frame = pl.DataFrame(whole, schema=types)
                    write_table(frame, staging / name / f"part-{number}.parquet", schema)
        return recipe.folder(tmp_path / "A")

    return publish_tables
