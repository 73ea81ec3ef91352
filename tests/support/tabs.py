"""A real browser for tests, and what is done with the page in it."""

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

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1", "--window-size=1280,900",
)  # fmt: skip
Browser = Any


@contextmanager
def launched(folder: Path) -> Iterator[Browser]:
    """Chromium with a folder for what it keeps; skips where there is none."""
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


def complaints(page: Browser) -> list[str]:
    """What the console says, but for servers of earlier tests that the page before looked for."""
    found = [entry["message"] for entry in page.get_log("browser")]
    return [words for words in found if "ERR_CONNECTION_REFUSED" not in words]


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def find(page: Browser, css: str) -> Any:
    return page.find_element(By.CSS_SELECTOR, css)


def drawn(page: Browser) -> int:
    """How many pictures the page has drawn."""
    return int(find(page, "#picture").get_attribute("data-drawn") or 0)


def drag(page: Browser, css: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of an element to another, as shares of its size."""
    element = find(page, css)
    size = element.size
    (x, y), (right, down) = (
        [round((p - 0.5) * size[k]) for p, k in zip(place, ("width", "height"), strict=True)]
        for place in (start, end)
    )
    chain = ActionChains(page).move_to_element_with_offset(element, x, y).click_and_hold()
    chain.move_by_offset(right - x, down - y).release().perform()


def put(page: Browser, css: str, value: object) -> None:
    """Move a slider, as a hand would."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    page.execute_script(script, find(page, css), value)
