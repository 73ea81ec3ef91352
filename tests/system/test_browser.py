"""The page in a real browser: its controls change the running magnifier."""

import json
import re
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rtmag.realtime.cli.options import make_controls
from rtmag.realtime.controls import Controls, Playback
from rtmag.realtime.presets import PresetName
from tests.support.pages import ServedRun, serve
from tests.support.tabs import (
    Browser,
    console_errors,
    drag,
    enter,
    find,
    move_slider,
    pictures_drawn,
    wait_until,
)

LAYOUTS = {
    "side": "original",
    "split": "original",
    "difference": "magnified minus original; grey: no difference",
    "map": "",
    "original": "original",
    "magnified": "",
}
"""Label over the left of the picture in each layout."""


def test_controls_change_the_running_magnifier(page: Browser, served: ServedRun) -> None:
    move_slider(page, "#alpha-slide", 500)
    wait_until(lambda: abs(served.magnifier.alpha - 31.6) < 0.1)
    enter(page, "#alpha", "7.5")
    wait_until(lambda: served.magnifier.alpha == 7.5)
    find(page, "#mode [value=temporal]").click()
    wait_until(
        lambda: served.controls.filter.mode == "temporal" and find(page, "#fl").is_displayed()
    )
    find(page, "#unit [value=bpm]").click()
    # The page reads numbers in the unit that it shows.
    wait_until(lambda: "BPM" in find(page, "#band-hint").text)
    assert served.controls.unit == "bpm"
    for css, text in (("#fl", "48"), ("#fh", "120")):
        enter(page, css, text)
    wait_until(
        lambda: served.magnifier.filter == served.controls.filter and served.controls.band[1] == 2
    )
    assert served.controls.band[0] == pytest.approx(0.8)
    wait_until(lambda: find(page, "#band-hint").text.startswith("0.8 to 2 Hz. Must be below"))
    find(page, "#unit [value=Hz]").click()
    wait_until(lambda: find(page, "#band-hint").text.startswith("48 to 120 per minute. Must"))
    for layout, label in LAYOUTS.items():
        find(page, f"#layout [value={layout}]").click()

        def shown(expected: tuple[str, str] = (layout, label)) -> bool:
            return (served.controls.layout, find(page, ".tag.left").text) == expected

        wait_until(shown)
    find(page, "#motion_scale [value='0.5']").click()
    wait_until(lambda: served.magnifier.motion_scale == 0.5)
    find(page, "#mode [value=static]").click()
    wait_until(lambda: find(page, "#drift").is_displayed())
    enter(page, "#drift", "0.25")
    wait_until(lambda: served.controls.settings()["drift"] == 0.25)
    assert not console_errors(page)


NOT_ALPHA = "Magnification must be a number from -1000 to 1000."
NOT_A_BAND = "The lower edge must be above 0 and below the upper edge."


def test_a_refused_value_jumps_back_with_the_reason(page: Browser, served: ServedRun) -> None:
    """Every control shows what is in force."""

    def shown() -> dict[str, str]:
        return {css: find(page, css).get_attribute("value") for css in ("#alpha", "#fl", "#fh")}

    wait_until(lambda: served.controls.fps is not None and 19 < served.controls.fps < 21)
    served.controls.set_band(1, 3)
    in_force = {"#alpha": "20", "#fl": "1", "#fh": "3"}
    wait_until(lambda: shown() == in_force)
    refused = [
        ("#alpha", "-1001", NOT_ALPHA),
        ("#alpha", "5000", NOT_ALPHA),
        ("#alpha", "", NOT_ALPHA),
    ]
    refused += [("#fl", "4", NOT_A_BAND), ("#fh", "0.5", NOT_A_BAND), ("#fl", "-1", NOT_A_BAND)]
    refused += [("#fh", "12", "the band 1-12 Hz needs more than 24 frames/s")]
    for css, text, reason in refused:
        enter(page, css, text)
        notice = find(page, "#notice")
        wait_until(lambda text=reason, line=notice: line.text.startswith(text))  # type: ignore[misc]
        wait_until(lambda: shown() == in_force)
        page.execute_script("document.getElementById('notice').textContent = ''")
    assert (
        served.controls.settings() | {"alpha": 20, "fl": 1, "fh": 3} == served.controls.settings()
    )
    enter(page, "#alpha", "7", Keys.ESCAPE)
    wait_until(lambda: shown() == in_force)
    enter(page, "#fl", "5", Keys.TAB)  # above the present upper edge, which is edited next
    time.sleep(0.6)
    assert shown()["#fl"] == "5"
    enter(page, "#fh", "6")
    wait_until(lambda: served.controls.band == (5, 6))
    wait_until(lambda: shown() == {"#alpha": "20", "#fl": "5", "#fh": "6"})
    assert not console_errors(page)


