"""The map: density, matches, the estimate, the photo's own position, tiles."""

import copy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from evaluation.localization.localize import Localizer
from serve.settings import Tiles
from tests.chromium import ask, look, requested
from tests.serve.client import encoded, photo_of
from tests.serve.page.conftest import opened_with, press, tab_to, texts, upload, wait, with_position, write

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CREDIT = '© <a href="https://tiles.example/copyright">Tile makers</a>'
PAINTED = """(() => {
  const canvas = document.querySelector('#map canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, index) => index % 4 === 3 && value > 0);
})()"""
BOXES = """((selectors) => selectors.map((selector) => {
  const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
  return [x + width / 2, y + height / 2];
}))"""

MARKED = "[...document.querySelectorAll('.mark.strong')].map((mark) => mark.textContent)"


def centres(browser: "Chrome", *selectors: str) -> list[list[float]]:
    return list(ask(browser, f"{BOXES}({list(selectors)})"))


def test_the_map_has_the_density_and_the_matches_as_arrows(opened: "Chrome", photos: list[str]) -> None:
    assert "Map of 4 database images" in ask(opened, "document.getElementById('map').ariaLabel")
    assert ask(opened, PAINTED)
    upload(opened, photos[:2])
    opened.find_element("css selector", ".pick").click()
    turns = "[...document.querySelectorAll('.mark path')].map((arrow) => arrow.getAttribute('transform'))"
    assert sorted(ask(opened, turns)) == ["rotate(0)", "rotate(180)", "rotate(270)", "rotate(90)"]
    assert "matches 1 to 4 in their headings; circle: 25 m around the estimate" in texts(opened, "#caption")[0]


def test_the_circle_is_around_the_best_match_and_to_scale(opened: "Chrome", photos: list[str]) -> None:
    upload(opened, photos[:1])
    circle, best = centres(opened, ".circle", ".mark.best")
    assert circle == pytest.approx(best, abs=1)
    diameter = ask(opened, "document.querySelector('.circle').getBoundingClientRect().width")
    scale = opened.find_element("class name", "leaflet-control-scale-line")
    metres_per_pixel = float(scale.text.split()[0]) / scale.size["width"]
    assert diameter * metres_per_pixel == pytest.approx(50, rel=0.1)


def test_the_buttons_and_keys_move_the_view(opened: "Chrome", photos: list[str]) -> None:
    from selenium.webdriver.common.keys import Keys

    upload(opened, photos[:1])
    scale = opened.find_element("class name", "leaflet-control-scale-line")
    assert scale.text.split()[1] == "m"
    opened.find_element("css selector", "[data-view=matches]").click()
    assert scale.text in ("500 m", "1 km")
    opened.execute_script("document.getElementById('csv').focus()")
    tab_to(opened, "it.id === 'map'")
    before = centres(opened, ".mark.best")
    press(opened, Keys.ARROW_RIGHT)
    wait(opened, f"Math.abs({BOXES}(['.mark.best'])[0][0] - {before[0][0]}) > 20")


def test_a_match_on_the_map_opens_the_comparison(opened: "Chrome", photos: list[str]) -> None:
    from selenium.webdriver.common.keys import Keys

    upload(opened, photos[:1])
    opened.execute_script("document.getElementById('csv').focus()")
    tab_to(opened, "it.ariaLabel === 'Match 1, heading 0°'")
    press(opened, Keys.ENTER)
    assert opened.find_element("id", "compare").is_displayed()
    press(opened, Keys.ESCAPE)
    opened.find_element("class name", "best").click()
    assert texts(opened, "#compared") == ["Match 1 of 4"]


def test_a_card_with_the_focus_marks_its_match(opened: "Chrome", photos: list[str]) -> None:
    upload(opened, photos[:1])
    opened.execute_script("document.querySelectorAll('.enlarge')[1].focus()")
    assert ask(opened, MARKED) == ["2"]
    opened.execute_script("document.querySelectorAll('.enlarge')[0].focus()")
    assert ask(opened, MARKED) == ["1"]


def test_the_own_position_is_shown_with_its_distance(opened: "Chrome", tmp_path: Path) -> None:
    upload(opened, write(tmp_path, {"own.jpg": with_position("red", 36.141, -123.0)}))
    exif = texts(opened, ".exif")[0]
    assert exif == "The photo's own position (EXIF): 36.141000, -123.000000, 111 m from the estimate"
    assert opened.find_elements("class name", "apart")
    (own_x, own_y), (best_x, best_y) = centres(opened, ".own-place", ".mark.best")
    assert own_x == pytest.approx(best_x, abs=1)
    assert own_y < best_y - 20, "north is up"
    assert "square: the photo's own position" in texts(opened, "#caption")[0]


