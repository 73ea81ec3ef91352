"""The page in a real browser: what is moved there moves the running magnifier."""

import re
import time
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rtmag.realtime.cli.controls import make_controls
from rtmag.realtime.controls import Controls
from rtmag.realtime.presets import PresetName
from tests.support.pages import Watched, watched
from tests.support.tabs import Browser, complaints, drag, drawn, find, put, until

LAYOUTS = {
    "side": "original",
    "split": "original",
    "difference": "magnified less original; grey is no change",
    "original": "original",
    "magnified": "",
}
"""What is written over the left of the picture in each."""


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