def test_a_negative_magnification_reverses_the_motion(page: Browser, served: ServedRun) -> None:
    """The page accepts what the command line accepts."""
    enter(page, "#alpha", "-10")
    wait_until(lambda: served.magnifier.alpha == -10)
    slide, alpha = find(page, "#alpha-slide"), find(page, "#alpha")
    wait_until(lambda: slide.get_attribute("value") == "333")
    assert alpha.get_attribute("value") == "-10"
    move_slider(page, "#alpha-slide", 500)
    wait_until(lambda: served.magnifier.alpha == pytest.approx(-31.6, abs=0.1))
    assert not console_errors(page)


def test_a_value_that_the_server_limits_is_shown_as_limited(
    page: Browser, served: ServedRun
) -> None:
    """The server is the one that decides; the page must not keep what it asked for."""
    served.view.server.hub.on_request = lambda request: None  # accepts nothing
    move_slider(page, "#alpha-slide", 900)
    assert find(page, "#alpha").get_attribute("value") == "501"
    slide, alpha = find(page, "#alpha-slide"), find(page, "#alpha")
    wait_until(
        lambda: (slide.get_attribute("value"), alpha.get_attribute("value")) == ("434", "20")
    )


def test_keys_have_the_same_effect_as_in_the_window(page: Browser, served: ServedRun) -> None:
    def press(keys: str) -> None:
        ActionChains(page).send_keys(keys).perform()

    press("+")
    wait_until(lambda: served.controls.alpha == 25)
    press("-")
    wait_until(lambda: served.controls.alpha == 20)
    press("m")
    wait_until(lambda: served.controls.filter.mode == "dynamic")
    press("]")
    wait_until(lambda: served.controls.filter.mode == "temporal")
    press("s")
    wait_until(lambda: served.controls.layout == "side")
    press(" ")
    wait_until(lambda: served.controls.paused)
    wait_until(lambda: find(page, "#state").text == "paused")
    press(" ")
    wait_until(lambda: not served.controls.paused)
    ActionChains(page).key_down("c").perform()
    wait_until(lambda: served.controls.original)
    ActionChains(page).key_up("c").perform()
    wait_until(lambda: not served.controls.original)
    press("i")
    assert not find(page, "#facts").is_displayed()
    press("i")
    press("h")
    assert find(page, "#shortcuts").is_displayed()
    press("h")
    assert not find(page, "#shortcuts").is_displayed()
    press("r")
    wait_until(lambda: "recording is not possible" in find(page, "#notice").text)
    assert not console_errors(page)


def test_dragging_on_the_picture_selects_a_region(page: Browser, served: ServedRun) -> None:
    canvas = find(page, "#picture").size
    scale = min(canvas["width"] / 320, canvas["height"] / 240)
    left = (canvas["width"] - 320 * scale) / 2
    x0, x1 = ((left + v * scale) / canvas["width"] for v in (80, 240))
    drag(page, "#picture", (x0, 0.25), (x1, 0.75))
    wait_until(lambda: served.magnifier.region is not None)
    assert served.magnifier.region == pytest.approx((80, 60, 160, 120), abs=2)
    wait_until(lambda: find(page, "#region").is_displayed())
    drag(page, "#picture", (0.5, 0.5), (0.5, 0.5))  # a click selects nothing
    time.sleep(0.3)
    assert served.magnifier.region is not None
    find(page, "#reset-region").click()
    wait_until(lambda: served.magnifier.region is None)
    find(page, "#layout [value=split]").click()
    wait_until(lambda: find(page, "#wipe").is_displayed())
    ActionChains(page).drag_and_drop_by_offset(find(page, "#wipe"), -100, 0).perform()
    wait_until(lambda: served.controls.wipe < 0.45)
    assert not console_errors(page)


