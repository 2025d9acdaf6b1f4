"""Write and read tables: a table is a folder of Parquet files, `<artifact>/<table>/*.parquet`.

The same rows give the same bytes: they are brought to one chunk and cut into row groups of one size.
"""

import glob
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_manifest.errors import UserError
from data_manifest.store.files import writing_whole

ROWS_PER_ROW_GROUP = 65_536
COLUMNS_NOTE = "columns"
STATUS_TABLES = ("checks", "cropped")  # tables with a status for each file


def write_table(frame: pl.DataFrame, path: Path, schema: pa.Schema, notes: Mapping[str, str] | None = None) -> None:
    """Write rows, in their order, as a Parquet file that appears whole or not at all.

    The folder of the table is made if needed. Several processes may write the same file at once; the last one stays.
    `read_notes` returns the notes without reading a row.

    Raises:
        FileNotFoundError: The artifact's folder does not exist.
        ValueError: The columns are not those of the schema, or a required column has nulls.
    """
    write_frames([frame], path, schema, notes)


def write_frames(
    frames: Iterable[pl.DataFrame], path: Path, schema: pa.Schema, notes: Mapping[str, str] | None = None
) -> None:
    """Write the rows of several frames, held in memory one at a time, as `write_table` writes those of one."""
    described = schema.with_metadata({**_descriptions(schema), **(notes or {})})
    path.parent.mkdir(exist_ok=True)
    with writing_whole(path) as unfinished, pq.ParquetWriter(unfinished, described, compression="zstd") as file:
        for frame in frames:
            if set(frame.columns) != set(schema.names):
                raise ValueError(f"{path.name}: columns {sorted(frame.columns)}, the schema has {sorted(schema.names)}")
            in_order = frame.select(schema.names)
            for rows in in_order.iter_slices(ROWS_PER_ROW_GROUP) if len(frame) else [in_order]:
                table = rows.rechunk().to_arrow().cast(_with_polars_strings(schema)).cast(described)
                file.write_table(table.combine_chunks(), row_group_size=ROWS_PER_ROW_GROUP)


def make_frame(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pl.DataFrame:
    """Return rows as a frame with the columns and types of a schema."""
    return pl.DataFrame(rows, schema=pl.DataFrame(schema.empty_table()).schema)


def _descriptions(schema: pa.Schema) -> dict[str, str]:
    """Return the descriptions of the columns for the file's metadata, where readers without Arrow find them."""
    described = {field.name: field.metadata[b"description"].decode() for field in schema if field.metadata}
    return {COLUMNS_NOTE: json.dumps(described)} if described else {}


def _with_polars_strings(schema: pa.Schema) -> pa.Schema:
    """Return the schema with strings in place of dictionaries, whose codes polars chooses."""
    return pa.schema(
        [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def read_notes(path: Path) -> dict[str, str]:
    """Return the notes of a Parquet file that `write_table` wrote."""
    metadata = pq.read_metadata(path).metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items() if key != b"ARROW:schema"}


def table_glob(artifact: Path, name: str) -> str:
    """Return a glob of a table's files for any Parquet reader."""
    return f"{glob.escape(str(artifact))}/{name}/*.parquet"


def table_files(artifact: Path, name: str) -> list[Path]:
    """Return the files of a table of an artifact, sorted by name.

    Raises:
        UserError: The table does not exist.
    """
    files = sorted((artifact / name).glob("*.parquet"))
    if not files:
        raise UserError(f"{artifact / name} holds no Parquet file: is {artifact} the folder of a published artifact?")
    return files


def scan_table(artifact: Path, name: str) -> pl.LazyFrame:
    """Return a table of an artifact for lazy reading, its files sorted by name.

    Raises:
        UserError: The table does not exist.
    """
    return pl.scan_parquet(table_files(artifact, name), glob=False)  # folder names may contain [


def read_table(artifact: Path, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    """Return a table of an artifact, or some of its columns, its files sorted by name."""
    table = scan_table(artifact, name)
    return (table if columns is None else table.select(columns)).collect()


def group_file(group: int) -> str:
    """Return the name of the file of a group in tables with one file per group."""
    return f"group-{group:06d}.parquet"


def scan_members(groups_folder: Path, group: int) -> pl.LazyFrame:
    """Return the rows of a group in the table MEMBERS."""
    return scan_table(groups_folder, "members").filter(pl.col("group_index") == group)


def read_member_paths(groups_folder: Path, group: int) -> pl.Series:
    """Return the paths of a group's images, in the order of the table MEMBERS."""
    return scan_members(groups_folder, group).select("path").collect(engine="streaming")["path"]


def bad_images(checks: pl.LazyFrame) -> pl.LazyFrame:
    """Return path, reason and detail of the images whose status is not ok."""
    status = pl.col("status").cast(pl.String)
    return checks.filter(status != "ok").select("path", reason=status, detail=pl.col("detail").fill_null(""))


def scan_rejects(artifact: Path) -> pl.LazyFrame:
    """Return path, reason and detail of an artifact's rejects; for checks and crops, of the files that are not ok.

    Raises:
        UserError: The artifact has no such table.
    """
    for table in STATUS_TABLES:
        if (artifact / table).is_dir():
            return bad_images(scan_table(artifact, table))
    return scan_table(artifact, "rejects").with_columns(pl.col("reason").cast(pl.String))


def best_epoch(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the row of METRICS of the epoch whose model is published.

    That is the first epoch with the highest validation R@1, or the last epoch if no R@1 is above 0.
    """
    above = metrics.filter(pl.col("recall_1") > 0)
    return metrics.tail(1) if above.is_empty() else above.sort("recall_1", descending=True, maintain_order=True).head(1)
