"""Photos chosen, dropped and pasted: their states and results."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evaluation.localization.localize import Localizer
from tests.chromium import ask, look, requested
from tests.evaluation.conftest import pattern
from tests.serve.client import TOKEN, encoded
from tests.serve.page.conftest import enter_token, opened_with, press, tab_to, texts, upload, wait, write

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

DROP = """
const data = new DataTransfer();
const { digest } = await (await fetch("api/database")).json();
const image = await (await fetch(`api/images/${digest}/1?side=64`)).blob();
data.items.add(new File([image], "dropped.webp", {type: "image/webp"}));
document.dispatchEvent(new %s);
"""
DROPPED = 'DragEvent("drop", {dataTransfer: data, cancelable: true})'
PASTED = 'ClipboardEvent("paste", {clipboardData: data})'


def test_uploaded_photos_show_matches_and_errors(opened: "Chrome", photos: list[str]) -> None:
    upload(opened, photos)
    assert texts(opened, ".pick") == [
        "red.png\nLikely: 100 %",
        "blue.jpg\nLikely: 100 %",
        "broken.png\nNot an image, or not in a format that is read: JPEG, PNG, WebP, HEIC",
    ]
    red, blue, broken = opened.find_elements("css selector", ".pick")
    red.click()
    result = opened.find_element("id", "result")
    assert "Correct (within 25 metres) for 100 % of the 4 test queries as certain as this" in result.text
    assert "The best 4 are within 3,000 m of each other." in result.text
    assert "Estimate: 36.140000, -123.000000" in result.text
    assert "mlat=36.140000&mlon=-123.000000" in str(result.find_element("class name", "osm").get_attribute("href"))
    assert ask(opened, "document.getElementById('spoken').textContent") == "red.png: Likely: 100 %"
    blue.click()
    first, second = texts(opened, ".matches li")[:2]
    assert first.splitlines()[1:] == ["Match 1", first.splitlines()[2], "heading 180°", "year 2015"]
    assert "m from best" in second
    broken.click()
    assert "Not an image" in result.text
    assert not opened.find_elements("css selector", ".matches li")
    assert not opened.find_element("css selector", "[data-view=matches]").is_enabled()


def test_nothing_is_loaded_from_other_hosts(opened: "Chrome", photos: list[str]) -> None:
    upload(opened, photos)
    errors = opened.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in errors if " 422 " not in entry["message"]] == []
    asked = requested(opened)
    assert any("/api/localize" in url for url in asked)
    host = ask(opened, "location.origin")
    assert all(url.startswith((f"{host}/", f"blob:{host}/", "data:", "about:")) for url in asked), asked


@pytest.mark.parametrize("event", [DROPPED, PASTED])
def test_dropped_and_pasted_photos(opened: "Chrome", event: str) -> None:
    opened.execute_script(f"return (async () => {{ {DROP % event} }})()")
    wait(opened, "status === '1 of 1 photos done.'")
    assert texts(opened, "#result h2") == ["dropped.webp"]
    assert "heading 90°" in texts(opened, ".matches li")[0]


def test_other_files_are_refused_by_name(opened: "Chrome", tmp_path: Path) -> None:
    large = "const it = document.getElementById('files'); const data = new DataTransfer();"
    large += "data.items.add(new File([new Uint8Array(1_000_001)], 'large.png', {type: 'image/png'}));"
    opened.execute_script(f"{large} it.files = data.files; it.dispatchEvent(new Event('change'));")
    opened.find_element("id", "files").send_keys(*write(tmp_path, {"notes.txt": b"not a photo"}))
    wait(opened, "status === '2 of 2 photos done.'")
    states = ["The photo has more than 1 MB", "Not an image"]
    assert texts(opened, ".pick") == ["large.png\n" + states[0], "notes.txt\n" + states[1]]
    assert not any("/api/localize" in url for url in requested(opened))


def test_photos_below_the_minimum_are_not_in_the_database(opened: "Chrome", tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    contents = {"red.png": encoded(pattern((200, 0, 0), (64, 48))), "mix.png": encoded(pattern((90, 90, 0), (64, 48)))}
    upload(opened, write(tmp_path, contents))
    minimum = opened.find_element("id", "minimum")
    minimum.clear()
    minimum.send_keys("100" + Keys.TAB)
    percents = [text.split(": ")[-1] for text in texts(opened, ".pick .state")]
    assert all(("Not in this database" in text) == ("100 %" not in text) for text in percents)
    opened.execute_script("document.getElementById('minimum').max = 101")
    minimum.clear()
    minimum.send_keys("101" + Keys.TAB)
    assert texts(opened, ".pick .state")[0] == "Not in this database (100 %)"
    assert "below the minimum of 101 %." in opened.find_element("id", "result").text
    assert "Most similar place: 36.140000" in opened.find_element("id", "result").text
    assert not opened.find_elements("css selector", ".circle"), "no estimate"


def test_photos_are_picked_by_keyboard(opened: "Chrome", photos: list[str]) -> None:
    from selenium.webdriver.common.keys import Keys

    upload(opened, photos)
    opened.execute_script("document.getElementById('files').focus()")
    tab_to(opened, "it.textContent.includes('blue.jpg')")
    press(opened, Keys.ENTER)
    assert texts(opened, "#result h2") == ["blue.jpg"]
    assert ask(opened, "document.activeElement.textContent.includes('blue.jpg')"), "the focus stays"
    pressed = "[...document.querySelectorAll('.pick')].map((button) => button.ariaPressed)"
    assert ask(opened, pressed) == ["false", "true", "false"]


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_the_page_does_not_scroll_sideways(opened: "Chrome", photos: list[str], width: int) -> None:
    long = Path(photos[0]).rename(Path(photos[0]).with_name(f"@{'0123456789' * 10}@.png"))
    look(opened, width=width)
    upload(opened, [str(long), *photos[1:]])
    opened.find_element("css selector", ".pick").click()
    assert ask(opened, "document.documentElement.scrollWidth") <= width
    shown = "[...document.querySelectorAll('header *, figcaption, #result *, .views *')]"
    assert max(ask(opened, f"{shown}.map((each) => each.getBoundingClientRect().right)")) <= width


def test_the_page_follows_the_colour_scheme(opened: "Chrome") -> None:
    colours = "['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name])"
    assert ask(opened, colours) == ["rgb(254, 254, 254)", "rgb(26, 29, 33)"]
    look(opened, width=1200, scheme="dark")
    assert ask(opened, colours) == ["rgb(20, 23, 28)", "rgb(232, 234, 237)"]
    zoom = "getComputedStyle(document.querySelector('.leaflet-control-zoom-in')).backgroundColor"
    assert ask(opened, zoom) == "rgb(20, 23, 28)"


def test_a_token_is_asked_for(browser: "Chrome", localizer: Localizer, photos: list[str]) -> None:
    with opened_with(browser, localizer, token=TOKEN):
        wait(browser, "facts === 'This server needs a token.'")
        browser.find_element("id", "files").send_keys(photos[0])
        browser.find_element("class name", "pick").click()
        assert texts(browser, ".pick .state") == ["Waiting"]
        enter_token(browser)
        wait(browser, "facts.startsWith('Tiny-8, 4 database images')")
        wait(browser, "status === '1 of 1 photos done.'")
        assert len(browser.find_elements("css selector", ".enlarge img")) == 4


def test_a_stopped_server_is_named(browser: "Chrome", localizer: Localizer, photos: list[str]) -> None:
    with opened_with(browser, localizer):
        browser.execute_script("window.fetch = async () => { throw new TypeError('Failed to fetch'); };")
        upload(browser, photos[:1])
        assert texts(browser, ".pick .state") == ["The server does not answer. Is it still running?"]


def test_failed_photos_are_tried_again_by_keyboard(browser: "Chrome", localizer: Localizer, photos: list[str]) -> None:
    with opened_with(browser, localizer):
        browser.execute_script("window.online = fetch; window.fetch = async () => { throw new TypeError(); };")
        upload(browser, photos[:2])
        tab_to(browser, "it.textContent === 'Try again'")
        browser.execute_script("window.fetch = window.online;")
        press(browser, " ")
        wait(browser, "status === '2 of 2 photos done.'")
        assert texts(browser, ".pick .state") == ["Likely: 100 %"] * 2
        assert not any(each.is_displayed() for each in browser.find_elements("class name", "again"))
        assert ask(browser, "document.activeElement.id") == "result"


def test_photos_that_cannot_succeed_are_not_tried_again(opened: "Chrome", photos: list[str]) -> None:
    upload(opened, [photos[2]])
    assert not opened.find_element("class name", "again").is_displayed()


def test_another_token_is_asked_for_and_failed_photos_are_tried_again(
    browser: "Chrome", localizer: Localizer, photos: list[str]
) -> None:
    with opened_with(browser, localizer, token=TOKEN):
        enter_token(browser)
        wait(browser, "facts.startsWith('Tiny-8, 4 database images')")
        browser.execute_script("sessionStorage.setItem('token', 'that of before')")
        upload(browser, photos[:1])
        enter_token(browser)
        wait(browser, "status === '1 of 1 photos done.' && !!document.querySelector('.enlarge')")
        assert texts(browser, ".pick .state") == ["Likely: 100 %"]
