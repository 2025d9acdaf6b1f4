"""The page in headless Chromium, with real uploads."""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evaluation.localization.localize import Localizer
from tests.evaluation.report.test_in_chromium import CHROMIUM, DRIVER, ask, look
from tests.evaluation.report.test_in_chromium import browser as browser
from tests.serve.conftest import TOKEN, Client, photo_of, running

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt-get install chromium-driver"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("selenium") is None, reason="selenium is not installed: see the extra dev"
    ),
]
DROP = """
const data = new DataTransfer();
const { digest } = await (await fetch("api/database")).json();
const photo = await (await fetch(`api/images/${digest}/1?side=64`)).blob();
data.items.add(new File([photo], "dropped.webp", {type: "image/webp"}));
document.dispatchEvent(new %s);
"""
DROPPED = 'DragEvent("drop", {dataTransfer: data, cancelable: true})'
PASTED = 'ClipboardEvent("paste", {clipboardData: data})'


@pytest.fixture
def opened(browser: "Chrome", client: Client) -> "Chrome":
    return open_page(browser, client)


def open_page(browser: "Chrome", client: Client) -> "Chrome":
    look(browser, width=1200)
    browser.get("about:blank")  # the start page makes requests of its own
    for log in ("browser", "performance"):
        browser.get_log(log)  # type: ignore[no-untyped-call]
    browser.get(f"http://127.0.0.1:{client.port}/")
    return browser


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    contents = {"red.png": photo_of("red"), "blue.jpg": photo_of("blue", (640, 480), "JPEG"), "broken.png": b"<html>"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def upload(browser: "Chrome", photos: list[str]) -> None:
    browser.find_element("id", "files").send_keys("\n".join(photos))
    wait(browser, f"status === '{len(photos)} of {len(photos)} photos done.'")


def wait(browser: "Chrome", condition: str) -> None:
    """Wait for a condition about `status`, the text at the top, and `photos`, the list."""
    from selenium.webdriver.support.wait import WebDriverWait

    names = "const status = document.getElementById('status').textContent, photos = document.getElementById('photos');"
    WebDriverWait(browser, 20).until(lambda _: browser.execute_script(f"{names} return {condition}"))
    loaded = "[...document.querySelectorAll('.enlarge img')].every((image) => image.complete && image.naturalWidth)"
    WebDriverWait(browser, 20).until(lambda _: ask(browser, loaded))


def test_uploaded_photos_show_matches_and_errors(opened: "Chrome", photos: list[str]) -> None:
    upload(opened, photos)
    red, blue, broken = opened.find_elements("css selector", ".photo")
    assert "Likely: right in 100 % of the 4 test queries" in red.text
    assert "The best 4 are within 3,000 m of each other." in red.text
    assert "Estimate: 36.140000, -123.000000" in red.text
    first = blue.find_element("css selector", ".matches li").text.splitlines()
    assert first == ["Match 1", "0 m from the best", first[2], "heading 180°", "year 2015"]
    assert "Not an image, or not in a format that is read" in broken.text
    assert len(opened.find_elements("css selector", ".enlarge img")) == 8
    errors = opened.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in errors if " 422 " not in entry["message"]] == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert any("/api/localize" in url for url in asked)
    host = ask(opened, "location.origin")
    assert all(url.startswith((host, f"blob:{host}", "data:", "about:")) for url in asked), asked


