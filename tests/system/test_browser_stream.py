"""The page in a real browser: what becomes of stream, model and recording is seen there."""

import base64
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")

from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sinks.background import BackgroundSink
from rtmag.realtime.sinks.video_file import VideoSink
from tests.support.fakes import ENVIRONMENT
from tests.support.pages import watched
from tests.support.servers import ChaosProxy, free_port, mpegts, paced, serving
from tests.support.tabs import Browser, complaints, drawn, find, until


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
    run = [sys.executable, "-m", "rtmag.realtime.cli.main", "stream", address, *how]
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

    def record() -> BackgroundSink:
        return BackgroundSink(VideoSink(path, fps=20.0))

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
