"""The page in a real browser: what is moved there moves the running magnifier."""

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("no chromium and chromedriver", allow_module_level=True)

from fakes import ENVIRONMENT  # noqa: E402
from pages import Watched, watched  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from servers import ChaosProxy, free_port, mpegts, paced, serving  # noqa: E402

from rtmag.realtime.bands import PresetName  # noqa: E402
from rtmag.realtime.combination import make_controls  # noqa: E402
from rtmag.realtime.filters import Sections, State  # noqa: E402
from rtmag.realtime.frame import Image  # noqa: E402
from rtmag.realtime.identity import IdentityEngine  # noqa: E402
from rtmag.realtime.keys import Controls  # noqa: E402
from rtmag.realtime.opencv import cv2  # noqa: E402
from rtmag.realtime.recorder import VideoSink  # noqa: E402
from rtmag.realtime.writer import Writer  # noqa: E402

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
)  # fmt: skip
LAYOUTS = {
    "side": "original",
    "split": "original",
    "difference": "magnified less original; grey is no change",
    "original": "original",
    "magnified": "",
}
"""What is written over the left of the picture in each."""
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
    for layout, named in LAYOUTS.items():
        find(page, f"#layout [value={layout}]").click()

        def shown(wanted: tuple[str, str] = (layout, named)) -> bool:
            return (served.controls.layout, find(page, ".tag.left").text) == wanted

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


def test_a_region_is_chosen_by_keyboard(page: Browser, served: Watched) -> None:
    """On the picture, once it has the focus; nothing is magnified anew before it is taken."""
    picture, where = find(page, "#picture"), find(page, "#where")

    def told() -> tuple[tuple[int, ...], bool]:
        """The region, and whether it waits to be taken."""
        numbers = [int(number) for number in re.findall(r"\d+", where.text)]
        return (*numbers[2:], *numbers[:2]), where.text.endswith("…")

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    def resize(key: str) -> None:
        ActionChains(page).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()

    press(Keys.TAB)
    assert page.switch_to.active_element == picture
    assert picture.accessible_name == "The live picture"
    assert picture.value_of_css_property("outline-style") == "solid"
    press(Keys.ENTER)
    until(lambda: told() == ((80, 60, 160, 120), True))
    press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    resize(Keys.ARROW_RIGHT)
    resize(Keys.ARROW_UP)
    until(lambda: told() == ((96, 52, 168, 112), True))
    assert find(page, "#region").is_displayed()
    assert served.magnifier.region is None
    press(Keys.ENTER)
    until(lambda: served.magnifier.region == (96, 52, 168, 112))
    until(lambda: told() == ((96, 52, 168, 112), False))
    for _ in range(30):  # as far as the picture goes
        press(Keys.ARROW_DOWN)
        resize(Keys.ARROW_LEFT)
    until(lambda: told() == ((96, 128, 16, 112), True))
    press(Keys.ESCAPE)
    until(lambda: told() == ((96, 52, 168, 112), False))
    assert served.magnifier.region == (96, 52, 168, 112)
    press(Keys.ESCAPE)
    until(lambda: served.magnifier.region is None)
    press("h")
    until(lambda: "begin a region" in find(page, "#keys").text)
    press("h", Keys.ARROW_RIGHT, Keys.TAB)  # who leaves the picture has not taken it
    until(lambda: where.text.startswith("whole picture"))
    assert not complaints(page)


def test_a_click_on_the_spectrum_sets_the_band(page: Browser, served: Watched) -> None:
    tank = served.source.vibrations[0]
    served.controls.region = tank.region
    find(page, "#panel").click()
    until(lambda: find(page, "#peak").text.startswith(("1.9", "2.0")), 30)
    assert "/min" in find(page, "#peak").text
    width = find(page, "#spectrum").size["width"]
    # The axis begins 48 px from the left, ends 6 px from the right, and at half the frame rate.
    at = (48 + (width - 54) * tank.hz / 10) / width
    drag(page, "#spectrum", (at, 0.5), (at, 0.5))
    until(lambda: served.controls.mode == "temporal")
    assert served.controls.fl < tank.hz < served.controls.fh < 1.4 * tank.hz
    drag(page, "#spectrum", (0.3, 0.5), (0.6, 0.5))
    until(lambda: served.controls.fh > 2 * served.controls.fl)
    assert not complaints(page)


