from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.planning.advise import advise
from tests.pipeline.planning.conftest import dense_city, name, texts

# Names of images, and the remark on them.
REMARKS = {
    "too few": ([name(5e5, 4e6, 3)] * 1 + [name(5.1e5, 4e6, 4)], "2 images do not make a group of 16 classes"),
    "one heading": (dense_city(1, (0,)), "all 1,000 headings are the same"),
    "headings of 0": ([*dense_city(1, (0,)), name(5e5, 4e6, 7)], "1,000 headings are 0"),
    "multiples of 30": (dense_city(1, (0, 30, 330)), "3,000 of 3,000 headings are multiples of 30"),
    "repeated": ([name(5e5, 4e6, 3, shot=number) for number in range(60)], "up to 60 shots at one position"),
    "zones": (
        [*dense_city(1), name(5e5, 4e6, 9, zone=11)],
        "2 UTM zones or hemispheres: 4,000 in zone 10 N, 1 in zone 11 N",
    ),
    "rejects": ([*dense_city(1), "x.jpg"], "1 files (0.0%) are rejects"),
    "radians": (dense_city(1, (0.52, 1.5708, 3.1416, 6.2832)), "all 4,000 headings are within 0 to 6.28"),
    "radians around 0": (dense_city(1, (0, -3.1416, 2.9, -0.52)), "and seem to be radians"),
    "one year": (dense_city(1), "all images are of one year"),
}


@pytest.mark.parametrize("what", REMARKS)
def test_remarks(what: str, manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    names, expected = REMARKS[what]
    said = texts(advise(manifest_of(names), tmp_path / "A"))
    assert expected in said
    others = {text for key, (_, text) in REMARKS.items() if key in ("one heading", "zones", "repeated") and key != what}
    assert not any(text in said for text in others)


@pytest.mark.parametrize("headings", [(1, 2, 3, 6), (0.5, 3.2, 6.29, 2.5), (0, -0.5, 3.3, -2.5), (0.5,)])
def test_degrees_are_not_taken_for_radians(
    headings: tuple[object, ...], manifest_of: Callable[[list[str]], Path], tmp_path: Path
) -> None:
    assert "radians" not in texts(advise(manifest_of(dense_city(1, headings)), tmp_path / "A"))
