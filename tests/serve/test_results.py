"""Results that are kept for a link, and the positions in the EXIF of photos."""

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import pytest
import utm
from PIL import Image

from evaluation.localization.localize import Localizer
from serve.photos.kept_results import KeptResult, KeptResults
from tests.evaluation.conftest import COLOURS, pattern
from tests.serve.client import TOKEN, Client, encoded, photo_of, with_gps
from tests.serve.conftest import running


def test_a_kept_result_is_shown_again(client: Client) -> None:
    large = encoded(pattern(COLOURS["blue"], (800, 600)))
    answer = client.send_form([("a b.png", large), ("broken.png", b"<html>")], "?keep=true&top=2").json
    photo, broken = answer["photos"]
    assert "link" not in broken
    word, key = photo["link"].split("/")
    assert (word, len(key)) == ("result", 22)
    again = client.get(f"/api/results/{key}").json
    assert again == {**answer, "photos": [photo], "photo_picture": f"api/results/{key}/photo"}
    picture = client.get(f"/{again['photo_picture']}")
    assert picture.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(picture.content)) as image:
        assert image.size == (320, 240)
        assert image.getpixel((200, 150)) == pytest.approx(COLOURS["blue"], abs=12)
    opened = client.get(f"/{photo['link']}")
    assert (opened.status, opened.headers["location"]) == (303, f"../#result={key}")


def test_results_are_kept_only_on_request(client: Client) -> None:
    assert "link" not in client.send(photo_of("red")).json["photos"][0]
    refused = client.send(photo_of("red"), query="?keep=true&format=geojson")
    assert refused.status == 400
    assert refused.json["error"].startswith("keep: GeoJSON has no place for links")


@pytest.mark.parametrize("path", ["/api/results/unknown", "/api/results/unknown/photo"])
def test_a_dropped_result_says_so(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert "no longer kept: results are dropped after 30 minutes" in answer.json["error"]


def test_results_need_the_token_but_links_open_the_page(localizer: Localizer) -> None:
    with running(localizer, token=TOKEN) as client:
        good = {"Authorization": f"Bearer {TOKEN}"}
        link = client.send(photo_of("red"), query="?keep=true", **good).json["photos"][0]["link"]
        key = link.removeprefix("result/")
        for path in (f"/api/results/{key}", f"/api/results/{key}/photo"):
            assert client.get(path).status == 401
            assert client.get(path, **good).status == 200
        assert client.get(f"/{link}").status == 303


def keep(*sizes: int, wait_s: float = 0.0, **bounds: Any) -> list[bool]:
    """Keep results of some sizes one after the other, and return which there are in the end."""

    async def run() -> tuple[KeptResults, list[str]]:
        results = KeptResults(**bounds)
        keys = [results.new_id() for _ in sizes]
        for key, size in zip(keys, sizes, strict=True):
            results.keep(key, KeptResult(b"a", bytes(size - 1)))
        await asyncio.sleep(wait_s)
        return results, keys

    results, keys = asyncio.run(run())
    found = [results.get(key) is not None for key in keys]
    assert len(results) == sum(found)
    return found


def test_kept_results_are_bounded() -> None:
    assert keep(1, 1, 1) == [True, True, True]
    assert keep(1, 1, 1, max_results=2) == [False, True, True]
    assert keep(50, 40, 20, max_bytes=100) == [False, True, True]
    assert keep(50, 101, max_bytes=100) == [False, False], "larger than all room"
    assert keep(1, 1, seconds=0.0, wait_s=0.1) == [False, False]


NEAR = {1: "N", 2: (36.0, 9.0, 0.0), 3: "W", 4: (122.0, 58.0, 48.0)}  # 36.15, -122.98; its best match: 36.14, -122.98


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_position_in_exif_and_its_distance(client: Client, form: str) -> None:
    (photo,) = client.send(with_gps(NEAR, form=form)).json["photos"]
    assert (photo["matches"][0]["latitude"], photo["matches"][0]["longitude"]) == (36.14, -122.98)
    position = photo["exif_position"]
    assert [position["latitude"], position["longitude"]] == pytest.approx([36.15, -122.98])
    (east, north, *_), (other_east, other_north, *_) = (utm.from_latlon(y, -122.98) for y in (36.15, 36.14))
    metres = ((east - other_east) ** 2 + (north - other_north) ** 2) ** 0.5
    assert position["distance_m"] == pytest.approx(metres, rel=0.006)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {**NEAR, 1: "E"},
        {1: "N", 2: (36.0, 9.0, 0.0)},
    ],
    ids=["none", "0, 0", "wrong side", "only latitude"],
)
def test_unusable_positions_are_null(client: Client, gps: Mapping[int, object]) -> None:
    (photo,) = client.send(with_gps(gps)).json["photos"]
    assert photo["exif_position"] is None
    assert photo["matches"]


def test_broken_exif_is_no_error(client: Client) -> None:
    content = with_gps(NEAR).replace(b"MM\x00*", b"MM\xff\xff")
    (photo,) = client.send(content).json["photos"]
    assert (photo["error"], photo["exif_position"]) == (None, None)
