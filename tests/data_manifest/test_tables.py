import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.store import files
from data_manifest.tables import read_notes, read_table, scan_table, table_glob, write_frames, write_table

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False, metadata={"description": "where"}),
        pa.field("year", pa.int16(), nullable=True),
        pa.field("reason", pa.dictionary(pa.int8(), pa.string()), nullable=True),
    ]
)


def rows(count: int = 10) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "path": [f"{number:07}.jpg" for number in range(count)],
            "year": [None if number % 3 else 2000 + number % 20 for number in range(count)],
            "reason": [None if number % 2 else "odd" for number in range(count)],
        }
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    write_table(rows(), tmp_path / "A" / "things" / "one.parquet", SCHEMA)
    table = pq.read_table(tmp_path / "A" / "things" / "one.parquet")
    assert table.schema.remove_metadata().equals(SCHEMA, check_metadata=True)
    assert table.to_pylist() == rows().to_dicts()
    assert [path.name for path in (tmp_path / "A" / "things").iterdir()] == ["one.parquet"]


def test_what_columns_mean_stands_in_the_files_metadata(tmp_path: Path) -> None:
    paths = pl.DataFrame({"path": ["a.jpg"], "reason": ["not an image name"], "detail": ["x"]})
    write_table(paths, tmp_path / "rejects" / "one.parquet", schemas.REJECTS, notes={"more": "notes"})
    notes = read_notes(tmp_path / "rejects" / "one.parquet")
    assert json.loads(notes.pop("columns"))["detail"] == "what was found"
    assert notes == {"more": "notes"}


def test_bytes_do_not_follow_the_chunks_nor_the_columns_order(tmp_path: Path) -> None:
    whole = rows(200_000)
    chunks = pl.concat([whole[:7], whole[7:70_001], whole[70_001:]], rechunk=False)
    assert chunks.n_chunks() == 3
    frames = {"whole": whole, "chunks": chunks, "other order": whole.select(reversed(whole.columns))}
    for name, frame in frames.items():
        write_table(frame, tmp_path / name, SCHEMA)
    assert len({(tmp_path / name).read_bytes() for name in frames}) == 1


def test_frames_become_the_rows_of_one_file(tmp_path: Path) -> None:
    write_frames((rows(count) for count in (3, 0, 70_000)), tmp_path / "one.parquet", SCHEMA)
    assert pl.read_parquet(tmp_path / "one.parquet").to_dicts() == [*rows(3).to_dicts(), *rows(70_000).to_dicts()]


def test_a_failure_between_frames_leaves_no_file(tmp_path: Path) -> None:
    frames = (rows() if number < 2 else rows().drop("year") for number in range(3))
    with pytest.raises(ValueError, match="the schema has"):
        write_frames(frames, tmp_path / "one.parquet", SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_table(rows(0), tmp_path / "things" / "none.parquet", SCHEMA)
    assert read_table(tmp_path, "things").columns == SCHEMA.names


def test_reasons_coded_by_polars_are_the_same_bytes(tmp_path: Path) -> None:
    write_table(rows(), tmp_path / "text", SCHEMA)
    write_table(rows().with_columns(pl.col("reason").cast(pl.Categorical)), tmp_path / "coded", SCHEMA)
    write_table(rows().with_columns(pl.col("reason").cast(pl.Enum(["unused", "odd"]))), tmp_path / "enum", SCHEMA)
    assert (tmp_path / "text").read_bytes() == (tmp_path / "coded").read_bytes() == (tmp_path / "enum").read_bytes()


@pytest.mark.parametrize(
    "frame",
    [
        rows().drop("year"),
        rows().with_columns(extra=pl.lit(1)),
        rows().rename({"year": "Year"}),
        rows().with_columns(path=pl.lit(None, dtype=pl.String)),
        rows().with_columns(year=pl.lit(40_000)),
        rows().with_columns(year=pl.lit("old")),
    ],
    ids=["missing", "extra", "renamed", "a null where none may be", "too large a number", "no number"],
)
def test_what_the_schema_does_not_allow_is_refused_and_nothing_is_left(tmp_path: Path, frame: pl.DataFrame) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are partly pyarrow's
        write_table(frame, tmp_path / "one.parquet", SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(rows(), tmp_path / "one.parquet", SCHEMA)
    before = (tmp_path / "one.parquet").read_bytes()

    def full_disk(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_table(rows(3), tmp_path / "one.parquet", SCHEMA)
    assert [path.name for path in tmp_path.iterdir()] == ["one.parquet"]
    assert (tmp_path / "one.parquet").read_bytes() == before


def test_a_folder_that_was_removed_is_not_made_again_by_those_who_still_write(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_table(rows(), tmp_path / "removed" / "things" / "one.parquet", SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_two_that_write_one_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins and ends while the first is at work, as on two machines with the same process number."""
    path, write, others = tmp_path / "things" / "one.parquet", pq.write_table, [rows()]

    def meanwhile(table: pa.Table, *more: Any, **named: Any) -> None:
        write(table, *more, **named)
        if others:
            write_table(others.pop(), path, SCHEMA)

    monkeypatch.setattr(pq, "write_table", meanwhile)
    write_table(rows(), path, SCHEMA)
    assert [each.name for each in path.parent.iterdir()] == ["one.parquet"]
    assert pq.read_table(path).to_pylist() == rows().to_dicts()


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    frame = rows(9)
    for name, part in {"b": frame[3:6], "a": frame[:3], "c": frame[6:]}.items():
        write_table(part, tmp_path / "things" / f"{name}.parquet", SCHEMA)
    (tmp_path / "things" / ".d.parquet.123").write_text("what a killed writer left")
    assert read_table(tmp_path, "things")["path"].to_list() == frame["path"].to_list()
    assert read_table(tmp_path, "things", ["year"]).columns == ["year"]


def test_a_folder_may_be_called_as_a_glob(tmp_path: Path) -> None:
    artifact = tmp_path / "data [2024] *"
    for folder in (artifact, tmp_path / "data 2 x"):
        folder.mkdir()
    write_table(rows(2), artifact / "things" / "one.parquet", SCHEMA)
    write_table(rows(5), tmp_path / "data 2 x" / "things" / "one.parquet", SCHEMA)
    assert len(scan_table(artifact, "things").collect()) == 2


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"things holds no Parquet file: is .* the folder of a published artifact\?"):
        read_table(tmp_path, "things")


def test_the_glob_is_what_parquet_readers_take(tmp_path: Path) -> None:
    assert table_glob(Path("A/groups/x/0123"), "members") == "A/groups/x/0123/members/*.parquet"
    for number in range(2):
        write_table(rows(3), tmp_path / "things" / f"{number}.parquet", SCHEMA)
    assert len(pl.read_parquet(table_glob(tmp_path, "things"))) == 6
