from pathlib import Path

import polars as pl
import pytest

from pipeline.groups.settings import GroupSettings
from pipeline.groups.spread import Putting, put_aside, read_slice

ROWS = [
    *(("é/@1@.jpg", 2013), ("a", None), ("b/" + "x" * 300, 1999), ("", 2020), ("c\n\0.jpg", None), ("日本", 1)),
    ("\U0001f600", 9999),
]


def put(images: list[tuple[str, int | None]], folder: Path) -> Path:
    """Put images of one class aside, in the order they have."""
    schema = {"path": pl.String, "year": pl.Int16}
    position = {"utm_east": 5.0, "utm_north": 5.0, "utm_zone": 10, "utm_band": "S", "latitude": None, "heading": 1.0}
    frame = pl.DataFrame(images, schema=schema, orient="row").with_columns(
        pl.lit(value).alias(name) for name, value in position.items()
    )
    frame.write_parquet(folder / "manifest.parquet")
    put_aside(Putting(folder / "manifest.parquet", GroupSettings(), folder / "0.images", None))
    return folder / "0.images"


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_any_slice_of_what_was_put_aside_is_what_was_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("pipeline.groups.spread.WRITTEN_AT_ONCE", at_once)
    aside = put(ROWS, tmp_path)
    for start in range(len(ROWS)):
        for end in range(start + 1, len(ROWS) + 1):
            found = read_slice(aside, start, end - start)
            assert found.rows() == ROWS[start:end]
            assert found.schema == {"path": pl.String, "year": pl.Int16}


def test_what_is_not_whole_is_no_rows(tmp_path: Path) -> None:
    aside = put(ROWS, tmp_path)
    aside.write_bytes(aside.read_bytes()[:-1])
    assert read_slice(aside, 0, len(ROWS) - 1).rows() == ROWS[:-1]
    with pytest.raises(OSError, match="is not whole"):
        read_slice(aside, 0, len(ROWS))


def test_a_partition_without_images(tmp_path: Path) -> None:
    assert put([], tmp_path).stat().st_size == 16
