"""A stream that is not available at the start: refused, or waited for with --wait."""

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
from rtmag.realtime.run.startup import UserQuit, open_in_background
from rtmag.realtime.sources.retry import RetryPolicy, wait_until_available
from tests.support.fakes import ENVIRONMENT, FakeSource, FakeView
from tests.support.servers import free_port, http, mpegts, paced, serving

MAIN = "from rtmag.realtime.cli.main import main; main()"
SHOWN = ["--view", "none", "--model", "none"]


def test_each_reason_to_wait_is_reported_once() -> None:
    answers: Iterator[Exception | str] = iter(
        [SourceAbsent("a"), SourceAbsent("a"), SourceAbsent("b"), "here"]
    )

    def opener() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reasons: list[str] = []
    assert wait_until_available(opener, reasons.append, RetryPolicy(delays=(0.01,))) == "here"
    assert reasons == ["waiting: a", "waiting: b"]


def test_permanent_errors_are_not_waited_for() -> None:
    def opener() -> None:
        raise SourceUnavailable("wrong password")

    with pytest.raises(SourceUnavailable, match="wrong password"):
        wait_until_available(opener, print, RetryPolicy())


def test_stream_that_starts_later_is_waited_for() -> None:
    """As after a power cut: the server of the stream starts 2 s after the program."""
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
            errors = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    assert "waiting" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_sigint_ends_the_waiting() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    run = [sys.executable, "-c", MAIN, "stream", address, "--wait", *SHOWN]
    with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting: ")
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        errors = process.communicate(timeout=20)[1]
        assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize("leaving", ["q", "closed"])
def test_window_names_the_awaited_source(leaving: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start; the key `q` and closing the window end the program without a frame."""
    view = FakeView("." * 8 + "q") if leaving == "q" else FakeView(close_after=8)
    monkeypatch.setattr(live, "WindowSink", lambda title, controls: view)
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert execute(["stream", address, "--wait", "--model", "none"]) == 0
    assert time.monotonic() - began < 10
    assert view.messages[0] == f"waiting for {address} (0 s)"
    assert not view.frames
    assert view.finished is not None


def test_first_frame_ends_the_waiting_in_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    view, port = FakeView(), free_port()
    monkeypatch.setattr(live, "WindowSink", lambda title, controls: view)
    opened = threading.Event()

    def switched_on() -> None:
        while not view.messages:
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


def test_source_that_opens_after_quitting_is_closed() -> None:
    source, opening = FakeSource(), threading.Event()

    def opener() -> FakeSource:
        opening.wait(10)
        return source

    def wait(seconds: float) -> None:
        raise UserQuit

    with pytest.raises(UserQuit):
        open_in_background(opener, wait)
    opening.set()
    while not source.closed:
        time.sleep(0.01)


def test_wrong_address_is_refused_immediately_without_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = time.monotonic()
    assert execute(["stream", f"rtsp://127.0.0.1:{free_port()}/live", *SHOWN]) == 2
    assert time.monotonic() - began < 2
    errors = capsys.readouterr().err
    assert errors.endswith("[E-REFUSED] (use --wait to wait for it)\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_wrong_password_is_tried_once(status: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Cameras lock accounts after a few attempts."""
    with serving(http(lambda connection: None, "text/plain", status)) as (port, connections):
        assert execute(["stream", f"http://127.0.0.1:{port}/live", "--wait", *SHOWN]) == 2
        assert len(connections) <= 2  # FFmpeg sends a second request with the credentials
    assert "[E-AUTH]" in capsys.readouterr().err
