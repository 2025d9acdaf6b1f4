from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import UserError
from pipeline.sources.table_columns import find_columns, parse_columns

TABLE = Path("photos.csv")


def columns_of(header: str, given: str = "") -> dict[str, str]:
    schema = dict.fromkeys(header.split(","), pl.String())
    return find_columns(TABLE, schema, parse_columns(given) if given else {})


def test_columns_are_found_by_their_names_in_any_case() -> None:
    assert columns_of("File Name,LAT,gps-longitude,compass_angle,other") == {
        "path": "File Name",
        "latitude": "LAT",
        "longitude": "gps-longitude",
        "heading": "compass_angle",
    }


def test_a_hemisphere_is_of_the_latitude_without_utm() -> None:
    assert columns_of("path,lat,lon,hemisphere")["latitude_ref"] == "hemisphere"
    assert columns_of("path,easting,northing,zone,hemisphere")["utm_band"] == "hemisphere"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path,lat,LAT,lon", "columns lat and LAT could both be latitude. Choose one: --columns latitude=lat"),
        ("path,latitude,lat,lon", "columns latitude and lat could both be latitude"),
        ("path,lat,lat_duplicated_0,lon", "columns lat and lat could both be latitude. Rename one."),
        ("path,lat,lon,Longitude", "columns lon and Longitude could both be longitude"),
        ("path,file,lat,lon", "columns path and file could both be path"),
        ("a,lat,lon", "no column has the images' paths. Give --columns path=... It has a, lat, lon"),
        ("path,lat,x", "no columns have positions. Give --columns latitude=...,longitude=..."),
    ],
)
def test_ambiguous_and_missing_columns_are_errors(header: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        columns_of(header)
    assert message in str(error.value)


def test_a_given_column_wins() -> None:
    assert columns_of("path,lat,LAT,lon,x", "latitude=LAT")["latitude"] == "LAT"
    with pytest.raises(UserError, match=r"columns x and x could both be heading\. Rename one"):
        columns_of("path,lat,lon,x,x_duplicated_0", "heading=x")
    with pytest.raises(UserError, match=r"has no column h \(for heading\)\. It has path, lat, lon\."):
        columns_of("path,lat,lon", "heading=h")


def test_columns_of_lists_and_bytes_are_not_read(caplog: pytest.LogCaptureFixture) -> None:
    schema = {
        **{"path": pl.String(), "lat": pl.Float64(), "lon": pl.Float64(), "image": pl.Struct({"bytes": pl.Binary()})},
        **{"tags": pl.List(pl.String()), "track": pl.List(pl.Float64()), "time": pl.Binary(), "date": pl.Duration()},
    }
    assert find_columns(TABLE, schema, {}) == {"path": "path", "latitude": "lat", "longitude": "lon"}
    assert "column track holds List and is not read" in caplog.text
    assert "tags" not in caplog.text
    with pytest.raises(UserError, match=r"column tags holds List\. note takes text or numbers"):
        find_columns(TABLE, schema, {"note": "tags"})
    with pytest.raises(UserError, match=r"no column has the images' paths.*path \(List\)"):
        find_columns(TABLE, {**schema, "path": pl.List(pl.String())}, {})
