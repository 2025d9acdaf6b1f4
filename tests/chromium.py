"""Debian's Chromium, headless, for tests of pages."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_CHROMIUM = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt-get install chromium-driver"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("selenium") is None, reason="selenium is not installed: see the extra dev"
    ),
]
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chrome"]:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    folder = tmp_path_factory.mktemp("chromium")
    for argument in (*QUIET, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options=options, service=ChromeService(str(DRIVER)))
    yield browser
    browser.quit()


def visit(browser: "Chrome", url: str) -> "Chrome":
    """Open a page in a wide, light window, with empty logs."""
    look(browser, width=1200)
    browser.get("about:blank")  # the start page makes requests of its own
    for log in ("browser", "performance"):
        browser.get_log(log)  # type: ignore[no-untyped-call]
    browser.get(url)
    return browser


def look(browser: "Chrome", width: int, scheme: str = "light") -> None:
    """Set the width of the window in pixels and the colour scheme of the system."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}, still]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def ask(browser: "Chrome", expression: str) -> Any:
    return browser.execute_script(f"return {expression}")


def requested(browser: "Chrome") -> list[str]:
    """Return the addresses that were requested since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    return [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
