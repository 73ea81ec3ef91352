"""A stream that is not there when we start: refused at once, or waited for when that is asked."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.errors import SourceAbsent, SourceUnavailable
from rtmag.realtime.run import live
from rtmag.realtime.run.startup import Left, attended
from rtmag.realtime.sources.retry import RetryPolicy, wait_until_available
from tests.support.fakes import ENVIRONMENT, FakeView
from tests.support.servers import free_port, http, mpegts, paced, serving

MAIN = "from rtmag.realtime.cli.main import main; main()"
SHOWN = ["--view", "none", "--model", "none"]


def test_every_reason_is_told_once_until_it_is_there() -> None:
    answers: Iterator[Exception | str] = iter(
        [SourceAbsent("a"), SourceAbsent("a"), SourceAbsent("b"), "here"]
    )

    def opener() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    told: list[str] = []
    assert wait_until_available(opener, told.append, RetryPolicy(delays=(0.01,))) == "here"
    assert told == ["waiting: a", "waiting: b"]


def test_what_time_does_not_mend_is_not_waited_for() -> None:
    def opener() -> None:
        raise SourceUnavailable("wrong password")

    with pytest.raises(SourceUnavailable, match="wrong password"):
        wait_until_available(opener, print, RetryPolicy())


def test_a_camera_that_is_switched_on_later_is_waited_for() -> None:
    """As after a power cut: the stream's server comes 2 s after the program."""
    port = free_port()
    run = [sys.executable, "-c", MAIN, "stream", f"tcp://127.0.0.1:{port}", "--wait", *SHOWN]
    with subprocess.Popen(
        [*run, "--frames", "5"], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("waiting: ")
        assert "[E-REFUSED]" in first
        time.sleep(2)
        with serving(paced(mpegts(300, (160, 120)), 10), port):
            said = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    assert "waiting" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_waiting_can_be_ended() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    run = [sys.executable, "-c", MAIN, "stream", address, "--wait", *SHOWN]
    with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting: ")
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        said = process.communicate(timeout=20)[1]
        assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert "Traceback" not in said


@pytest.mark.parametrize("leaving", ["q", "closed"])
def test_a_window_says_what_is_waited_for(leaving: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start; `q` and closing it end the program, with nothing shown."""
    view = FakeView("." * 8 + "q") if leaving == "q" else FakeView(close_after=8)
    monkeypatch.setattr(live, "WindowSink", lambda title: view)
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert execute(["stream", address, "--wait", "--model", "none"]) == 0
    assert time.monotonic() - began < 10
    assert view.told[0] == f"waiting for {address} (0 s)"
    assert not view.frames
    assert view.finished is not None


def test_the_first_picture_ends_the_waiting_at_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    view, port = FakeView(), free_port()
    monkeypatch.setattr(live, "WindowSink", lambda title: view)
    opened = threading.Event()

    def switched_on() -> None:
        while not view.told:
            time.sleep(0.05)
        with serving(paced(mpegts(300, (160, 120)), 10), port):
            opened.wait(60)

    camera = threading.Thread(target=switched_on)
    camera.start()
    try:
        run = ["stream", f"tcp://127.0.0.1:{port}", "--wait", "--model", "none", "--frames", "5"]
        assert execute(run) == 0
    finally:
        opened.set()
        camera.join()
    assert {frame.size for frame in view.frames} == {(160, 120)}


def test_what_comes_after_one_has_left_is_closed() -> None:
    source, opening = FakeView(), threading.Event()

    def opener() -> FakeView:
        opening.wait(10)
        return source

    def rest(seconds: float) -> None:
        raise Left

    with pytest.raises(Left):
        attended(opener, rest)
    opening.set()
    while source.finished is None:
        time.sleep(0.01)


def test_without_it_a_wrong_address_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert execute(["stream", f"rtsp://127.0.0.1:{free_port()}/live", *SHOWN]) == 2
    assert time.monotonic() - began < 2
    said = capsys.readouterr().err
    assert said.endswith("[E-REFUSED] (--wait waits for it)\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_wrong_password_is_not_tried_twice(
    status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cameras lock accounts after a few tries."""
    with serving(http(lambda connection: None, "text/plain", status)) as (port, connections):
        assert execute(["stream", f"http://127.0.0.1:{port}/live", "--wait", *SHOWN]) == 2
        assert len(connections) <= 2  # FFmpeg asks again once it has been told how to prove itself
    assert "[E-AUTH]" in capsys.readouterr().err