def test_a_region_is_selected_by_keyboard(page: Browser, served: ServedRun) -> None:
    """The picture has the focus; the magnifier keeps its region until the new one is confirmed."""
    picture, region_text = find(page, "#picture"), find(page, "#region-text")

    def shown() -> tuple[tuple[int, ...], bool]:
        """The region, and True if it is not confirmed yet."""
        numbers = [int(number) for number in re.findall(r"\d+", region_text.text)]
        return (*numbers[2:], *numbers[:2]), region_text.text.endswith("…")

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    def resize(key: str) -> None:
        ActionChains(page).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()

    press(Keys.TAB)
    assert page.switch_to.active_element == picture
    assert picture.accessible_name == "Live picture"
    assert picture.value_of_css_property("outline-style") == "solid"
    press(Keys.ENTER)
    wait_until(lambda: shown() == ((80, 60, 160, 120), True))
    press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    resize(Keys.ARROW_RIGHT)
    resize(Keys.ARROW_UP)
    wait_until(lambda: shown() == ((96, 52, 168, 112), True))
    assert find(page, "#region").is_displayed()
    assert served.magnifier.region is None
    press(Keys.ENTER)
    wait_until(lambda: served.magnifier.region == (96, 52, 168, 112))
    wait_until(lambda: shown() == ((96, 52, 168, 112), False))
    for _ in range(30):  # more than the picture has room for
        press(Keys.ARROW_DOWN)
        resize(Keys.ARROW_LEFT)
    wait_until(lambda: shown() == ((96, 128, 16, 112), True))
    press(Keys.ESCAPE)
    wait_until(lambda: shown() == ((96, 52, 168, 112), False))
    assert served.magnifier.region == (96, 52, 168, 112)
    press(Keys.ESCAPE)
    wait_until(lambda: served.magnifier.region is None)
    press("h")
    wait_until(lambda: "start, confirm a region" in find(page, "#shortcuts").text)
    press("h", Keys.ARROW_RIGHT, Keys.TAB)  # a draft ends when the picture loses the focus
    wait_until(lambda: region_text.text.startswith("Whole picture"))
    assert not console_errors(page)


def test_a_click_on_the_spectrum_sets_the_band(page: Browser, served: ServedRun) -> None:
    tank = served.source.vibrations[0]
    served.controls.region = tank.region
    find(page, "#motion-toggle").click()
    wait_until(lambda: find(page, "#peak").text.startswith(("1.9", "2.0")), 30)
    assert "/min" in find(page, "#peak").text
    use_peak = find(page, "#use-peak")
    wait_until(use_peak.is_enabled)
    use_peak.send_keys(Keys.ENTER)
    wait_until(lambda: served.controls.band[0] == pytest.approx(tank.hz / 1.25, rel=0.06))
    served.controls.set_mode("static")
    served.controls.paused = True  # the axis ends at half the rate of the measured frames
    wait_until(lambda: find(page, "#state").text == "paused")
    time.sleep(0.3)
    spectrum = find(page, "#spectrum")
    highest = float(spectrum.accessible_name.split("from 0 to ")[1].split(" Hz")[0])
    width = spectrum.size["width"]
    # The axis runs from 52 px (0 Hz) to 6 px from the right.
    at = (52 + (width - 58) * tank.hz / highest) / width
    drag(page, "#spectrum", (at, 0.5), (at, 0.5))
    wait_until(lambda: served.controls.filter.mode == "temporal")
    assert served.controls.band[0] < tank.hz < served.controls.band[1] < 1.4 * tank.hz
    drag(page, "#spectrum", (0.3, 0.5), (0.6, 0.5))
    wait_until(lambda: served.controls.band[1] > 2 * served.controls.band[0])
    assert not console_errors(page)


def names(served: ServedRun) -> list[str]:
    return [region.name for region in served.controls.regions]


def readings(page: Browser) -> list[str]:
    return [each.text for each in page.find_elements(By.CSS_SELECTOR, "#regions output")]


