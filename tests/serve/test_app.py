"""Answers to photos, over HTTP, against `Localizer.localize` on files."""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation.localization.localize import Localizer
from tests.evaluation.conftest import COLOURS, pattern
from tests.serve.client import Answer, Client, encoded, photo_of

written: list[str] = []
is_watched = False


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if is_watched and event == "open" and isinstance(arguments[2], int) and arguments[2] & 3:  # O_WRONLY, O_RDWR
        written.append(str(arguments[0]))
    if is_watched and event.startswith("tempfile."):
        written.append(event)


@contextmanager
def watching() -> Iterator[list[str]]:
    """Yield a list that gets the files opened to be written."""
    global is_watched
    sys.addaudithook(watch)  # stays until the process ends
    written.clear()
    is_watched = True
    yield written
    is_watched = False


def test_a_photo_is_localized(client: Client) -> None:
    answer = client.send(photo_of("blue"))
    assert answer.status == 200
    (photo,) = answer.json["photos"]
    best = photo["matches"][0]
    assert (best["image"], best["heading"], best["year"], best["zone"]) == (2, 180.0, 2015, "10N")
    assert [best["latitude"], best["longitude"]] == [36.14, -122.98]
    assert photo["certainty"]["percent"] == 100.0
    assert photo["error"] is None
    assert len(client.send(photo_of("blue"), query="?top=2").json["photos"][0]["matches"]) == 2


def test_photos_of_a_form_keep_their_order_and_names(client: Client) -> None:
    parts = [("a b.png", photo_of("red")), ("broken.jpg", b"<html>"), ("Straße.png", photo_of("green"))]
    answer = client.send_form(parts)
    assert answer.status == 200
    assert [photo["photo"] for photo in answer.json["photos"]] == ["a b.png", "broken.jpg", "Straße.png"]
    assert [photo["error"] is None for photo in answer.json["photos"]] == [True, False, True]
    assert [photo["matches"][0]["image"] for photo in answer.json["photos"] if not photo["error"]] == [0, 1]


def test_geojson_has_a_feature_per_match_and_the_errors(client: Client) -> None:
    answer = client.send_form([("a.png", photo_of("red")), ("b.png", b"")], "?format=geojson&top=2")
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.json["type"] == "FeatureCollection"
    points = [feature["geometry"]["coordinates"] for feature in answer.json["features"]]
    assert points[0] == [-123.0, 36.14]
    assert len(points) == 2
    assert re.fullmatch(r"api/images/[0-9a-f]{16}/0", answer.json["features"][0]["properties"]["picture"])
    assert answer.json["errors"] == [{"photo": "b.png", "error": "The photo is empty (0 bytes)"}]


def test_a_minimum_certainty_refuses_photos(client: Client, localizer: Localizer) -> None:
    kept = client.send(photo_of("red"), query="?min_certainty=0.9").json["photos"][0]
    assert kept["matches"]
    assert kept["refused"] is None
    found = client.send(encoded(pattern((200, 200, 0), (64, 48))), query="?min_certainty=1").json["photos"][0]
    assert (found["refused"] is None) == (found["certainty"]["percent"] == 100), "as Located.refuse decides"


def test_batches_equal_single_photos(client: Client, localizer: Localizer, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    photos = {}
    for number in range(24):
        size = [(64, 48), (48, 64), (200, 150)][number % 3]
        colour = tuple(map(int, generator.integers(0, 256, 3)))
        photos[tmp_path / f"{number}.png"] = encoded(pattern(colour, size))  # type: ignore[arg-type]
    for path, content in photos.items():
        path.write_bytes(content)
    before = batches(client)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(client.send, photos.values()))
    assert batches(client) - before < 24, "some photos shared a batch"
    for answer, single in zip(answers, localizer.localize(photos), strict=True):
        (photo,) = answer.json["photos"]
        assert [match["image"] for match in photo["matches"]] == [match.row for match in single.matches]
        scores = [match["score"] for match in photo["matches"]]
        assert scores == pytest.approx([match.score for match in single.matches], abs=1e-4)


def batches(client: Client) -> int:
    (count,) = re.findall(r"^cosplace_batches_total (\d+)$", client.get("/metrics").content.decode(), re.MULTILINE)
    return int(count)


