"""Classification of FFmpeg's errors, with real servers that fail in each way."""

import re
import socket

import pytest

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.sources.network import NetworkSource
from tests.support.servers import free_port, http, mpegts, serving, silent


def refused(address: str) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        NetworkSource(address, timeout=1)
    message = str(caught.value)
    assert "\n" not in message
    assert "Errno" not in message
    return message


def nothing(connection: object) -> None:
    pass


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("401 Unauthorized", "E-AUTH"),
        ("403 Forbidden", "E-AUTH"),
        ("404 Not Found", "E-NOT-FOUND"),
        ("410 Gone", "E-NOT-FOUND"),
        ("500 Internal Server Error", "E-NOT-FOUND"),
    ],
)
def test_http_errors(status: str, code: str) -> None:
    with serving(http(nothing, "text/plain", status)) as (port, _):
        assert code in refused(f"http://127.0.0.1:{port}/live")


def test_connection_refused() -> None:
    assert "E-REFUSED" in refused(f"rtsp://127.0.0.1:{free_port()}/live")


def test_unknown_host() -> None:
    assert "E-NO-HOST" in refused("http://nobody.invalid/live")


def test_a_silent_server() -> None:
    with serving(silent) as (port, _):
        assert "E-TIMEOUT" in refused(f"rtsp://127.0.0.1:{port}/live")


def test_tls_with_a_server_without_tls() -> None:
    with serving(http(nothing, "text/plain")) as (port, _):
        assert "E-TLS" in refused(f"https://127.0.0.1:{port}/live")


def test_text_instead_of_video() -> None:
    body = b"<html>" + b"hello " * 1000
    length = f"Content-Length: {len(body)}\r\n"
    answer = http(lambda connection: connection.sendall(body), "text/html", headers=length)
    with serving(answer) as (port, _):
        assert "E-DATA" in refused(f"http://127.0.0.1:{port}/live")


def test_audio_only() -> None:
    import io

    import av
    import numpy as np

    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as output:
        stream = output.add_stream("mp2", rate=48_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 96_000), np.int16), "s16", "stereo")
        sound.sample_rate = 48_000
        for piece in (sound, None):
            output.mux(stream.encode(piece))
    data = target.getvalue()
    with serving(lambda connection: connection.sendall(data)) as (port, _):
        assert "E-NO-VIDEO" in refused(f"tcp://127.0.0.1:{port}")


SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)


@pytest.mark.parametrize(
    ("tcp", "udp", "code"),
    [
        ("461 Unsupported Transport", "461 Unsupported Transport", "E-TRANSPORT"),
        ("461 Unsupported Transport", "200 OK", "E-TRANSPORT"),
        ("406 Not Acceptable", "200 OK", "E-TRANSPORT"),
        ("406 Not Acceptable", "406 Not Acceptable", "E-NOT-FOUND"),
    ],
)
def test_an_rtsp_camera_whose_video_cannot_arrive(tcp: str, udp: str, code: str) -> None:
    """It refuses TCP, and UDP is refused too or blocked by a firewall."""
    asked = list[str]()

    def answer(connection: socket.socket) -> None:
        while request := connection.recv(4096).decode():
            method = request.split()[0]
            number = re.findall(r"CSeq: (\d+)", request)[0]
            status, body, more = "200 OK", "", "Session: 1\r\n"
            if method == "DESCRIBE":
                body, more = SDP, "Content-Type: application/sdp\r\n"
            if method == "SETUP":
                status = tcp if "TCP" in request else udp
                asked.append("tcp" if "TCP" in request else "udp")
                more += "".join(re.findall(r"Transport: .*\r\n", request))
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            head = f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}{length}\r\n"
            connection.sendall((head + body).encode())

    with serving(answer) as (port, _):
        assert code in refused(f"rtsp://127.0.0.1:{port}/live")
    assert asked[:2] == ["tcp", "udp"]
    assert set(asked[1:]) == {"udp"}


def test_an_unsupported_protocol() -> None:
    assert "E-PROTOCOL" in refused("gopher://127.0.0.1/live")


def test_a_stream_that_ends() -> None:
    from rtmag.realtime.errors import SourceLost

    data = mpegts(30, (64, 48))
    with (
        serving(lambda connection: connection.sendall(data)) as (port, _),
        NetworkSource(f"tcp://127.0.0.1:{port}") as source,
        pytest.raises(SourceLost, match="E-LOST"),
    ):
        for _ in source:
            pass
