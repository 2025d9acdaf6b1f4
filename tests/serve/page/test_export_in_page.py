"""Results saved as GeoJSON and CSV, read by other programs."""

import csv
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serve.client import photo_of
from tests.serve.page.conftest import upload, with_position, write

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NAMES = ["=1+2.png", 'a, "b".jpg', "broken.png"]


@pytest.fixture
def uploaded(opened: "Chrome", tmp_path: Path) -> "Chrome":
    (tmp_path / "saved").mkdir()
    folder = {"behavior": "allow", "downloadPath": str(tmp_path / "saved")}
    opened.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    contents = [photo_of("red"), with_position("blue", 36.14, -122.98), b"<html>"]
    upload(opened, write(tmp_path, dict(zip(NAMES, contents, strict=True))))
    return opened


def saved(browser: "Chrome", button: str, path: Path) -> str:
    """Return the text of the file that a button saves."""
    browser.find_element("id", button).click()
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path.read_bytes().decode()


def test_csv_has_a_row_per_match_and_no_formulas(uploaded: "Chrome", tmp_path: Path) -> None:
    text = saved(uploaded, "csv", tmp_path / "saved" / "photos.csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["photo"] for row in rows] == ["'=1+2.png"] * 4 + [NAMES[1]] * 4 + ["broken.png"]
    best = rows[0]
    assert [float(best[name]) for name in ("latitude", "longitude", "rank", "heading")] == [36.14, -123, 1, 0]
    assert (best["database"], best["certainty_percent"], best["exif_latitude"]) == ("database", "100", "")
    assert float(rows[4]["exif_latitude"]) == pytest.approx(36.14)
    assert float(rows[4]["exif_distance_m"]) == pytest.approx(0, abs=0.1)
    assert rows[8]["error"].startswith("Not an image")
    assert rows[8]["latitude"] == ""


def test_geojson_has_a_feature_per_match(uploaded: "Chrome", tmp_path: Path) -> None:
    found = json.loads(saved(uploaded, "geojson", tmp_path / "saved" / "photos.geojson"))
    assert found["type"] == "FeatureCollection"
    assert [feature["properties"]["photo"] for feature in found["features"]] == [NAMES[0]] * 4 + [NAMES[1]] * 4 + [
        NAMES[2]
    ]
    first, *_, failed = found["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [-123.0, 36.14]}
    assert (first["properties"]["rank"], first["properties"]["zone"]) == (1, "10N")
    assert failed["geometry"] is None
    assert "picture" not in first["properties"], "an address of this server"


def test_refused_photos_have_no_place(uploaded: "Chrome", tmp_path: Path) -> None:
    change = "it.value = 101; it.dispatchEvent(new Event('change', {bubbles: true}))"
    uploaded.execute_script(f"const it = document.getElementById('minimum'); {change}")
    found = json.loads(saved(uploaded, "geojson", tmp_path / "saved" / "photos.geojson"))["features"]
    assert len(found) == 3
    assert [feature["geometry"] for feature in found] == [None] * 3
    assert found[0]["properties"]["refused"] == "Not in this database (100 %)"
