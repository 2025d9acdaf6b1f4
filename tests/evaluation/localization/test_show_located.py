import json

from evaluation.localization.localize import Located, Match
from evaluation.localization.show_located import CHANGED, show, spread

UNKNOWN = Match(1, 0.5, None, None, 5e5, 4e6, None, None, "a.jpg", changed=True)


def test_unknown_facts_are_left_out_and_a_changed_image_is_marked() -> None:
    photo = Located("photo.jpg", (UNKNOWN, UNKNOWN))
    assert show([photo], "table").splitlines()[2].split("  ")[-1].strip() == f"a.jpg ({CHANGED})"
    assert json.loads(show([photo], "geojson"))["features"][0]["geometry"] is None


def test_the_spread_in_words() -> None:
    assert spread(Located("a", (UNKNOWN,), 0.0)).startswith("1 match")
    assert "different UTM zones" in spread(Located("a", (UNKNOWN, UNKNOWN)))
    assert spread(Located("a", (UNKNOWN, UNKNOWN), 1234.4)) == "the best 2 are within 1,234 m of each other"
