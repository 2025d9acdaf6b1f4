"""The dialog that compares a photo with its matches."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chromium import ask, look
from tests.evaluation.conftest import COLOURS, pattern
from tests.serve.page.conftest import press, tab_to, texts, upload, wait

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SPLIT = "getComputedStyle(document.querySelector('.over')).clipPath"
SLIDER = "getComputedStyle(document.getElementById('split')).display"
LOADED = "[...document.querySelectorAll('.stage img')].every((image) => image.complete && image.naturalWidth)"


def test_by_keyboard(opened: "Chrome", photos: list[str]) -> None:
    from selenium.webdriver.common.keys import Keys

    upload(opened, photos[:1])
    opened.execute_script("document.getElementById('files').focus()")
    tab_to(opened, "it.className === 'enlarge'")
    press(opened, Keys.ENTER)
    wait(opened, LOADED)
    assert texts(opened, "#compared") == ["Match 1 of 4"]
    assert ask(opened, "document.activeElement.id") == "split"
    assert ask(opened, SPLIT) == "inset(0px 0px 0px 50%)"
    press(opened, *[Keys.ARROW_RIGHT] * 3)
    assert ask(opened, SPLIT) == "inset(0px 0px 0px 53%)"
    assert texts(opened, "#compared") == ["Match 1 of 4"], "the slider has the arrow keys"
    press(opened, Keys.HOME)
    assert ask(opened, SPLIT) == "inset(0px 0px 0px 0%)"
    tab_to(opened, "it.id === 'next'")
    press(opened, Keys.ENTER)
    assert texts(opened, "#compared") == ["Match 2 of 4"]
    press(opened, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert texts(opened, "#compared") == ["Match 4 of 4"], "stays at the last"
    press(opened, Keys.ARROW_LEFT)
    assert texts(opened, "#compared") == ["Match 3 of 4"]
    press(opened, Keys.ESCAPE)
    assert not opened.find_element("id", "compare").is_displayed()
    assert ask(opened, "document.activeElement.className") == "enlarge", "the focus returns"


@pytest.mark.parametrize("width", [390, 1200])
def test_side_by_side(opened: "Chrome", photos: list[str], width: int) -> None:
    look(opened, width=width)
    upload(opened, photos[1:2])
    opened.find_element("class name", "enlarge").click()
    wait(opened, LOADED)
    opened.find_element("css selector", "input[value=beside]").click()
    boxes = "[...document.querySelectorAll('.stage figure')].map((each) => each.getBoundingClientRect())"
    own, match = ask(opened, boxes)
    assert own["right"] <= match["left"] if width > 600 else own["bottom"] <= match["top"]
    assert ask(opened, SLIDER) == "none"
    dialog = ask(opened, "document.getElementById('compare').getBoundingClientRect()")
    assert dialog["left"] >= 0
    assert dialog["right"] <= width
    assert ask(opened, "(({scrollWidth, clientWidth}) => scrollWidth <= clientWidth)(document.querySelector('dialog'))")


def test_the_slider_by_mouse_shows_more_of_the_photo(opened: "Chrome", photos: list[str]) -> None:
    from selenium.webdriver import ActionChains

    upload(opened, photos[1:2])
    opened.find_element("class name", "enlarge").click()
    wait(opened, LOADED)
    slider = opened.find_element("id", "split")
    ActionChains(opened).move_to_element_with_offset(slider, slider.size["width"] // 4, 0).click().perform()
    assert 70 <= int(str(slider.get_attribute("value"))) <= 80
    assert ask(opened, "document.querySelector('.stage img').naturalWidth") == 640
    shape = ask(
        opened, "(({width, height}) => width / height)(document.querySelector('.stage').getBoundingClientRect())"
    )
    assert shape == pytest.approx(4 / 3, rel=0.01), "that of the photo"


def test_photos_that_browsers_cannot_show_come_from_the_server(opened: "Chrome", tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(pattern(COLOURS["red"], (640, 480))).save(tmp_path / "red.heic")
    upload(opened, [str(tmp_path / "red.heic")])
    wait(opened, "document.querySelector('.own').naturalWidth > 0")
    opened.find_element("class name", "enlarge").click()
    wait(opened, LOADED)
    assert ask(opened, SLIDER) != "none"
    assert ask(opened, "document.querySelector('.stage img').naturalWidth") > 0
