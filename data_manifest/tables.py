"""Reading and writing tables: a table is a folder of Parquet files, `<artifact>/<table>/*.parquet`.

There is one writer, and it gives the same bytes for the same rows. Parquet bytes follow the chunks of what is written,
which vary from run to run; so the rows are brought to one chunk and cut into row groups of one size.
"""

import glob
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_manifest.errors import UserError
from data_manifest.store.fsync import fsync

ROWS_PER_ROW_GROUP = 65_536
COLUMNS_NOTE = "columns"
STATUS_TABLES = ("checks", "cropped")  # say of each file whether it is ok


def write_table(frame: pl.DataFrame, path: Path, schema: pa.Schema, notes: Mapping[str, str] | None = None) -> None:
    """Write rows, in the order they have, as a Parquet file that appears whole or not at all.

    The folder of the table is made, but not that of the artifact: where this is gone, nobody waits for the file.
    Several may write the same file at once: each writes one of its own, and the last stays. `notes` go into the file's
    metadata, where `read_notes` finds them without reading a row.

    Raises:
        FileNotFoundError: There is no folder for the folder of the table.
        ValueError: The frame's columns are not those of the schema, or a column that must be filled is not.
    """
    if set(frame.columns) != set(schema.names):
        raise ValueError(f"{path.name}: columns {sorted(frame.columns)}, the schema has {sorted(schema.names)}")
    described = schema.with_metadata({**_descriptions(schema), **(notes or {})})
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with pq.ParquetWriter(unfinished, described, compression="zstd") as file:
            for rows in _row_groups(frame.select(schema.names)):
                table = rows.rechunk().to_arrow().cast(_with_polars_strings(schema)).cast(described)
                file.write_table(table.combine_chunks(), row_group_size=ROWS_PER_ROW_GROUP)
        fsync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _row_groups(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Give the rows of each row group; of a frame without rows, none, in one group."""
    yield from frame.iter_slices(ROWS_PER_ROW_GROUP) if len(frame) else (frame,)


def make_frame(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pl.DataFrame:
    """Return rows as a frame with the columns and types of a schema; without any, an empty one."""
    return pl.DataFrame(rows, schema=pl.DataFrame(schema.empty_table()).schema)


def _descriptions(schema: pa.Schema) -> dict[str, str]:
    """Return what the columns mean, for a file's metadata, where readers without Arrow find it too."""
    described = {field.name: field.metadata[b"description"].decode() for field in schema if field.metadata}
    return {COLUMNS_NOTE: json.dumps(described)} if described else {}


def _with_polars_strings(schema: pa.Schema) -> pa.Schema:
    """Return the schema with plain strings for dictionaries: how polars codes them is its own affair."""
    return pa.schema(
        [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def read_notes(path: Path) -> dict[str, str]:
    """Return the notes of a Parquet file that `write_table` wrote."""
    metadata = pq.read_metadata(path).metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items() if key != b"ARROW:schema"}


def table_glob(artifact: Path, name: str) -> str:
    """Return the glob that any Parquet reader takes for a table of an artifact."""
    return f"{glob.escape(str(artifact))}/{name}/*.parquet"


def table_files(artifact: Path, name: str) -> list[Path]:
    """Return the files of a table of an artifact, in the order of their names.

    Raises:
        UserError: There is no such table.
    """
    files = sorted((artifact / name).glob("*.parquet"))
    if not files:
        raise UserError(f"{artifact / name} holds no Parquet file: is {artifact} the folder of a published artifact?")
    return files


def scan_table(artifact: Path, name: str) -> pl.LazyFrame:
    """Return a table of an artifact for lazy reading, its files in the order of their names.

    Raises:
        UserError: There is no such table.
    """
    return pl.scan_parquet(table_files(artifact, name), glob=False)  # no glob: a folder's name may hold a [


def read_table(artifact: Path, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    """Return a table of an artifact, or some of its columns, with its files in the order of their names."""
    table = scan_table(artifact, name)
    return (table if columns is None else table.select(columns)).collect()


def bad_images(checks: pl.LazyFrame) -> pl.LazyFrame:
    """Return the path, the reason and the detail of the images of a table of statuses that are not ok."""
    status = pl.col("status").cast(pl.String)
    return checks.filter(status != "ok").select("path", reason=status, detail=pl.col("detail").fill_null(""))


def scan_rejects(artifact: Path) -> pl.LazyFrame:
    """Return path, reason and detail of the files that an artifact rejects: of checks and crops, what is not ok.

    Raises:
        UserError: There is no such table.
    """
    for table in STATUS_TABLES:
        if (artifact / table).is_dir():
            return bad_images(scan_table(artifact, table))
    return scan_table(artifact, "rejects").with_columns(pl.col("reason").cast(pl.String))
