"""The page in a real browser: the state of the stream, the model and the recording."""

import base64
import os
import re
import signal
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

from selenium.webdriver.common.by import By

from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sinks.background import BackgroundSink
from rtmag.realtime.sinks.video_file import VideoSink
from tests.support.fakes import ENVIRONMENT
from tests.support.pages import serve
from tests.support.servers import ChaosProxy, free_port, mpegts, paced, serving
from tests.support.tabs import Browser, console_errors, find, pictures_drawn, wait_until


def test_the_page_shows_a_lost_server_and_reconnects(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        port = served.port
        browser.get(served.url)
        wait_until(lambda: pictures_drawn(browser) > 1)
    wait_until(lambda: "No connection" in find(browser, "#cover-text").text)
    assert find(browser, "#state").text == "disconnected"
    with serve(tmp_path, port=port):
        before = pictures_drawn(browser)
        wait_until(lambda: pictures_drawn(browser) > before + 1)
        assert not find(browser, "#cover").is_displayed()
        wait_until(lambda: find(browser, "#state").text == "live")
    assert not console_errors(browser)


class Failing(IdentityEngine):
    """An engine that raises an error while `broken` is set."""

    broken = False

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        if self.broken:
            raise RuntimeError("CUDA error 700")
        return super().step(image, alpha, sections, state)


def test_the_page_shows_that_the_model_fails(browser: Browser) -> None:
    """F10: unmagnified frames are shown with a warning."""
    engine = Failing()
    with serve(None, engine=engine) as served:
        browser.get(served.url)
        wait_until(lambda: pictures_drawn(browser) > 1)
        notice = find(browser, "#notice")
        assert not notice.is_displayed()
        engine.broken = True
        wait_until(lambda: notice.text == "not magnified: CUDA error 700")
        assert "bad" in notice.get_attribute("class").split()
        before = pictures_drawn(browser)
        wait_until(lambda: pictures_drawn(browser) > before + 1)
        assert notice.is_displayed()
        engine.broken = False
        wait_until(lambda: not notice.is_displayed())
    assert not console_errors(browser)


@contextmanager
def streaming(address: str, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the program with a stream; yield the address of its page, and the process."""
    arguments = ["--view", "web", "--port", "0", "--model", "none", *options]
    run = [sys.executable, "-m", "rtmag.realtime.cli.main", "stream", address, *arguments]
    with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if "open http" in line)
            yield line.rpartition("open ")[2].strip(), process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.communicate(timeout=20)


def test_the_page_shows_that_the_source_is_awaited(browser: Browser) -> None:
    """The program is started before its camera; the page is served immediately."""
    port = free_port()
    with streaming(f"tcp://127.0.0.1:{port}", "--wait") as (page, _):
        browser.get(page)
        waiting = rf"waiting for tcp://127\.0\.0\.1:{port} \([1-9]\d* s\)"
        wait_until(lambda: re.fullmatch(waiting, find(browser, "#cover-text").text))
        assert re.fullmatch(waiting, find(browser, "#state").text)
        with serving(paced(mpegts(300, (160, 120)), 10, forever=True), port):
            wait_until(lambda: pictures_drawn(browser) > 1)
            wait_until(lambda: not find(browser, "#cover").is_displayed())
            wait_until(lambda: find(browser, "#state").text == "live")
    browser.get_log("browser")


def test_the_page_shows_an_interrupted_stream_and_its_return(browser: Browser) -> None:
    """F02: the last picture stays, dimmed; new ones come within 3.5 s of the network's return."""
    camera = serving(paced(mpegts(300, (160, 120)), 10, forever=True))
    with (
        camera as (port, _),
        ChaosProxy(port) as proxy,
        streaming(f"tcp://127.0.0.1:{proxy.port}") as (page, _),
    ):
        browser.get(page)
        state, veil = find(browser, "#state"), find(browser, "#veil")
        wait_until(lambda: pictures_drawn(browser) > 5 and state.text == "live")
        proxy.cut()
        wait_until(lambda: re.fullmatch(r"reconnecting \([1-9]\d* s\)", state.text), 7)
        before = pictures_drawn(browser)
        time.sleep(1.5)
        assert pictures_drawn(browser) == before
        assert not find(browser, "#cover").is_displayed()
        assert state.text.startswith("reconnecting")
        last = r"The source is lost. Connecting again …\nLast picture at [\d:]{8}, [1-9]\d* s ago"
        assert re.fullmatch(last, veil.text)
        assert "brightness(0.4)" in find(browser, "#picture").value_of_css_property("filter")
        assert find(browser, "#fps").text == "\u2013"
        proxy.heal()
        wait_until(lambda: pictures_drawn(browser) > before, 3.5)
        wait_until(lambda: state.text == "live" and not veil.is_displayed(), 1)
        assert find(browser, "#picture").value_of_css_property("filter") == "none"
        wait_until(lambda: pictures_drawn(browser) > before + 30)
    assert not console_errors(browser)


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_the_page_shows_that_the_picture_is_old(browser: Browser) -> None:
    """The program hangs, so it reports nothing; its connection stays open."""
    camera = serving(paced(mpegts(300, (160, 120)), 10, forever=True))
    with camera as (port, _), streaming(f"tcp://127.0.0.1:{port}") as (page, process):
        browser.get(page)
        veil, state = find(browser, "#veil"), find(browser, "#state")
        wait_until(lambda: pictures_drawn(browser) > 5 and state.text == "live")
        browser.find_element(By.ID, "pause").click()
        wait_until(lambda: state.text == "paused")
        time.sleep(3.6)
        assert not veil.is_displayed()  # the picture is old on purpose
        browser.find_element(By.ID, "pause").click()
        wait_until(lambda: state.text == "live")
        process.send_signal(signal.SIGSTOP)
        wait_until(veil.is_displayed)
        last = r"No new picture from rtmag\nLast picture at [\d:]{8}, \d+ s ago"
        assert re.fullmatch(last, veil.text)
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: not veil.is_displayed())
    browser.get_log("browser")


def test_recordings_are_downloaded_from_the_page(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "downloads"
    allowed = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    first = tmp_path / "hum of the motor.mp4"
    with serve(tmp_path, record_to=first) as served:
        browser.get(served.url)
        wait_until(lambda: pictures_drawn(browser) > 1)
        assert not find(browser, "#recordings-part").is_displayed()
        for _ in range(2):
            find(browser, "#record").click()
            wait_until(lambda: find(browser, "#rec").is_displayed())
            find(browser, "#record").click()
            wait_until(lambda: not find(browser, "#rec").is_displayed())
        wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "#recordings a")) == 2)
        links = browser.find_elements(By.CSS_SELECTOR, "#recordings a")
        assert [link.text for link in links] == ["rtmag-camera.mp4", first.name]
        for link in links:
            link.click()
            saved = folder / link.text
            wait_until(saved.exists)
            assert saved.read_bytes() == (tmp_path / link.text).read_bytes()
    assert not console_errors(browser)


