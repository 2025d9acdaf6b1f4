from pathlib import Path

import pytest

from pipeline.sources.table_rows import read_rows


def read_row(tmp_path: Path, columns: str, values: str) -> dict[str, str]:
    table = tmp_path / "photos.csv"
    table.write_text(f"path,{columns}\na/1.jpg,{values}\n")
    return read_rows(table, {}, tmp_path / "photos").row(0, named=True)


@pytest.mark.parametrize(
    ("columns", "values", "place"),
    [
        ("lat,lon", '"48.85 S","W 2.33"', (-48.85, -2.33)),
        ("lat,lon", '"-48.85 S","-2.33w"', (-48.85, -2.33)),
        ("lat,lon", '"48°51\'N","2° 20\' 5.28"" E"', (48.85, 2.3348)),
        ("lat,lon", '"48,51.036S","2,20.088E"', (-48.8506, 2.3348)),
        ("lat,lon", '"48,8506","2,3348°"', (48.8506, 2.3348)),
        ("lat,lat_ref,lon,lon_ref", "48.85,S,2.33,west", (-48.85, -2.33)),
        ("lat,lon,hemisphere", "33.9,18.4,S", (-33.9, 18.4)),
        ("lat,lat_ref,lon", "-48.85,,2.33", (-48.85, 2.33)),
        ("lat,lat_ref,lon", '"48 deg 51\' 2.16"" S",South,2.33', (-48.8506, 2.33)),
    ],
)
def test_degrees_with_sides_become_signed(
    tmp_path: Path, columns: str, values: str, place: tuple[float, float]
) -> None:
    row = read_row(tmp_path, columns, values)
    assert (float(row["latitude"]), float(row["longitude"])) == pytest.approx(place)


@pytest.mark.parametrize(
    ("columns", "values", "text"),
    [
        ("lat,lon", "-48.85 N,2.33", "-48.85 N (a negative number contradicts N)"),
        ("lat,lon", "48.85 E,2.33", "48.85 E (E is neither N nor S)"),
        ("lat,lon", "x,2.33", "x"),
        ("lat,lat_ref,lon", "48.85,?,2.33", "48.85 ? (? is neither N nor S)"),
        ("lat,lat_ref,lon", "48.85 N,S,2.33", "48.85 N S (S contradicts N)"),
    ],
)
def test_a_latitude_that_cannot_be_parsed_keeps_its_text(tmp_path: Path, columns: str, values: str, text: str) -> None:
    assert read_row(tmp_path, columns, values)["latitude"] == text


@pytest.mark.parametrize("text", ["NaN", "N/A", "none", "unknown", "-", ""])
def test_placeholders_of_missing_numbers_are_empty(tmp_path: Path, text: str) -> None:
    assert read_row(tmp_path, "lat,lon,heading", f"1,2,{text}")["heading"] == ""


@pytest.mark.parametrize(("text", "number"), [("90°", "90"), ("90,5", "90.5"), (" +5 ", "+5"), ("1,2,3", "1,2,3")])
def test_numbers_get_a_decimal_point(tmp_path: Path, text: str, number: str) -> None:
    assert read_row(tmp_path, "lat,lon,heading", f'1,2,"{text}"')["heading"] == number


@pytest.mark.parametrize("path", ["./a/1.jpg", "a\\1.jpg", "{images}/a/1.jpg", "a//1.jpg", "a/./1.jpg"])
def test_paths_are_relative_to_the_images_folder(tmp_path: Path, path: str) -> None:
    table = tmp_path / "photos.csv"
    table.write_text(f"path,lat,lon\n{path.format(images=tmp_path / 'photos')},1,2\n")
    assert read_rows(table, {}, tmp_path / "photos")["path"].to_list() == ["a/1.jpg"]


def test_timestamps_that_cannot_be_parsed_are_logged_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_row(tmp_path, "lat,lon,date", "1,2,06/07/2021")["timestamp"] == "06/07/2021"
    assert "1 timestamps cannot be parsed and are left out, such as '06/07/2021'" in caplog.text
