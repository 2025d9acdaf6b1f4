"""The report in headless Chromium, opened from the disk."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chromium import NEEDS_CHROMIUM, ask, look, requested, visit
from tests.chromium import browser as browser
from tests.evaluation.report.conftest import COMMAND

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def opened(browser: "Chrome", report: Path) -> "Chrome":
    return visit(browser, (report / "report.html").as_uri())


def states(browser: "Chrome") -> list[str]:
    return list(ask(browser, "[...document.querySelectorAll('.cards > li')].map(card => card.dataset.kind)"))


def test_page_opens_without_errors_and_network_requests(opened: "Chrome") -> None:
    assert opened.title == "ResNet18-32 on town, test queries v1 · CosPlace report"
    assert opened.get_log("browser") == []  # type: ignore[no-untyped-call]
    asked = requested(opened)
    assert [url for url in asked if url.startswith("file:")]
    assert all(url.startswith(("file:", "data:")) for url in asked), asked


def test_all_pictures_are_visible_and_described(opened: "Chrome") -> None:
    pictures = "[...document.querySelectorAll('.gallery img')]"
    assert ask(opened, f"{pictures}.every(image => image.complete && image.naturalWidth > 0 && image.alt)")
    assert ask(opened, f"{pictures}.length") > 40
    charts = "[...document.querySelectorAll('.charts svg')]"
    assert ask(opened, f"{charts}.every(chart => chart.getBoundingClientRect().height > 100)")
    assert ask(opened, f"{charts}.every(chart => chart.getAttribute('aria-label').length > 20)")


def test_filter_by_mouse(opened: "Chrome") -> None:
    opened.find_element("css selector", "input[value=late]").click()
    assert states(opened) == ["late"] * 4
    opened.find_element("css selector", "input[name=text]").send_keys("@@190@@")
    assert states(opened) == ["late"]
    assert opened.find_element("css selector", ".status").text == "1 of 1 queries shown."
    opened.find_element("css selector", "input[name=text]").send_keys("nowhere")
    assert opened.find_element("css selector", ".status").text == "No query matches the filter."


def test_filter_by_keyboard(opened: "Chrome") -> None:
    from selenium.webdriver.common.keys import Keys

    assert states(opened) == ["late"] * 4 + ["unanswerable"] + ["correct"] * 4
    opened.find_element("css selector", "input[name=kind]:checked").send_keys(Keys.ARROW_RIGHT)
    assert set(states(opened)) == {"late"}
    opened.find_element("css selector", "input[name=kind]:checked").send_keys(Keys.ARROW_LEFT)
    opened.find_element("css selector", "input[value=worst]").send_keys(Keys.ARROW_RIGHT)
    assert sorted(states(opened)) == ["correct"] * 4 + ["late"] * 4 + ["unanswerable"]
    places = ask(opened, "[...document.querySelectorAll('.cards > li')].map(card => +card.dataset.sample)")
    assert places == list(range(9))


def test_many_queries_are_shown_in_portions(opened: "Chrome") -> None:
    more = "const list = document.querySelector('.cards'); const first = list.firstElementChild;"
    opened.execute_script(f"{more} for (let i = 0; i < 40; i++) list.append(first.cloneNode(true));")
    script = ask(opened, "document.scripts[0].textContent")
    opened.execute_script(script)
    assert len(states(opened)) == 24
    button = opened.find_element("css selector", ".more")
    button.send_keys("\n")
    assert len(states(opened)) == 48
    button.send_keys("\n")
    assert len(states(opened)) == 49
    assert not button.is_displayed()


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_page_does_not_scroll_sideways(opened: "Chrome", width: int) -> None:
    look(opened, width=width)
    assert ask(opened, "document.documentElement.scrollWidth") <= width
    captions = "[...document.querySelectorAll('caption span')].map(span => span.getBoundingClientRect().right)"
    assert max(ask(opened, captions)) <= width, "captions stay visible if the table is wider than the window"
    assert ask(opened, "[...document.querySelectorAll('nav a')].every(link => link.scrollWidth <= link.clientWidth)")
    links = "[...document.querySelectorAll('nav a')].map(link => link.getBoundingClientRect().right)"
    assert max(ask(opened, links)) <= width
    scale = "text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width"
    size = f"parseFloat(getComputedStyle(text).fontSize) * {scale}"
    assert min(ask(opened, f"[...document.querySelectorAll('.charts svg text')].map(text => {size})")) >= 11


def test_page_follows_the_colour_scheme(opened: "Chrome") -> None:
    colours = "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"
    fill = "getComputedStyle(document.querySelector('#throughput path[style*=accent]')).fill"
    light = [*ask(opened, colours), ask(opened, fill)]
    look(opened, width=1200, scheme="dark")
    assert [*ask(opened, colours), ask(opened, fill)] == ["rgb(20, 23, 28)", "rgb(232, 234, 237)", "rgb(99, 180, 238)"]
    assert light == ["rgb(254, 254, 254)", "rgb(26, 29, 33)", "rgb(0, 104, 171)"]


def test_phone_shows_six_cards_and_stacked_tables(opened: "Chrome") -> None:
    look(opened, width=390)
    opened.refresh()
    assert len(states(opened)) == 6
    cell = "document.querySelector('.stacked tbody td')"
    assert ask(opened, f"getComputedStyle({cell}, '::before').content") == '"R@1"'
    assert ask(opened, f"getComputedStyle({cell}).display") == "block"


@pytest.mark.parametrize("by_keyboard", [False, True])
def test_mark_on_the_map_opens_the_queries_of_its_place(opened: "Chrome", by_keyboard: bool) -> None:
    opened.find_element("css selector", "input[value=correct]").click()
    mark = opened.find_element("css selector", "a.mark[aria-label^='0 of 1']")
    if by_keyboard:
        mark.send_keys("\n")
    else:
        mark.find_element("css selector", "path, use").click()
    assert states(opened) == ["unanswerable"]
    assert ask(opened, "document.activeElement.dataset.kind") == "unanswerable"
    opened.find_element("css selector", ".status button").click()
    assert len(states(opened)) == 9


@pytest.mark.parametrize("by_keyboard", [False, True])
def test_picture_is_enlarged_and_its_name_copied(opened: "Chrome", by_keyboard: bool) -> None:
    from selenium.webdriver.common.keys import Keys

    opened.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; };")
    path = ask(opened, "document.querySelector('.card').dataset.path")
    picture = opened.find_element("css selector", ".picture.query img")
    if by_keyboard:
        picture.send_keys(Keys.ENTER)
    else:
        picture.click()
    dialog = opened.find_element("css selector", "dialog")
    assert dialog.is_displayed()
    assert path in dialog.text
    dialog.find_element("css selector", ".copy").click()
    assert ask(opened, "window.copied") == path
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert "match 1, incorrect" in dialog.text
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert ask(opened, "document.activeElement.alt") == "query", "the focus returns"


def test_keyboard_stops_once_per_card(opened: "Chrome") -> None:
    from selenium.webdriver.common.keys import Keys

    assert ask(opened, "document.querySelectorAll('.card img[tabindex=\"0\"]').length") == 9
    opened.find_element("css selector", ".picture.query img").send_keys(Keys.ARROW_RIGHT)
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert ask(opened, "document.activeElement.alt").startswith("match 2")


def test_tooltip_shows_the_file_name_at_the_focus(opened: "Chrome") -> None:
    from selenium.webdriver.common.keys import Keys

    opened.execute_script("document.querySelector('.picture.positive img').focus()")
    assert "@2013" in opened.find_element("css selector", ".picture.positive .tip code").text
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert ask(opened, "document.activeElement.className") == "copy"
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert "positive" not in ask(opened, "document.querySelector('.tip')?.parentNode.className ?? ''")


def test_command_is_copied(opened: "Chrome") -> None:
    opened.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; };")
    opened.find_element("css selector", ".code .copy").click()
    assert ask(opened, "window.copied").endswith(COMMAND)
