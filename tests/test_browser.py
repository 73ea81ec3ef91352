"""The page in a real browser: what is moved there moves the running magnifier."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("no chromium and chromedriver", allow_module_level=True)

from pages import Watched, watched  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
Browser = Any


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Watched]:
    with watched(None) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Watched) -> Browser:
    browser.get(served.url)
    until(lambda: drawn(browser) > 1)
    return browser


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


def test_controls_move_the_running_magnifier(page: Browser, served: Watched) -> None:
    put(page, "#alpha-slide", 500)
    until(lambda: abs(served.magnifier.alpha - 31.6) < 0.1)
    alpha = find(page, "#alpha")
    alpha.clear()
    alpha.send_keys("7.5", Keys.ENTER)
    until(lambda: served.magnifier.alpha == 7.5)
    find(page, "#mode [value=temporal]").click()
    until(lambda: served.controls.mode == "temporal" and find(page, "#fl").is_displayed())
    find(page, "#unit [value='60']").click()
    for css, words in (("#fl", "48"), ("#fh", "120")):
        find(page, css).clear()
        find(page, css).send_keys(words, Keys.ENTER)
    until(lambda: served.magnifier.filter == served.controls.filter() and served.controls.fh == 2)
    assert served.controls.fl == pytest.approx(0.8)
    for layout in ("side", "split", "difference", "magnified"):
        find(page, f"#layout [value={layout}]").click()

        def shown(wanted: str = layout) -> bool:
            return served.controls.layout == wanted

        until(shown)
    find(page, "#motion_scale [value='0.5']").click()
    until(lambda: served.magnifier.motion_scale == 0.5)
    find(page, "#mode [value=static]").click()
    until(lambda: find(page, "#drift").is_displayed())
    find(page, "#drift").send_keys("0.25", Keys.ENTER)
    until(lambda: served.controls.drift == 0.25)
    assert not complaints(page)


def test_keys_do_what_they_do_in_the_window(page: Browser, served: Watched) -> None:
    def press(keys: str) -> None:
        ActionChains(page).send_keys(keys).perform()

    press("+")
    until(lambda: served.controls.alpha == 25)
    press("-")
    until(lambda: served.controls.alpha == 20)
    press("m")
    until(lambda: served.controls.mode == "dynamic")
    press("]")
    until(lambda: served.controls.mode == "temporal")
    press("s")
    until(lambda: served.controls.layout == "side")
    press(" ")
    until(lambda: served.controls.paused)
    until(lambda: find(page, "#state").text == "paused")
    press(" ")
    until(lambda: not served.controls.paused)
    ActionChains(page).key_down("c").perform()
    until(lambda: served.controls.original)
    ActionChains(page).key_up("c").perform()
    until(lambda: not served.controls.original)
    press("i")
    assert not find(page, "#facts").is_displayed()
    press("i")
    press("h")
    assert find(page, "#keys").is_displayed()
    press("h")
    assert not find(page, "#keys").is_displayed()
    press("r")
    until(lambda: "nothing to record to" in find(page, "#notice").text)
    assert not complaints(page)


def test_a_region_is_dragged_on_the_picture(page: Browser, served: Watched) -> None:
    canvas = find(page, "#picture").size
    scale = min(canvas["width"] / 320, canvas["height"] / 240)
    left = (canvas["width"] - 320 * scale) / 2
    x0, x1 = ((left + v * scale) / canvas["width"] for v in (80, 240))
    drag(page, "#picture", (x0, 0.25), (x1, 0.75))
    until(lambda: served.magnifier.region is not None)
    assert served.magnifier.region == pytest.approx((80, 60, 160, 120), abs=2)
    until(lambda: find(page, "#region").is_displayed())
    drag(page, "#picture", (0.5, 0.5), (0.5, 0.5))  # a click chooses nothing
    time.sleep(0.3)
    assert served.magnifier.region is not None
    find(page, "#whole").click()
    until(lambda: served.magnifier.region is None)
    find(page, "#layout [value=split]").click()
    until(lambda: find(page, "#wipe").is_displayed())
    ActionChains(page).drag_and_drop_by_offset(find(page, "#wipe"), -100, 0).perform()
    until(lambda: served.controls.wipe < 0.45)
    assert not complaints(page)


def test_a_click_on_the_spectrum_sets_the_band(page: Browser, served: Watched) -> None:
    tank = served.source.vibrations[0]
    served.controls.region = tank.region
    find(page, "#panel").click()
    until(lambda: find(page, "#peak").text.startswith(("1.9", "2.0")), 30)
    assert " BPM " in find(page, "#peak").text
    width = find(page, "#spectrum").size["width"]
    # The axis begins 48 px from the left, ends 6 px from the right, and at half the frame rate.
    at = (48 + (width - 54) * tank.hz / 10) / width
    drag(page, "#spectrum", (at, 0.5), (at, 0.5))
    until(lambda: served.controls.mode == "temporal")
    assert served.controls.fl < tank.hz < served.controls.fh < 1.4 * tank.hz
    drag(page, "#spectrum", (0.3, 0.5), (0.6, 0.5))
    until(lambda: served.controls.fh > 2 * served.controls.fl)
    assert not complaints(page)


def test_two_tabs_agree(page: Browser, served: Watched) -> None:
    """W09, with two pages."""
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    page.get(served.url)
    until(lambda: drawn(page) > 1)
    put(page, "#alpha-slide", 750)
    page.switch_to.window(first)
    until(lambda: find(page, "#alpha").get_attribute("value") == "178")
    for handle in page.window_handles:
        if handle != first:
            page.switch_to.window(handle)
            page.close()
    page.switch_to.window(first)


def test_a_lost_server_is_told_and_found_again(browser: Browser, tmp_path: Path) -> None:
    with watched(tmp_path) as served:
        port = served.port
        browser.get(served.url)
        until(lambda: drawn(browser) > 1)
    until(lambda: "No connection" in find(browser, "#why").text)
    assert find(browser, "#state").text == "no connection"
    with watched(tmp_path, port=port):
        before = drawn(browser)
        until(lambda: drawn(browser) > before + 1)
        assert not find(browser, "#veil").is_displayed()
        until(lambda: find(browser, "#state").text == "live")
    assert not complaints(browser)


def test_a_name_is_text_wherever_it_comes_from(browser: Browser, tmp_path: Path) -> None:
    """W12, in the page."""
    name = "<img src=x onerror=document.title='owned'>"
    with watched(tmp_path, name=name) as served:
        browser.get(served.url)
        until(lambda: find(browser, "#source").text == name)
        assert not browser.find_elements(By.CSS_SELECTOR, "#source img")
        assert "owned" not in browser.title.replace(name, "")
        violated = "fetch('http://192.0.2.1/').then(() => 'open', () => 'shut')"
        assert browser.execute_script(f"return {violated}") == "shut"
        assert any("Content Security Policy" in e["message"] for e in browser.get_log("browser"))


def test_beyond_this_machine_the_token_opens_the_page(browser: Browser, tmp_path: Path) -> None:
    with watched(tmp_path, host="0.0.0.0") as served:
        browser.get(served.url)
        assert "token" in find(browser, "body").text
        browser.get(f"{served.url}/?token={served.sink.server.token}")
        until(lambda: drawn(browser) > 1)
        assert "token" not in browser.current_url
        browser.get(served.url)  # by now the cookie does
        until(lambda: drawn(browser) > 1)
    browser.get_log("browser")


def test_a_phone_sees_all_of_it(browser: Browser, served: Watched) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        browser.get(served.url)
        until(lambda: drawn(browser) > 1)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        sizes = "[...document.querySelectorAll('#actions button')].map(b => b.offsetHeight)"
        assert min(h for h in browser.execute_script(f"return {sizes}") if h) >= 44
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_tab_that_was_hidden_goes_on_within_a_second(page: Browser, served: Watched) -> None:
    """W11: hidden for five minutes, then back."""
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    until(lambda: served.sink.server.hub.watching == 0)
    time.sleep(300)
    assert len(served.sink.server.hub.viewers) == 1
    start = time.monotonic()
    page.close()
    page.switch_to.window(first)
    before = drawn(page)
    until(lambda: drawn(page) > before)
    assert time.monotonic() - start < 1.0
