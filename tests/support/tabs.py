"""A real browser for tests, and helpers that operate the page in it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1", "--window-size=1280,900",
)  # fmt: skip
Browser = Any


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Start Chromium with a profile folder; skip the test if it is not installed."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def console_errors(page: Browser) -> list[str]:
    """Messages of the console, without those of a page that looks for an earlier test's server."""
    messages = [entry["message"] for entry in page.get_log("browser")]
    return [message for message in messages if "ERR_CONNECTION_REFUSED" not in message]


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until a condition is true; fail after the given time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.05)


def find(page: Browser, css: str) -> Any:
    """Return the first element that a CSS selector matches."""
    return page.find_element(By.CSS_SELECTOR, css)


def pictures_drawn(page: Browser) -> int:
    """Number of pictures that the page has drawn."""
    return int(find(page, "#picture").get_attribute("data-drawn") or 0)


def drag(page: Browser, css: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse within an element; positions are fractions of its width and height."""
    element = find(page, css)
    size = element.size
    (x, y), (right, down) = (
        [round((p - 0.5) * size[k]) for p, k in zip(place, ("width", "height"), strict=True)]
        for place in (start, end)
    )
    chain = ActionChains(page).move_to_element_with_offset(element, x, y).click_and_hold()
    chain.move_by_offset(right - x, down - y).release().perform()


def enter(page: Browser, css: str, text: str, key: str = Keys.ENTER) -> None:
    """Replace the text of an input as a user does, and press a key."""
    find(page, css).send_keys(Keys.CONTROL, "a")
    find(page, css).send_keys(text or Keys.DELETE, key)


def move_slider(page: Browser, css: str, value: object) -> None:
    """Set a slider's value and dispatch the event that a user's move would cause."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    page.execute_script(script, find(page, css), value)