def test_regions_are_drawn_renamed_selected_and_deleted(page: Browser, served: ServedRun) -> None:
    """The region that is magnified stays as it is."""
    find(page, "#motion-toggle").click()
    find(page, "#add-region").click()
    assert "Drag on the picture" in find(page, "#tool-hint").text
    drag(page, "#picture", (0.4, 0.3), (0.48, 0.6))
    wait_until(lambda: names(served) == ["A"])
    assert not find(page, "#tool-hint").is_displayed()
    find(page, "#add-region").send_keys(Keys.ENTER)  # the second one by keyboard
    ActionChains(page).send_keys(Keys.ENTER, Keys.ARROW_RIGHT, Keys.ENTER).perform()
    wait_until(lambda: names(served) == ["A", "B"])
    assert served.controls.regions[1].box == (88, 60, 160, 120)
    assert served.magnifier.region is None
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, "#marks .chosen")) == 1)
    assert find(page, "#marks .chosen").text == "B"
    enter(page, "#regions input", "tank")
    wait_until(lambda: names(served) == ["tank", "B"])
    wait_until(lambda: find(page, "#marks .chosen").text == "tank")
    enter(page, "#regions input", "=1+1")
    wait_until(lambda: "letters, digits" in find(page, "#notice").text)
    assert find(page, "#regions input").get_attribute("value") == "tank"
    enter(page, "#regions input", "B")
    wait_until(lambda: find(page, "#regions input").get_attribute("value") == "tank")
    assert names(served) == ["tank", "B"]
    find(page, "#marks div:last-child button").click()
    wait_until(lambda: find(page, "#marks .chosen").text == "B")
    find(page, "#add-region").click()
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert find(page, "#add-region").get_attribute("aria-pressed") == "false"
    wait_until(lambda: any("Hz" in text for text in readings(page)), 30)
    find(page, "#regions li:last-child .remove").click()
    wait_until(lambda: names(served) == ["tank"])
    assert not console_errors(page)


def test_motion_is_shown_in_millimetres(page: Browser, served: ServedRun) -> None:
    served.controls.region = served.source.vibrations[0].region
    find(page, "#motion-toggle").click()
    enter(page, "#mm_per_px", "0.2")
    wait_until(lambda: served.controls.mm_per_px == 0.2)
    wait_until(lambda: "µm" in find(page, "#peak").text, 30)
    assert find(page, "#waveform-unit").text == find(page, "#spectrum-unit").text == "mm"
    enter(page, "#mm_per_px", "-1")
    wait_until(lambda: "above 0" in find(page, "#notice").text)
    assert served.controls.mm_per_px == 0.2
    find(page, "#draw-length").click()
    scale = find(page, "#picture").size["height"] / 240
    drag(page, "#picture", (0.5, 0.25), (0.5, 0.75))
    pixels = float(find(page, "#length-pixels").text)
    assert pixels == pytest.approx(120, abs=2 / scale + 1)
    enter(page, "#length", "60")
    wait_until(lambda: served.controls.mm_per_px == pytest.approx(0.5, rel=0.03))
    assert not find(page, "#length-part").is_displayed()
    enter(page, "#mm_per_px", "")
    wait_until(lambda: served.controls.mm_per_px is None)
    assert not console_errors(page)


def test_the_waveform_is_zoomed_from_an_envelope_to_samples(
    page: Browser, served: ServedRun
) -> None:
    find(page, "#motion-toggle").click()

    def drawn() -> str:
        return str(find(page, "#waveform").get_attribute("data-drawn"))

    wait_until(lambda: drawn() == "samples", 30)
    page.execute_async_script(FAST)
    assert drawn() == "envelope"
    find(page, "#waveform-in").click()
    waveform = find(page, "#waveform")
    for _ in range(3):
        origin = ScrollOrigin.from_element(waveform)
        ActionChains(page).scroll_from_origin(origin, 0, -600).perform()
    wait_until(lambda: drawn() == "samples")
    times = json.loads(waveform.get_attribute("data-labels"))
    assert len(times) >= 2
    waveform.send_keys("0")
    wait_until(lambda: drawn() == "envelope")
    assert served.controls.alpha == 20  # keys of the chart do not change the magnification
    waveform.send_keys("-", "+", Keys.ARROW_LEFT)
    assert served.controls.alpha == 20
    assert not console_errors(page)


def test_what_moves_is_found_and_measured_in_two_clicks(page: Browser, served: ServedRun) -> None:
    find(page, "#find").click()
    wait_until(lambda: find(page, "#find").text == "Stop")
    real = "return document.querySelector('#lines button:not(.doubtful)')"
    wait_until(lambda: page.execute_script(f"{real} !== null"), 60)
    assert page.execute_script(f"{real}.textContent").startswith(("2.0", "1.9", "5.0", "4.9"))
    hz = float(page.execute_script(f"{real}.textContent").split()[0])
    page.execute_script(f"{real}.click()".removeprefix("return "))
    wait_until(lambda: not served.controls.finding and served.controls.filter.mode == "temporal")
    assert served.controls.band[0] < hz < served.controls.band[1]
    wait_until(lambda: served.magnifier.filter == served.controls.filter)
    (region,) = served.controls.regions
    assert float(region.name.removesuffix(" Hz")) == pytest.approx(hz, abs=0.1)

    def reading() -> float:  # of the whole picture, until the region is measured
        text = str(find(page, "#peak").text)
        return float(text.split()[0]) if "Hz" in text else 0.0

    wait_until(lambda: abs(reading() - hz) < 0.15, 60)
    assert not console_errors(page)


