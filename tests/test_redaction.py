"""S05: no password and no token is ever shown."""

import json
import logging
import subprocess
import sys
import traceback

import pytest
from fakes import ENVIRONMENT
from hypothesis import given
from hypothesis import strategies as st
from servers import http, serving

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.network import NetworkSource
from rtmag.realtime.redaction import logger, redact, redact_data

CANARY = "Zq7Canary"
ADDRESSES = [
    f"rtsp://admin:{CANARY}@10.0.0.1:554/live",
    f"rtsp://admin:a@{CANARY}@10.0.0.1/live",
    f"rtsp://admin:a:{CANARY}@10.0.0.1/live",
    f"rtsp://admin:a/{CANARY}@10.0.0.1/live",
    f"rtsp://admin:a?{CANARY}@10.0.0.1/live",
    f"rtsp://admin:a#{CANARY}@10.0.0.1/live",
    f"rtsp://admin:a%{CANARY}%40@10.0.0.1/live",
    f"rtsp://admin:'{CANARY}'@10.0.0.1/live",
    f"http://10.0.0.1/live?token={CANARY}",
    f"http://10.0.0.1/live?token=a@{CANARY}",
    f"http://10.0.0.1/live#{CANARY}",
    f"http://10.0.0.1/user=admin_password={CANARY}_channel=1.sdp",
    f"admin:{CANARY}@10.0.0.1/live",
    f"RTMP://u:p@h/app?key={CANARY}",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("text", ["{}", "cannot open '{}': no", '["{}"]', "a {}; b", "({})."])
def test_addresses_lose_their_secrets(address: str, text: str) -> None:
    shown = redact(text.format(address))
    assert CANARY not in shown
    assert shown.startswith(text.split("{}")[0])


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'")))
def test_any_password_is_left_out(password: str) -> None:
    shown = redact(f"open rtsp://user:{CANARY}{password}{CANARY}@camera.local:554/live failed")
    assert CANARY not in shown


def test_what_is_no_secret_stays() -> None:
    for text in (
        "cannot open 'clip.mp4': no such file",
        "rtsp://10.0.0.1:554/live refused",
        "http://[::1]:8080/video.mjpg is lost",
        "camera 0 (HD Webcam): 30 fps at 12:30",
    ):
        assert redact(text) == text
    assert redact("rtsp://u:p@10.0.0.1:554/live; x") == "rtsp://10.0.0.1:554/live; x"
    assert redact("Authorization: Basic abc") == "Authorization: ..."


def test_documents_are_redacted() -> None:
    document = {"source": ADDRESSES[0], "rows": [{"words": ADDRESSES[9]}, 3, None]}
    shown = redact_data(document)
    assert CANARY not in json.dumps(shown)
    assert shown["rows"][1:] == [3, None]


def test_the_log_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    log = logger()
    with caplog.at_level(logging.DEBUG, "rtmag"):
        log.warning("lost %s, %d", ADDRESSES[0], 3)
        try:
            raise OSError(ADDRESSES[1])
        except OSError:
            log.exception("failed")
    assert CANARY not in caplog.text
    assert "lost rtsp://10.0.0.1:554/live, 3" in caplog.text
    assert logger() is log
    assert len(log.filters) == 1


@pytest.mark.parametrize("password", [CANARY, f"a@{CANARY}", f"a:{CANARY}", f"a%2F{CANARY}"])
def test_errors_are_redacted_to_their_roots(password: str) -> None:
    def refuse(connection: object) -> None:
        pass

    with (
        serving(http(refuse, "text/plain", "401 Unauthorized")) as (port, _),
        pytest.raises(SourceUnavailable) as caught,
    ):
        NetworkSource(f"http://admin:{password}@127.0.0.1:{port}/live?token={CANARY}")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("address", [ADDRESSES[1], ADDRESSES[8], ADDRESSES[12]])
def test_the_command_line_is_silent_about_secrets(address: str, debug: list[str]) -> None:
    code = "import sys; from rtmag.realtime.cli import main; main()"
    address = address.replace("10.0.0.1", "127.0.0.1:9")
    run = [sys.executable, "-c", code, "stream", "--view", "none", *debug]
    done = subprocess.run(
        run,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "RTMAG_URL": address},
        check=False,
    )
    assert done.returncode == 2
    assert CANARY not in done.stdout + done.stderr
    assert "error: " in done.stderr
    assert ("Traceback" in done.stderr) == bool(debug)
