"""S05: passwords and tokens are never shown."""

import json
import logging
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmag.realtime.cli.main import execute
from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.log import logger, protect, redact, redact_data
from rtmag.realtime.sources.network import NetworkSource
from tests.support.fakes import ENVIRONMENT
from tests.support.servers import http, mjpeg, serving

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
def test_secrets_are_removed_from_addresses(address: str, text: str) -> None:
    shown = redact(text.format(address))
    assert CANARY not in shown
    assert shown.startswith(text.split("{}")[0])


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'")))
def test_every_password_is_removed(password: str) -> None:
    shown = redact(f"open rtsp://user:{CANARY}{password}{CANARY}@camera.local:554/live failed")
    assert CANARY not in shown


SPACED = [
    f"rtsp://user:12345 {CANARY}@10.0.0.1:9/x",
    f"rtsp://user:{CANARY} 12345@10.0.0.1:9/x",
    f"rtsp://user:a b @{CANARY} c/d@10.0.0.1:9/x",
    f"rtsp://user:it's \\ {CANARY}@10.0.0.1:9/x",
    f"http://10.0.0.1:9/x?name=a b&word={CANARY}",
]


@pytest.mark.parametrize("address", SPACED)
def test_a_protected_address_may_contain_spaces(address: str) -> None:
    """The whole address, its secrets without it, and both in quoted or shortened forms."""
    shown = protect(address)
    assert shown.startswith(address[:7])
    path = str(Path(address))
    secret = address.partition("://")[2].rpartition("@")[0].partition(":")[2] or CANARY
    for text in (shown, address, f"{address!r} failed", path, f"{path!r}", f"'{secret}'", secret):
        assert CANARY not in redact(f"cannot open {text}: no")
    assert redact(f"{address} is lost") == f"{shown} is lost"
    assert protect(shown) == shown


def test_a_short_password_is_no_part_of_other_words() -> None:
    protect("rtsp://user:late@10.0.0.9/x")
    protect("rtsp://user:a@10.0.0.9/x")
    assert redact("a later frame is late") == "a later frame is ..."


def test_text_without_secrets_is_unchanged() -> None:
    for text in (
        "cannot open 'clip.mp4': no such file",
        "rtsp://10.0.0.1:554/live refused",
        "http://[::1]:8080/video.mjpg is lost",
        "camera 0 (HD Webcam): 30 fps at 12:30",
    ):
        assert redact(text) == text
    assert redact("rtsp://u:p@10.0.0.1:554/live; x") == "rtsp://10.0.0.1:554/live; x"
    assert redact("Authorization: Basic abc") == "Authorization: ..."
    once = redact("http://10.0.0.1/live?token=a is lost")
    assert redact(once) == once == "http://10.0.0.1/live?... is lost"


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
def test_an_error_and_its_causes_are_redacted(password: str) -> None:
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
@pytest.mark.parametrize("address", [ADDRESSES[1], ADDRESSES[8], ADDRESSES[12], SPACED[0]])
def test_the_command_line_shows_no_secrets(address: str, debug: list[str]) -> None:
    code = "import sys; from rtmag.realtime.cli.main import main; main()"
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


@pytest.mark.parametrize("command", [[], ["file"], ["config", "show", "stream", "--url"]])
def test_a_mistyped_command_shows_no_secrets(
    command: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTMAG_URL", SPACED[0])
    assert execute([*command, SPACED[0]]) == 2
    told = "".join(capfd.readouterr())
    assert "rtmag stream" in told or "config show" in told
    assert CANARY not in told


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_no_output_of_a_run_contains_a_password(tmp_path: Path) -> None:
    """S05: page, metrics, health, messages, settings file, recording, output, process list."""
    httpx = pytest.importorskip("httpx")
    client = pytest.importorskip("websockets.sync.client")
    code = "import sys; from rtmag.realtime.cli.main import main; main()"
    shown = ["--view", "web", "--port", "0", "--model", "none", "--record", "out.mp4"]
    run = [sys.executable, "-c", code, "stream", *shown, "--stats", "json", "-v", "--log-json"]
    secret = "".join(f"%{ord(each):02X}{CANARY}" for each in "@:/?#%")
    with serving(mjpeg(20, (64, 48))) as (port, connections):
        secret += " and spaces"
        address = f"http://admin:{secret}@127.0.0.1:{port}/live?token={CANARY}"
        with subprocess.Popen(
            run,
            env={**ENVIRONMENT, "RTMAG_URL": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process:
            assert process.stderr is not None
            notes = list[str]()
            while not (found := re.search(r"open (http://[0-9.:]+/)", notes[-1] if notes else "")):
                notes.append(process.stderr.readline())
                assert notes[-1], notes
            page = found[1]
            seen = [httpx.get(page + name).text for name in ("", "metrics", "healthz", "none")]
            with client.connect(page.replace("http", "ws") + "ws", origin=page[:-1]) as viewer:
                end = time.monotonic() + 1.5
                while time.monotonic() < end:
                    message = viewer.recv(5)
                    seen.append(message if isinstance(message, str) else "")
            commands = Path(f"/proc/{process.pid}/cmdline")
            seen.append(commands.read_text() if commands.exists() else "")
            for each in connections:
                each.close()
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            told, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "reconnecting" in said
    assert "rtmag_" in seen[1]
    assert any('"about"' in text for text in seen)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(left) == {"out.mp4", "out.mp4.json"}
    everything = "".join([told, said, *notes, *seen]).encode() + b"".join(left.values())
    assert CANARY.encode() not in everything
    assert secret.encode() not in everything