def test_a_file_is_played_with_the_bar(page: Browser, served: ServedRun) -> None:
    assert not find(page, "#playback").is_displayed()
    playback = served.controls.playback = Playback(duration=10.0, position=3.0)
    wait_until(lambda: find(page, "#time").text == "0:03.00 / 0:10.00")
    playback.position = 7.5
    wait_until(lambda: find(page, "#time").text == "0:07.50 / 0:10.00")
    for css, field in (("#set-start", "start"), ("#set-end", "end")):
        find(page, css).click()
        wait_until(lambda field=field: getattr(playback, field) == 7.5)  # type: ignore[misc]
        find(page, css).click()
        wait_until(lambda field=field: getattr(playback, field) is None)  # type: ignore[misc]
    move_slider(page, "#seek", 2.25)
    wait_until(lambda: playback.target == 2.25)
    find(page, "#loop").click()
    wait_until(lambda: not playback.loop)
    find(page, "#speed [value='0.25']").click()
    wait_until(lambda: playback.speed == 0.25)
    find(page, "#step-on").click()
    wait_until(lambda: served.controls.paused and playback.steps == 1)
    assert not console_errors(page)


FAST = """
const done = arguments[0], old = document.getElementById("waveform"), canvas = old.cloneNode();
old.replaceWith(canvas);
import("/waveform.js").then(({ Waveform }) => {
  const t = Array.from({ length: 4000 }, (_, i) => i / 400), wave = t.map((v) => Math.sin(232 * v));
  const chart = new Waveform(canvas);
  chart.stroke = "#ffffff";
  chart.show([{ name: "fast", run: 1, t, x: wave, y: wave }]);
  chart.draw();
  document.getElementById("waveform-in").onclick = () => chart.step(-1);
  done();
});
"""
"""Show ten seconds of 37 Hz, filmed at 400 frames per second, in a chart of its own."""


def test_a_preset_is_applied_or_refused_with_a_reason(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path, fps=9.0) as served:
        browser.get(served.url)
        wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "#preset [value=pulse]"))
        assert not browser.find_elements(By.CSS_SELECTOR, "#preset [aria-pressed=true]")
        names: tuple[PresetName, ...] = ("breath", "building", "pulse")
        for name in names:
            find(browser, f"#preset [value={name}]").click()
            expected = make_controls(preset=name)
            wait_until(partial(is_set, served, expected))
            assert served.magnifier.alpha == expected.alpha
            wait_until(partial(shows, browser, name))
        assert find(browser, "#fh").get_attribute("value") == "120"  # beats per minute
        find(browser, "#preset [value=machine]").click()
        wait_until(
            lambda: "the band 5-14 Hz needs more than 28 frames/s" in find(browser, "#notice").text
        )
        assert active_presets(browser) == ["pulse"]
        move_slider(browser, "#alpha-slide", 500)
        wait_until(lambda: served.controls.alpha > 31)
        assert active_presets(browser) == ["pulse"]  # alpha may differ from the preset
        find(browser, "#mode [value=static]").click()
        wait_until(lambda: not active_presets(browser))
    assert not console_errors(browser)


def is_set(served: ServedRun, expected: Controls) -> bool:
    return served.magnifier.filter == expected.filter


def shows(page: Browser, preset: str) -> bool:
    return active_presets(page) == [preset]


def active_presets(page: Browser) -> list[str]:
    """Presets that the page marks as active."""
    buttons = page.find_elements(By.CSS_SELECTOR, "#preset [aria-pressed=true]")
    return [each.get_attribute("value") for each in buttons]


def test_the_page_works_without_a_mouse(page: Browser, served: ServedRun) -> None:
    names = "[...document.querySelectorAll('button, input, select, [tabindex]')].filter(e => "
    names += "e.checkVisibility()).map(e => e.computedName ?? (e.ariaLabel || e.title || "
    names += "e.textContent.trim() || e.labels?.[0]?.textContent))"
    assert all(page.execute_script(f"return {names}"))
    seen = []
    for _ in range(40):
        ActionChains(page).send_keys(Keys.TAB).perform()
        element = page.switch_to.active_element
        seen.append(element.get_attribute("id") or element.get_attribute("value"))
        if seen[-1] == "motion-toggle":
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
        "motion-toggle",
    ]
    assert [each for each in seen if each in order] == order
    page.execute_script("document.getElementById('compare').focus()")
    ActionChains(page).key_down(Keys.SPACE).perform()
    wait_until(lambda: served.controls.original)
    ActionChains(page).key_up(Keys.SPACE).perform()
    wait_until(lambda: not served.controls.original)
    page.execute_script("document.getElementById('alpha-slide').focus()")
    ActionChains(page).send_keys(Keys.END).perform()
    wait_until(lambda: served.controls.alpha == pytest.approx(1000))
    slide = find(page, "#alpha-slide")
    wait_until(lambda: slide.get_attribute("aria-valuetext") == "1000 times")
    assert not console_errors(page)