def test_a_recording_is_started_and_stopped_on_the_page(browser: Browser, tmp_path: Path) -> None:
    """The file is written by the server; the page shows its name."""
    path = tmp_path / "hum.mp4"

    def record() -> BackgroundSink:
        return BackgroundSink(VideoSink(path, fps=20.0))

    with serve(tmp_path, record=record) as served:
        browser.get(served.url)
        wait_until(lambda: pictures_drawn(browser) > 1)
        button = find(browser, "#record")
        assert not find(browser, "#rec").is_displayed()
        button.click()
        wait_until(lambda: button.text == "Stop" and find(browser, "#rec").is_displayed())
        before = pictures_drawn(browser)
        wait_until(lambda: pictures_drawn(browser) > before + 20)
        assert not path.exists()
        button.click()
        wait_until(lambda: find(browser, "#notice").text == "recording saved as hum.mp4")
        wait_until(lambda: button.text == "Record" and not find(browser, "#rec").is_displayed())
        with av.open(str(path)) as container:
            pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(pictures) > 20
    assert {picture.shape for picture in pictures} == {(240, 320, 3)}
    assert not console_errors(browser)


def test_a_snapshot_is_the_picture_on_display(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    allowed = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    with serve(tmp_path) as served:
        browser.get(served.url)
        wait_until(lambda: pictures_drawn(browser) > 1)
        find(browser, "#pause").click()
        wait_until(lambda: find(browser, "#state").text == "paused")
        time.sleep(0.3)  # pictures that were already sent are drawn
        find(browser, "#snapshot").click()
        wait_until(lambda: list(folder.glob("rtmag-*.png")))
        (path,) = folder.glob("*.png")
        script = "return document.getElementById('picture').toDataURL('image/png')"
        shown = base64.b64decode(browser.execute_script(script).partition(",")[2])
    saved, expected = (
        np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        for data in (path.read_bytes(), shown)
    )
    assert saved.shape == (240, 320, 3)
    assert saved.std() > 20
    assert (saved == expected).all()
    assert not console_errors(browser)
