import dataclasses
import json

from evaluation.localization.calibration import Certainty
from evaluation.localization.located import Located, Match
from evaluation.localization.show_located import CHANGED, show, spread

UNKNOWN = Match(1, 0.5, None, None, 5e5, 4e6, None, None, "a.jpg", changed=True)


def test_unknown_facts_are_left_out_and_a_changed_image_is_marked() -> None:
    photo = Located("photo.jpg", (UNKNOWN, UNKNOWN))
    assert show([photo], "table").splitlines()[2].split("  ")[-1].strip() == f"a.jpg ({CHANGED})"
    assert json.loads(show([photo], "geojson"))["features"][0]["geometry"] is None


def test_the_spread_in_words() -> None:
    assert spread(Located("a", (UNKNOWN,), 0.0)) == ""
    assert len(show([Located("a", (UNKNOWN,), 0.0)], "table").splitlines()) == 3
    assert "different UTM zones" in spread(Located("a", (UNKNOWN, UNKNOWN)))
    assert spread(Located("a", (UNKNOWN, UNKNOWN), 1234.4)) == "the best 2 are within 1,234 m of each other"


def test_names_are_cut_to_the_width_of_the_terminal() -> None:
    long = dataclasses.replace(UNKNOWN, path=f"@0545981.19@{'x' * 90}@201409@@.jpg", changed=False)
    photo = Located("photo.jpg", (long, UNKNOWN), 0.0)
    lines = show([photo], "table", 100).splitlines()
    assert max(map(len, lines[1:-1])) == 100
    assert lines[2].split()[-1].startswith("@0545981.19@")
    assert lines[2].endswith("@@.jpg")
    assert long.path in show([photo], "table")
    narrow = show([photo], "table", 20).splitlines()
    assert len(narrow[2].split()[-1]) == 12, "a name stays recognizable"


def test_the_map_link_is_that_of_the_best_match() -> None:
    south = dataclasses.replace(UNKNOWN, latitude=-33.856784, longitude=151.2153)
    lines = show([Located("photo.jpg", (south, UNKNOWN), 0.0)], "table").splitlines()
    assert lines[-2:] == [
        "  geo:-33.856784,151.215300",
        "  https://www.openstreetmap.org/?mlat=-33.856784&mlon=151.215300#map=18/-33.856784/151.215300",
    ]


def test_a_refused_photo_has_its_certainty_but_no_position() -> None:
    certainty = Certainty(62.0, 48.0, 74.0, 50, "25 metres")
    refused = Located("photo.jpg", certainty=certainty, refused="not certain enough (62 %)")
    text = "correct (within 25 metres) for 62 % of the 50 test queries as certain as this (95 % interval 48 to 74 %)"
    assert show([refused], "table") == f"photo.jpg\n  not certain enough (62 %): {text}"
    (feature,) = json.loads(show([refused], "geojson"))["features"]
    assert feature["geometry"] is None
    assert feature["properties"]["refused"] == "not certain enough (62 %)"
    expected = {"percent": 62.0, "low": 48.0, "high": 74.0, "queries": 50, "within": "25 metres"}
    assert feature["properties"]["certainty"] == expected
    (photo,) = json.loads(show([refused], "json"))
    assert (photo["matches"], photo["certainty"]["percent"]) == ([], 62.0)
    shown = show([Located("photo.jpg", (UNKNOWN,), 0.0, certainty)], "table")
    assert shown.splitlines()[-1] == f"  {text}"