def test_rotated_photos_are_upright(client: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to show it
    turned = pattern(COLOURS["blue"], (640, 480)).transpose(Image.Transpose.ROTATE_90)
    answer = client.send(encoded(turned, "JPEG", exif=exif, quality=95), "image/jpeg")
    assert answer.json["photos"][0]["matches"][0]["score"] == pytest.approx(1, abs=1e-3)


def test_a_request_writes_nothing_to_the_disk(client: Client) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3)).astype(np.uint8)
    parts = [(f"{number}.png", encoded(Image.fromarray(noise))) for number in range(4)]
    assert sum(len(content) for _, content in parts) > 2_000_000, "more than forms usually keep in memory"
    with watching() as files:
        tempfile.TemporaryFile().close()
        assert files, "the watch works"
        files.clear()
        assert client.send_form(parts, "?keep=true").status == 200
        assert files == []


def test_answers_have_no_paths(client: Client, city: Path) -> None:
    answers = [
        client.send_form([("a.png", photo_of("red")), ("b.png", b"<html>")]),
        client.send(photo_of("red"), query="?format=geojson"),
        *map(client.get, ("/api/database", "/api/map", client.picture(0), "/metrics", "/healthz", "/openapi.json")),
        *map(client.get, ("/nowhere", client.picture(99), "/api/images/0/0", "/api/results/0")),
        *map(client.get, ("/page/", "/page/../app.py", "/page/__init__.py", "/")),
    ]
    for answer in answers:
        text = answer.content.decode("latin-1") + json.dumps(dict(answer.headers))
        for part in (str(city), "/tmp/", "artifacts/", "red.png", "Traceback", "site-packages", str(Path.cwd())):
            assert part not in text, (part, text)


def test_database_images_are_reduced_and_known_by_number(client: Client, city: Path) -> None:
    answer = client.get(f"{client.picture(1)}?side=32")
    assert answer.headers["content-type"] == "image/webp"
    (city / "received.webp").write_bytes(answer.content)
    with Image.open(city / "received.webp") as image:
        assert image.size == (32, 24)
        assert image.getpixel((30, 20)) == pytest.approx(COLOURS["green"], abs=12)
    wrong = ("4", "-1", "1?side=5000", "red.png")
    for path in (*map(client.picture, wrong), "/api/images/1", "/api/images/0123456789abcdef/1"):
        refused = client.get(path)
        assert refused.status in (400, 404)
        assert set(refused.json) == {"error"}


def test_the_database_has_facts_and_a_map(client: Client) -> None:
    facts = client.get("/api/database").json
    assert (facts["model"], facts["dimensions"], facts["images"], facts["radius_m"]) == ("Tiny-8", 8, 4, 25.0)
    assert facts["bounds"] == [-123.0, 36.14, -122.97, 36.14]
    drawn = client.get("/api/map").json
    assert sum(square[2] for square in drawn["squares"]) == 4
    assert (drawn["unit"], drawn["bounds"]) == ("degrees", facts["bounds"])


def test_the_map_has_the_squares_of_a_view(client: Client) -> None:
    def get(*bounds: float | str) -> Answer:
        return client.get("/api/map?" + "&".join(f"bounds={bound}" for bound in bounds))

    assert [square[2] for square in get(-122.995, 36.13, -122.975, 36.15).json["squares"]] == [1, 1]
    for wrong in ((1, 2, 3), (2, 0, 1, 1), ("nan", 0, 1, 1), ("a", 0, 1, 1)):
        refused = get(*wrong)
        assert (refused.status, set(refused.json)) == (400, {"error"}), wrong


def test_metrics_count_requests_and_photos(client: Client) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").content.decode().splitlines()
        return float(next((line.split()[-1] for line in lines if line.startswith(f"cosplace_{name} ")), 0))

    names = ('photos_total{outcome="localized"}', 'photos_total{outcome="failed"}', "localize_seconds_count")
    before = [value(name) for name in names]
    client.send_form([("a.png", photo_of("red")), ("b.png", b"<html>")])
    assert [value(name) - old for name, old in zip(names, before, strict=True)] == [1, 1, 1]
    assert value("photos_waiting") == value("bytes_held") == 0
    assert value('localize_seconds_bucket{le="+Inf"}') == value("localize_seconds_count")


def test_the_api_is_described_without_pages_of_other_hosts(client: Client) -> None:
    described = client.get("/openapi.json").json
    assert {"/api/localize", "/api/database", "/api/images/{digest}/{number}", "/healthz"} <= set(described["paths"])
    assert client.get("/docs").status == client.get("/redoc").status == 404
    assert client.get("/healthz").json == {"status": "ok"}
