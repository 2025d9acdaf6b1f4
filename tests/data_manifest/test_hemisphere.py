import polars as pl
import pytest

from data_manifest.hemisphere import hemisphere

SOUTHERN, NORTHERN = "CDEFGHJKLM", "NPQRSTUVWX"


def of(band: str | None, latitude: float | None) -> str | None:
    schema = {"utm_band": pl.String, "latitude": pl.Float64}
    answer: str | None = pl.DataFrame({"utm_band": [band], "latitude": [latitude]}, schema).select(hemisphere()).item()
    return answer


@pytest.mark.parametrize("band", SOUTHERN + NORTHERN)
def test_the_band_decides_even_against_the_latitude(band: str) -> None:
    expected = "S" if band in SOUTHERN else "N"
    assert [of(band, latitude) for latitude in (None, -37.8, 0.0, 37.8)] == [expected] * 4


@pytest.mark.parametrize(
    ("latitude", "expected"), [(37.8, "N"), (0.0, "N"), (-0.0, "N"), (-1e-9, "S"), (-37.8, "S"), (None, None)]
)
def test_without_a_band_the_latitude_decides(latitude: float | None, expected: str | None) -> None:
    assert of(None, latitude) == expected