def test_a_preset_is_chosen_or_refused_in_words(browser: Browser, tmp_path: Path) -> None:
    with watched(tmp_path, fps=14.0) as served:
        browser.get(served.url)
        until(lambda: browser.find_elements(By.CSS_SELECTOR, "#preset [value=pulse]"))
        assert not browser.find_elements(By.CSS_SELECTOR, "#preset [aria-pressed=true]")
        names: tuple[PresetName, ...] = ("breath", "building", "pulse")
        for name in names:
            find(browser, f"#preset [value={name}]").click()
            wanted = make_controls(preset=name)
            until(partial(is_set, served, wanted))
            assert served.magnifier.alpha == wanted.alpha
            until(partial(shows, browser, name))
        assert find(browser, "#fh").get_attribute("value") == "120"  # beats a minute
        find(browser, "#preset [value=machine]").click()
        until(lambda: "needs more than 28 frames a second" in find(browser, "#notice").text)
        assert chosen(browser) == ["pulse"]
        put(browser, "#alpha-slide", 500)
        until(lambda: served.controls.alpha > 31)
        assert chosen(browser) == ["pulse"]  # alpha is as you like it
        find(browser, "#mode [value=static]").click()
        until(lambda: not chosen(browser))
    assert not complaints(browser)


def is_set(served: Watched, wanted: Controls) -> bool:
    return served.magnifier.filter == wanted.filter()


def shows(page: Browser, preset: str) -> bool:
    return chosen(page) == [preset]


def chosen(page: Browser) -> list[str]:
    """Which presets the page shows as set."""
    found = page.find_elements(By.CSS_SELECTOR, "#preset [aria-pressed=true]")
    return [each.get_attribute("value") for each in found]


def test_all_of_it_works_without_a_mouse(page: Browser, served: Watched) -> None:
    names = "[...document.querySelectorAll('button, input, select, [tabindex]')].filter(e => "
    names += "e.checkVisibility()).map(e => e.computedName ?? (e.ariaLabel || e.title || "
    names += "e.textContent.trim() || e.labels?.[0]?.textContent))"
    assert all(page.execute_script(f"return {names}"))
    seen = []
    for _ in range(40):
        ActionChains(page).send_keys(Keys.TAB).perform()
        element = page.switch_to.active_element
        seen.append(element.get_attribute("id") or element.get_attribute("value"))
        if seen[-1] == "panel":
            break
        assert element.value_of_css_property("outline-style") == "solid", seen[-1]
    order = [
        "picture",
        "pause",
        "compare",
        "record",
        "pulse",
        "alpha",
        "static",
        "magnified",
        "panel",
    ]
    assert [each for each in seen if each in order] == order
    page.execute_script("document.getElementById('compare').focus()")
    ActionChains(page).key_down(Keys.SPACE).perform()
    until(lambda: served.controls.original)
    ActionChains(page).key_up(Keys.SPACE).perform()
    until(lambda: not served.controls.original)
    page.execute_script("document.getElementById('alpha-slide').focus()")
    ActionChains(page).send_keys(Keys.END).perform()
    until(lambda: served.controls.alpha == pytest.approx(1000))
    slide = find(page, "#alpha-slide")
    until(lambda: slide.get_attribute("aria-valuetext") == "1000 times")
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


class Failing(IdentityEngine):
    """Raises while it is broken."""

    broken = False

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        if self.broken:
            raise RuntimeError("CUDA error 700")
        return super().step(image, alpha, sections, state)


def test_a_model_that_fails_is_told_on_the_page(browser: Browser) -> None:
    """F10: what passes unmagnified is shown, but nobody takes it for magnified."""
    engine = Failing()
    with watched(None, engine=engine) as served:
        browser.get(served.url)
        until(lambda: drawn(browser) > 1)
        notice = find(browser, "#notice")
        assert not notice.is_displayed()
        engine.broken = True
        until(lambda: notice.text == "not magnified: CUDA error 700")
        assert "bad" in notice.get_attribute("class").split()
        before = drawn(browser)
        until(lambda: drawn(browser) > before + 1)
        assert notice.is_displayed()
        engine.broken = False
        until(lambda: not notice.is_displayed())
    assert not complaints(browser)


@contextmanager
def streaming(address: str, *more: str) -> Iterator[str]:
    """The whole program with a stream; yields the address of its page."""
    how = ["--view", "web", "--port", "0", "--model", "none", *more]
    run = [sys.executable, "-m", "rtmag.realtime.cli", "stream", address, *how]
    with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline().rpartition("open ")[2].strip()
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_the_page_says_what_is_waited_for(browser: Browser) -> None:
    """The whole program, begun before its camera: page and address are there from the start."""
    port = free_port()
    with streaming(f"tcp://127.0.0.1:{port}", "--wait") as page:
        browser.get(page)
        waiting = rf"waiting for tcp://127\.0\.0\.1:{port} \([1-9]\d* s\)"
        until(lambda: re.fullmatch(waiting, find(browser, "#why").text))
        assert re.fullmatch(waiting, find(browser, "#state").text)
        with serving(paced(mpegts(300, (160, 120)), 10, forever=True), port):
            until(lambda: drawn(browser) > 1)
            until(lambda: not find(browser, "#veil").is_displayed())
            until(lambda: find(browser, "#state").text == "live")
    browser.get_log("browser")