def test_the_map_shows_matches_as_arrows_and_the_circle(opened: "Chrome", photos: list[str]) -> None:
    wait(opened, "document.querySelector('#map svg')")
    assert "Map of 4 database images" in ask(opened, "document.querySelector('#map svg').ariaLabel")
    upload(opened, photos[:2])
    opened.find_element("css selector", ".show").click()
    assert ask(opened, "document.querySelectorAll('.mark').length") == 4
    turns = "[...document.querySelectorAll('.mark path')].map((arrow) => arrow.getAttribute('transform'))"
    assert sorted(ask(opened, turns)) == ["rotate(0)", "rotate(180)", "rotate(270)", "rotate(90)"]
    assert ask(opened, "document.querySelector('.circle').getAttribute('r')") == "25"
    boxes = (f"document.querySelector('{name}').getBoundingClientRect()" for name in (".circle", ".best circle"))
    circle, best = (ask(opened, f"(({{x, width}}) => x + width / 2)({box})") for box in boxes)
    assert circle == pytest.approx(best, abs=1)
    assert "red.png" in opened.find_element("id", "caption").text
    opened.find_elements("css selector", ".show")[1].click()
    assert "blue.jpg" in opened.find_element("id", "caption").text
    pressed = "[...document.querySelectorAll('.show')].map((button) => button.ariaPressed)"
    assert ask(opened, pressed) == ["false", "true"]


def test_by_keyboard(opened: "Chrome", photos: list[str]) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(key: str) -> None:
        ActionChains(opened).send_keys(key).perform()

    upload(opened, photos[:1])
    opened.execute_script("document.getElementById('files').focus()")
    press(Keys.TAB)
    assert ask(opened, "document.activeElement.id") == "zoom"
    box = "document.querySelector('#map svg').getAttribute('viewBox')"
    zoomed = ask(opened, box)
    press(Keys.ENTER)
    assert ask(opened, box) != zoomed
    for _ in range(20):
        press(Keys.TAB)
        if ask(opened, "document.activeElement.className") == "enlarge":
            break
    press(Keys.ENTER)
    dialog = opened.find_element("id", "large")
    assert dialog.is_displayed()
    assert "Match 1, 0 m from the best" in dialog.text
    press(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert ask(opened, "document.activeElement.className") == "enlarge", "the focus returns"


@pytest.mark.parametrize("event", [DROPPED, PASTED])
def test_dropped_and_pasted_photos(opened: "Chrome", event: str) -> None:
    wait(opened, "document.querySelector('#map svg')")
    opened.execute_script(f"return (async () => {{ {DROP % event} }})()")
    wait(opened, "status === '1 of 1 photos done.'")
    assert opened.find_element("css selector", "h2").text == "dropped.webp"
    assert "heading 90°" in opened.find_element("css selector", ".matches li").text


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_the_page_does_not_scroll_sideways(opened: "Chrome", photos: list[str], width: int) -> None:
    long = Path(photos[0]).rename(Path(photos[0]).with_name(f"@{'0123456789' * 10}@.png"))
    look(opened, width=width)
    upload(opened, [str(long), *photos[1:]])
    opened.find_element("css selector", ".show").click()
    assert ask(opened, "document.getElementById('caption').scrollWidth <= document.getElementById('map').clientWidth")
    assert ask(opened, "document.documentElement.scrollWidth") <= width
    rights = "[...document.querySelectorAll('main *')].map((each) => each.getBoundingClientRect().right)"
    assert max(ask(opened, rights)) <= width


def test_the_page_follows_the_colour_scheme(opened: "Chrome") -> None:
    colours = "['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name])"
    assert ask(opened, colours) == ["rgb(254, 254, 254)", "rgb(26, 29, 33)"]
    look(opened, width=1200, scheme="dark")
    assert ask(opened, colours) == ["rgb(20, 23, 28)", "rgb(232, 234, 237)"]


def test_a_token_is_asked_for(browser: "Chrome", localizer: Localizer, photos: list[str]) -> None:
    with running(localizer, token=TOKEN) as client:
        open_page(browser, client)
        wait(browser, "document.getElementById('facts').textContent === 'This server needs a token.'")
        browser.find_element("name", "token").send_keys(TOKEN + "\n")
        wait(browser, "document.querySelector('#map svg')")
        upload(browser, photos[:1])
        assert len(browser.find_elements("css selector", ".enlarge img")) == 4
        browser.get("about:blank")  # ends its connections
