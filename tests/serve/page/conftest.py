"""The page of a server, open in Chromium."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evaluation.localization.localize import Localizer
from tests.chromium import NEEDS_CHROMIUM, ask, visit
from tests.chromium import browser as browser
from tests.serve.client import TOKEN, Client, photo_of, with_gps
from tests.serve.conftest import running

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

POLL_S = 0.02  # selenium's default is 0.5 seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for mark in NEEDS_CHROMIUM:
                item.add_marker(mark)


@pytest.fixture
def opened(browser: "Chrome", client: Client) -> "Chrome":
    return open_page(browser, client)


def open_page(browser: "Chrome", client: Client, anchor: str = "") -> "Chrome":
    visit(browser, f"http://127.0.0.1:{client.port}/{anchor}")
    wait(browser, "facts !== 'Loading the database'")
    return browser


@contextmanager
def opened_with(browser: "Chrome", localizer: Localizer | dict[str, Localizer], **options: object) -> Iterator[Client]:
    """Open the page of another server while a context lasts."""
    with running(localizer, **options) as client:  # type: ignore[arg-type]
        open_page(browser, client)
        yield client
        browser.get("about:blank")  # ends its connections


def with_position(colour: str, latitude: float, longitude: float) -> bytes:
    """Return a photo whose EXIF has a position; longitudes are west of Greenwich."""
    return with_gps({1: "N", 2: (latitude, 0.0, 0.0), 3: "W", 4: (-longitude, 0.0, 0.0)}, colour)


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    contents = {"red.png": photo_of("red"), "blue.jpg": photo_of("blue", (640, 480), "JPEG"), "broken.png": b"<html>"}
    return write(tmp_path, contents)


def write(folder: Path, contents: dict[str, bytes]) -> list[str]:
    """Write files, and return their paths for `upload`."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in contents]


def upload(browser: "Chrome", photos: Sequence[str]) -> None:
    browser.find_element("id", "files").send_keys("\n".join(photos))
    wait(browser, f"status === '{len(photos)} of {len(photos)} photos done.'")


def wait(browser: "Chrome", condition: str) -> None:
    """Wait for a condition about `status`, `facts` and `caption`, which are texts, and for the pictures of matches."""
    from selenium.webdriver.support.wait import WebDriverWait

    names = "['status', 'facts', 'caption'].map((id) => document.getElementById(id).textContent)"
    WebDriverWait(browser, 20, POLL_S).until(
        lambda _: browser.execute_script(f"const [status, facts, caption] = {names}; return {condition}")
    )
    loaded = "[...document.querySelectorAll('.enlarge img')].every((image) => image.complete && image.naturalWidth)"
    WebDriverWait(browser, 20, POLL_S).until(lambda _: ask(browser, loaded))


def enter_token(browser: "Chrome") -> None:
    """Enter the right token in place of what is in the field."""
    field = browser.find_element("name", "token")
    field.clear()
    field.send_keys(TOKEN + "\n")


def press(browser: "Chrome", *keys: str) -> None:
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def tab_to(browser: "Chrome", condition: str) -> None:
    """Press Tab until the element with the focus, `it`, fulfils a condition."""
    from selenium.webdriver.common.keys import Keys

    for _ in range(40):
        press(browser, Keys.TAB)
        if browser.execute_script(f"const it = document.activeElement; return {condition}"):
            return
    raise AssertionError(condition)


def texts(browser: "Chrome", selector: str) -> list[str]:
    return [each.text for each in browser.find_elements("css selector", selector)]