def test_a_stream_that_is_cut_is_told_and_comes_back(browser: Browser) -> None:
    """F02, seen on the page: the last picture stays, and new ones come soon after the network."""
    camera = serving(paced(mpegts(300, (160, 120)), 10, forever=True))
    with (
        camera as (port, _),
        ChaosProxy(port) as proxy,
        streaming(f"tcp://127.0.0.1:{proxy.port}") as page,
    ):
        browser.get(page)
        state = find(browser, "#state")
        until(lambda: drawn(browser) > 5 and state.text == "live")
        proxy.cut()
        until(lambda: re.fullmatch(r"reconnecting \([1-9]\d* s\)", state.text), 7)
        before = drawn(browser)
        time.sleep(1.5)
        assert drawn(browser) == before
        assert not find(browser, "#veil").is_displayed()
        assert state.text.startswith("reconnecting")
        proxy.heal()
        until(lambda: drawn(browser) > before, 3.5)
        until(lambda: state.text == "live", 1)
        until(lambda: drawn(browser) > before + 30)
    assert not complaints(browser)


def test_what_is_shown_is_recorded(browser: Browser, tmp_path: Path) -> None:
    """On the server, whose file the page names."""
    path = tmp_path / "hum.mp4"

    def record() -> Writer:
        return Writer(VideoSink(path, fps=20.0), name=path.name)

    with watched(tmp_path, record=record) as served:
        browser.get(served.url)
        until(lambda: drawn(browser) > 1)
        button = find(browser, "#record")
        assert not find(browser, "#rec").is_displayed()
        button.click()
        until(lambda: button.text == "Stop" and find(browser, "#rec").is_displayed())
        before = drawn(browser)
        until(lambda: drawn(browser) > before + 20)
        assert not path.exists()
        button.click()
        until(lambda: find(browser, "#notice").text == "recording saved as hum.mp4")
        until(lambda: button.text == "Record" and not find(browser, "#rec").is_displayed())
        with av.open(str(path)) as container:
            pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(pictures) > 20
    assert {picture.shape for picture in pictures} == {(240, 320, 3)}
    assert not complaints(browser)