def test_two_tabs_show_the_same_settings(page: Browser, served: ServedRun) -> None:
    """W09, with two pages."""
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    page.get(served.url)
    wait_until(lambda: pictures_drawn(page) > 1)
    move_slider(page, "#alpha-slide", 750)
    page.switch_to.window(first)
    wait_until(lambda: find(page, "#alpha").get_attribute("value") == "178")
    for handle in page.window_handles:
        if handle != first:
            page.switch_to.window(handle)
            page.close()
    page.switch_to.window(first)


def test_charts_are_described_in_words(page: Browser, served: ServedRun) -> None:
    """Screen readers get names and values; labels leave space between them."""
    served.controls.region = served.source.vibrations[0].region
    find(page, "#motion-toggle").click()
    wait_until(lambda: find(page, "#peak").text.startswith(("1.9", "2.0")), 30)
    page.execute_script("window.dispatchEvent(new Event('resize'))")
    spectrum, waveform = find(page, "#spectrum"), find(page, "#waveform")
    wait_until(lambda: "peak of" in spectrum.accessible_name)
    assert re.fullmatch(
        r"Spectrum of magnified region from 0 to [\d.]+ Hz: a peak of 0\.\d+ px at \d\.\d\d Hz · "
        r"1\d\d/min",
        spectrum.accessible_name,
    )
    assert re.fullmatch(
        r"Displacement of magnified region over time: 0\.\d+ px from left to right, 0\.\d+ px .*",
        waveform.accessible_name,
    )
    assert spectrum.aria_role == waveform.aria_role == "image"
    summary = find(page, "#summary")
    wait_until(lambda: "Measured motion: a peak of 0." in summary.get_property("textContent"))
    assert summary.get_attribute("role") == "status"
    assert find(page, "#motion-toggle").accessible_name.startswith("Motion")
    for width in (1280, 390, 320):
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        page.execute_script("window.dispatchEvent(new Event('resize'))")
        for chart in (spectrum, waveform):
            labels = sorted(json.loads(chart.get_attribute("data-labels")))
            assert len(labels) >= 2
            assert all(right - left >= 8 for (_, left), (right, _) in pairwise(labels))
            assert labels[-1][1] <= chart.size["width"]
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not console_errors(page)


CONTRASTS = """
const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const background = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const [r, g, b, alpha = 1] = parse(getComputedStyle(each).backgroundColor);
    if (alpha > 0.5) return [r, g, b];
  }
};
const isText = (node) => node.nodeType === 3 && node.textContent.trim();
const shown = (element) => element.checkVisibility() && [...element.childNodes].some(isText);
return [...document.querySelectorAll("body *")].filter(shown).map((element) => {
  const pair = [light(parse(getComputedStyle(element).color)), light(background(element))];
  return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), element.textContent.trim()];
});
"""
"""Contrast of every text with its background, by the formula of WCAG 2, and the text."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page: Browser, served: ServedRun, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    served.view.offer(Path(__file__))
    served.controls.paused = True
    wait_until(lambda: find(page, "#state").text == "paused")
    find(page, "#help").click()
    contrasts = page.execute_script(CONTRASTS)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(contrasts) > 40
    assert [(ratio, text) for ratio, text in contrasts if ratio < 4.5] == []


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_tab_that_was_hidden_goes_on_within_a_second(page: Browser, served: ServedRun) -> None:
    """W11: hidden for five minutes, then shown again."""
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    wait_until(lambda: served.view.server.hub.picture_viewers == 0)
    time.sleep(300)
    assert len(served.view.server.hub.viewers) == 1
    start = time.monotonic()
    page.close()
    page.switch_to.window(first)
    before = pictures_drawn(page)
    wait_until(lambda: pictures_drawn(page) > before)
    assert time.monotonic() - start < 1.0
