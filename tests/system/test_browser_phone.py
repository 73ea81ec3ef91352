"""The page on a screen of a phone's size, operated by touch."""

from collections.abc import Iterator

import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")

from tests.support.pages import ServedRun
from tests.support.tabs import Browser, pictures_drawn, wait_until


@pytest.fixture(params=[(390, 844), (844, 390), (320, 568)], ids=["portrait", "landscape", "small"])
def phone(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Browser]:
    width, height = request.param
    screen = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    yield browser
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_fits_a_phone(phone: Browser, served: ServedRun) -> None:
    phone.get(served.url)
    wait_until(lambda: pictures_drawn(phone) > 1)
    width, height = phone.execute_script("return [innerWidth, innerHeight]")
    assert phone.execute_script("return document.documentElement.scrollWidth") == width
    words = "return [...document.querySelectorAll('#actions button')].map(b => b.innerText.trim())"
    assert {"Pause", "Compare", "Record", "Snapshot"} <= set(phone.execute_script(words))
    clipped = "[...document.querySelectorAll('#actions button, .choice button')]"
    clipped += ".filter(b => b.scrollWidth > b.clientWidth).map(b => b.innerText)"
    assert phone.execute_script(f"return {clipped}") == []
    sizes = "[...document.querySelectorAll('#actions button')].map(b => b.offsetHeight)"
    assert min(h for h in phone.execute_script(f"return {sizes}") if h) >= 44
    picture, actions, scale = (
        phone.execute_script(f"return document.querySelector('{css}').getBoundingClientRect()")
        for css in ("#picture", "#actions", "#motion_scale")
    )
    assert picture["height"] > 0.3 * height
    assert actions["bottom"] <= height
    # The picture and the buttons stay visible when the page is scrolled to the last setting.
    phone.execute_script(f"scrollTo(0, {scale['top'] - height / 2})")
    bottom = "return document.querySelector('#actions').getBoundingClientRect().bottom"
    assert 0 < phone.execute_script(bottom) <= height


def test_a_region_is_selected_by_touch(phone: Browser, served: ServedRun) -> None:
    phone.get(served.url)
    wait_until(lambda: pictures_drawn(phone) > 1)
    box = phone.execute_script("return document.querySelector('#picture').getBoundingClientRect()")
    scale = min(box["width"] / 320, box["height"] / 240)
    left = box["left"] + (box["width"] - 320 * scale) / 2
    top = box["top"] + (box["height"] - 240 * scale) / 2

    def touch(kind: str, *position: float) -> None:
        points = (
            [{"x": left + position[0] * scale, "y": top + position[1] * scale}] if position else []
        )
        event = {"type": kind, "touchPoints": points}
        phone.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    touch("touchStart", 60, 40)
    for step in range(1, 11):
        touch("touchMove", 60 + 5 * step, 40 + 15 * step)  # steep, like a scroll gesture
    touch("touchEnd")
    wait_until(lambda: served.magnifier.region is not None)
    assert served.magnifier.region == pytest.approx((60, 40, 50, 150), abs=3)
    assert phone.execute_script("return scrollY") == 0