def test_a_snapshot_is_the_picture_that_is_shown(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    allowed = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    with watched(tmp_path) as served:
        browser.get(served.url)
        until(lambda: drawn(browser) > 1)
        find(browser, "#pause").click()
        until(lambda: find(browser, "#state").text == "paused")
        time.sleep(0.3)  # what was on its way is drawn
        find(browser, "#snap").click()
        until(lambda: list(folder.glob("rtmag-*.png")))
        (path,) = folder.glob("*.png")
        script = "return document.getElementById('picture').toDataURL('image/png')"
        shown = base64.b64decode(browser.execute_script(script).partition(",")[2])
    saved, wanted = (
        np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        for data in (path.read_bytes(), shown)
    )
    assert saved.shape == (240, 320, 3)
    assert saved.std() > 20
    assert (saved == wanted).all()
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


@pytest.fixture(params=[(390, 844), (844, 390)], ids=["upright", "sideways"])
def phone(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Browser]:
    width, height = request.param
    screen = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    yield browser
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_phone_sees_all_of_it(phone: Browser, served: Watched) -> None:
    phone.get(served.url)
    until(lambda: drawn(phone) > 1)
    width, height = phone.execute_script("return [innerWidth, innerHeight]")
    assert phone.execute_script("return document.documentElement.scrollWidth") == width
    sizes = "[...document.querySelectorAll('#actions button')].map(b => b.offsetHeight)"
    assert min(h for h in phone.execute_script(f"return {sizes}") if h) >= 44
    picture, actions, scale = (
        phone.execute_script(f"return document.querySelector('{css}').getBoundingClientRect()")
        for css in ("#picture", "#actions", "#motion_scale")
    )
    assert picture["height"] > 0.3 * height
    assert actions["bottom"] <= height
    # Scrolled to the last setting, the picture and the buttons are still there.
    phone.execute_script(f"scrollTo(0, {scale['top'] - height / 2})")
    stays = "return document.querySelector('#actions').getBoundingClientRect().bottom"
    assert 0 < phone.execute_script(stays) <= height


def test_a_finger_chooses_a_region(phone: Browser, served: Watched) -> None:
    phone.get(served.url)
    until(lambda: drawn(phone) > 1)
    box = phone.execute_script("return document.querySelector('#picture').getBoundingClientRect()")
    scale = min(box["width"] / 320, box["height"] / 240)
    left = box["left"] + (box["width"] - 320 * scale) / 2
    top = box["top"] + (box["height"] - 240 * scale) / 2

    def touch(kind: str, *place: float) -> None:
        points = [{"x": left + place[0] * scale, "y": top + place[1] * scale}] if place else []
        event = {"type": kind, "touchPoints": points}
        phone.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    touch("touchStart", 60, 40)
    for step in range(1, 11):
        touch("touchMove", 60 + 5 * step, 40 + 15 * step)  # steep, as one scrolls
    touch("touchEnd")
    until(lambda: served.magnifier.region is not None)
    assert served.magnifier.region == pytest.approx((60, 40, 50, 150), abs=3)
    assert phone.execute_script("return scrollY") == 0


HOSTILE = """<!doctype html><title>hostile</title><script>
const target = "TARGET", found = {};
const loads = (tag, key, path) => new Promise((done) => {
  const element = document.createElement(tag);
  element.onload = () => done("loaded");
  element.onerror = () => done("refused");
  element[key] = target + path;
  document.head.append(element);
});
const reads = async (path, options) => {
  try {
    return (await (await fetch(target + path, options)).text()) ? "read" : "empty";
  } catch { return "refused"; }
};
const socket = new Promise((done) => {
  const line = new WebSocket(target.replace("http", "ws") + "ws");
  line.onopen = () => { line.send('{"set": {"alpha": 999}}'); done("opened"); };
  line.onerror = () => done("refused");
});
const frame = new Promise((done) => {
  const element = document.createElement("iframe");
  element.onload = () => done(element.contentDocument ? "read" : "refused");
  element.src = target;
  document.documentElement.append(element);
});
(async () => {
  found.socket = await socket;
  found.read = await reads("metrics");
  found.credentials = await reads("healthz", { credentials: "include" });
  found.blind = await reads("", { mode: "no-cors", credentials: "include" });
  found.post = await reads("", { method: "POST", mode: "no-cors", body: "{}" });
  found.image = await loads("img", "src", "icon.svg");
  found.script = await loads("script", "src", "app.js");
  found.frame = await frame;
  document.body.textContent = JSON.stringify(found);
})();
</script><body></body>"""


@contextmanager
def hostile(target: str) -> Iterator[str]:
    """A page of somebody else's, that tries what a page can."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(HOSTILE.replace("TARGET", target).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_page_of_another_site_gets_nothing(browser: Browser, tmp_path: Path, host: str) -> None:
    """W03, in a browser that has been on our page and holds its cookie."""
    with watched(tmp_path, host=host) as served, hostile(f"{served.url}/") as address:
        browser.get(f"{served.url}/?token={served.sink.server.token}")
        until(lambda: drawn(browser) > 1)
        browser.get(address)
        until(lambda: find(browser, "body").text.startswith("{"))
        found = json.loads(find(browser, "body").text)
        assert set(found.values()) <= {"refused", "empty"}, found
        browser.switch_to.frame(find(browser, "iframe"))
        assert not browser.find_elements(By.CSS_SELECTOR, "#picture")
        browser.switch_to.default_content()
        assert served.controls.alpha == 20
    browser.get_log("browser")


def test_a_name_that_is_rebound_to_this_machine_gets_nothing(
    browser: Browser, served: Watched
) -> None:
    """W02, with a name server that says the name of theirs is this machine."""
    browser.get(f"http://rebound.example:{served.port}/")
    assert "another name" in find(browser, "body").text
    browser.get_log("browser")


def test_who_is_refused_is_told_why(browser: Browser, tmp_path: Path) -> None:
    with watched(tmp_path, viewers=1) as served, served.connect():
        browser.get(served.url)
        until(lambda: "As many are watching as may" in find(browser, "#why").text)
    with watched(tmp_path, host="0.0.0.0") as served:
        port = served.port
        browser.get(f"{served.url}/?token={served.sink.server.token}")
        until(lambda: drawn(browser) > 1)
    with watched(tmp_path, host="0.0.0.0", port=port):  # which has another token
        until(lambda: "ends in a token" in find(browser, "#why").text)
    browser.get_log("browser")


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
