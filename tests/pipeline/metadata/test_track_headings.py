import polars as pl
import pytest

from pipeline.metadata.rejects import REJECT
from pipeline.metadata.track_headings import fill_headings

ORIGIN = (500_000.0, 5_000_000.0)  # on the central meridian, where grid north is true north


def filled(places: list[tuple[float, float]], seconds: list[int] | None = None, **columns: object) -> pl.DataFrame:
    """Return rows at these metres from the origin, one second apart, with their headings filled."""
    times = seconds or list(range(len(places)))
    rows = pl.DataFrame(
        {
            "path": [f"{number}.jpg" for number in range(len(places))],
            "utm_east": [ORIGIN[0] + east for east, _ in places],
            "utm_north": [ORIGIN[1] + north for _, north in places],
            "timestamp": [f"20140616_10{second // 60:02d}{second % 60:02d}" for second in times],
        }
    ).with_columns(
        *(pl.lit(None, pl.Float64).alias(name) for name in ("latitude", "longitude", "heading")),
        *(pl.lit(None, pl.String).alias(name) for name in ("heading_source", "heading_reference")),
        utm_zone=pl.lit(31),
        utm_band=pl.lit("T"),
        sequence=pl.lit("s"),
        reject=pl.lit(None, REJECT),
    )
    return fill_headings(rows.with_columns(**columns), 0.0)  # type: ignore[arg-type]


def headings(places: list[tuple[float, float]], seconds: list[int] | None = None) -> list[float | None]:
    return filled(places, seconds)["heading"].to_list()


def test_headings_are_the_direction_between_neighbours() -> None:
    assert headings([(0, 0), (0, 10), (10, 10)]) == pytest.approx([0, 45, 90])
    assert headings([(0, 0), (0, -10)]) == pytest.approx([180, 180])


def test_places_nearer_than_5_m_are_skipped() -> None:
    assert headings([(0, 0), (0, 2), (10, 0)]) == pytest.approx([90, 101.31, 101.31], abs=0.01)
    assert headings([(0, 0), (3, 1)]) == [None, None]


def test_a_track_is_cut_at_jumps_and_stops() -> None:
    assert headings([(0, 0), (0, 10), (500, 10), (510, 10)]) == pytest.approx([0, 0, 90, 90])
    assert headings([(0, 0), (0, 10), (10, 10), (20, 10)], [0, 1, 300, 301]) == pytest.approx([0, 0, 90, 90])
    assert headings([(0, 0), (500, 0)]) == [None, None]


def test_given_headings_and_rejects_are_kept() -> None:
    rows = filled([(0, 0), (0, 10), (0, 20)], heading=pl.Series([None, 77.0, None]))
    assert rows["heading"].to_list() == pytest.approx([0, 77, 0])
    assert rows["heading_source"].to_list() == ["track", None, "track"]
    reject = pl.struct(reason=pl.lit("x"), detail=pl.lit("y"))
    assert filled([(0, 0), (0, 10)], reject=reject)["heading"].to_list() == [None, None]


def test_grid_north_is_corrected_by_the_convergence() -> None:
    rows = filled([(0, 0), (0, 10)], latitude=pl.lit(45.0), longitude=pl.lit(4.0))  # 1 degree east of the meridian
    assert rows["heading"].to_list() == pytest.approx([0.707, 0.707], abs=0.001)
