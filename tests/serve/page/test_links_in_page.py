"""Several databases, and links to results."""

import copy
from typing import TYPE_CHECKING

import polars as pl
import pytest

from evaluation.localization.localize import Localizer
from tests.chromium import ask
from tests.serve.client import TOKEN, Client
from tests.serve.page.conftest import enter_token, open_page, opened_with, texts, upload, wait

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

COPIED = "navigator.clipboard.writeText = async (text) => { window.copied = text; };"

HOLD = """
const { fetch } = window;
window.sent = [];
const released = new Promise((resolve) => { window.release = resolve; });
window.fetch = async (path, options) => {
  if (options.method === 'POST') {
    window.sent.push(new URLSearchParams(path.split('?')[1]).get('database'));
    await released;
  }
  return fetch(path, options);
};
"""


def choose(browser: "Chrome", database: str) -> None:
    """Choose a database, and wait until it is open."""
    from selenium.webdriver.support.select import Select

    browser.execute_script("document.getElementById('caption').textContent = 'old'")
    Select(browser.find_element("id", "database")).select_by_value(database)
    wait(browser, "caption !== 'old'")


@pytest.fixture(scope="module")
def cities(localizer: Localizer) -> dict[str, Localizer]:
    """Two databases: the second one is 1 degree farther north."""
    other = copy.copy(localizer)
    other.images = localizer.images.with_columns(pl.col("latitude") + 1)
    return {"south": localizer, "north": other}


def copy_link(browser: "Chrome") -> str:
    browser.execute_script(COPIED)
    browser.find_element("css selector", ".link").click()
    wait(browser, "document.querySelector('.link').textContent === 'Copied'")
    return str(ask(browser, "window.copied"))


def test_the_chosen_database_localizes_the_photos_again(
    browser: "Chrome", cities: dict[str, Localizer], photos: list[str]
) -> None:
    with opened_with(browser, cities):
        upload(browser, photos[:2])
        browser.find_element("css selector", ".pick").click()
        assert "36.140000" in texts(browser, ".estimate")[0]
        choose(browser, "north")
        wait(browser, "document.querySelector('.estimate')?.textContent.includes('37.140000')")
        wait(browser, "status === '2 of 2 photos done.'")
        choose(browser, "south")
        wait(browser, "document.querySelector('.estimate')?.textContent.includes('36.140000')")
        assert texts(browser, "#result h2") == ["red.png"], "the same photo stays picked"


def test_a_change_of_the_database_and_back_localizes_no_photo_twice(
    browser: "Chrome", cities: dict[str, Localizer], photos: list[str]
) -> None:
    with opened_with(browser, cities):
        browser.execute_script(HOLD)
        browser.find_element("id", "files").send_keys("\n".join(photos[:2]))
        wait(browser, "window.sent.length === 2")
        for database in ("north", "south"):
            choose(browser, database)
            wait(browser, "status === '0 of 2 photos done.'")
        browser.execute_script("window.release()")
        wait(browser, "status === '2 of 2 photos done.'")
        assert ask(browser, "window.sent") == ["south", "south", "north"]
        assert "36.140000" in texts(browser, ".estimate")[0]


def test_a_link_shows_the_result_in_a_new_tab(
    browser: "Chrome", cities: dict[str, Localizer], photos: list[str]
) -> None:
    with opened_with(browser, cities) as client:
        choose(browser, "north")
        upload(browser, photos[1:2])
        link = copy_link(browser)
        assert link.startswith(f"http://127.0.0.1:{client.port}/#result=")
        first = browser.current_window_handle
        browser.switch_to.new_window("tab")
        browser.get(link)
        wait(browser, "document.querySelector('#result h2')?.textContent === 'blue.jpg'")
        assert "37.140000" in texts(browser, ".estimate")[0]
        assert ask(browser, "document.getElementById('database').value") == "north"
        assert len(texts(browser, ".matches li")) == 4
        wait(browser, "document.querySelector('.own').naturalWidth > 0")
        choose(browser, "south")
        wait(browser, "document.querySelector('.state').textContent === 'Only in north'")
        browser.close()
        browser.switch_to.window(first)


def test_a_link_that_is_no_longer_kept_says_so(browser: "Chrome", client: Client) -> None:
    open_page(browser, client, "#result=nothing")
    wait(browser, "status === 'This result is no longer kept. Localize the photo again.'")


def test_another_token_keeps_the_database(browser: "Chrome", cities: dict[str, Localizer], photos: list[str]) -> None:
    with opened_with(browser, cities, token=TOKEN):
        enter_token(browser)
        wait(browser, "facts.startsWith('Tiny-8')")
        choose(browser, "north")
        browser.execute_script("sessionStorage.setItem('token', 'that of before')")
        upload(browser, photos[:1])
        enter_token(browser)
        wait(browser, "document.querySelector('.estimate')?.textContent.includes('.140000')")
        assert "37.140000" in texts(browser, ".estimate")[0]
        assert ask(browser, "document.getElementById('database').value") == "north"


def test_a_single_database_needs_no_choice(opened: "Chrome") -> None:
    assert not opened.find_element("id", "database").is_displayed()