def test_the_view_of_all_matches_has_the_own_position(opened: "Chrome", tmp_path: Path) -> None:
    upload(opened, write(tmp_path, {"far.jpg": with_position("red", 36.9, -123.0)}))
    is_in_view = "document.elementsFromPoint(%s, %s).some((each) => each.id === 'map')"
    assert not ask(opened, is_in_view % tuple(centres(opened, ".own-place")[0])), "far from the estimate"
    opened.find_element("css selector", "[data-view=matches]").click()
    assert ask(opened, is_in_view % tuple(centres(opened, ".own-place")[0]))


@pytest.fixture
def tile_server() -> Iterator[tuple[int, list[str]]]:
    """A server of grey tiles: its port, and the paths that were requested."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(encoded(photo))

        def log_message(self, *_: object) -> None:
            pass

    from PIL import Image

    photo = Image.new("RGB", (256, 256), (128, 128, 128))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def test_tiles_are_loaded_from_their_server_with_its_credit(
    browser: "Chrome", localizer: Localizer, tile_server: tuple[int, list[str]]
) -> None:
    port, asked = tile_server
    origin = f"http://127.0.0.1:{port}"
    with opened_with(browser, localizer, tiles=Tiles(origin + "/{z}/{x}/{y}.png", CREDIT)):
        wait(browser, "document.querySelectorAll('.leaflet-tile-loaded').length > 1")
        assert texts(browser, ".leaflet-control-attribution a") == ["Tile makers"]
        assert asked
        assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
        host = ask(browser, "location.origin")
        others = [url for url in requested(browser) if not url.startswith((f"{host}/", f"blob:{host}/", "data:"))]
        assert others
        assert all(url.startswith((f"{origin}/", "about:")) for url in others), others


def test_metres_without_a_zone_have_a_map_in_metres(browser: "Chrome", localizer: Localizer, photos: list[str]) -> None:
    plane = copy.copy(localizer)
    nothing = {name: pl.lit(None, localizer.images.schema[name]) for name in ("utm_zone", "utm_band")}
    degrees = {name: pl.lit(None, pl.Float64) for name in ("latitude", "longitude")}
    plane.images = localizer.images.with_columns(**nothing, **degrees)
    with opened_with(browser, plane, tiles=Tiles("http://127.0.0.1:9/{z}/{x}/{y}.png")):
        upload(browser, photos[:1])
        assert "Estimate: 500000.0 m east, 4000000.0 m north" in browser.find_element("id", "result").text
        assert not browser.find_elements("class name", "leaflet-tile"), "tiles have no place on it"
        circle, best = centres(browser, ".circle", ".mark.best")
        assert circle == pytest.approx(best, abs=1)
        browser.find_element("css selector", "[data-view=matches]").click()
        assert len(browser.find_elements("class name", "mark")) == 4
        assert browser.find_element("class name", "leaflet-control-scale-line").text in ("500 m", "1 km")


def test_matches_of_one_place_are_side_by_side(browser: "Chrome", localizer: Localizer, photos: list[str]) -> None:
    tower = copy.copy(localizer)
    tower.images = localizer.images.with_columns(latitude=pl.lit(36.14), longitude=pl.lit(-123.0))
    with opened_with(browser, tower):
        upload(browser, photos[:1])
        (best, *others) = centres(browser, *(f"[aria-label^='Match {rank}']" for rank in (1, 2, 3, 4)))
        assert [best] == [pytest.approx(each, abs=1) for each in centres(browser, ".circle")]
        assert [x - best[0] for x, _ in others] == pytest.approx([23, 46, 69], abs=1)
        assert [y - best[1] for _, y in others] == pytest.approx([0, 0, 0], abs=1)


def test_the_map_of_a_phone_is_below_the_photos(opened: "Chrome", tmp_path: Path) -> None:
    look(opened, width=390)
    upload(opened, write(tmp_path, {"red.png": photo_of("red")}))
    (_, photo_y), (_, map_y), (_, match_y) = centres(opened, ".pick", "#map", ".matches")
    assert photo_y < map_y < match_y
    assert ask(opened, "document.getElementById('map').clientWidth") > 340
