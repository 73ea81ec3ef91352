"""Encrypted streams from real servers; certificates are verified if --ca is given."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.sources.network import NetworkSource
from tests.support.servers import RtspServer, http, mjpeg, mpegts, need_rtsp, paced, serving

SIZE = (160, 120)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def known(authority: trustme.CA, tmp_path: Path) -> Path:
    """Certificate file that verifies the server."""
    path = tmp_path / "known.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Certificate file of another server."""
    path = tmp_path / "strange.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    """Certificate of the server, with its key."""
    path = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
        path
    )
    return path


def encrypted(answer: Callable[[Any], None], certificate: Path) -> Callable[[Any], None]:
    """Answer over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def secured(connection: Any) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            answer(wrapped)

    return secured


def count(url: str, ca: Path | None) -> int:
    """Number of frames that arrive, of ten."""
    with NetworkSource(url, ca=ca) as source:
        return sum(1 for _, _ in zip(range(10), source, strict=False))


def test_https(certificate: Path, known: Path, strange: Path) -> None:
    with serving(encrypted(mjpeg(30, SIZE), certificate)) as (port, _):
        url = f"https://127.0.0.1:{port}/live"
        assert count(url, None) == count(url, known) == 10
        with pytest.raises(SourceUnavailable, match="E-TLS"):
            count(url, strange)


def test_rtsps(certificate: Path, known: Path, strange: Path) -> None:
    need_rtsp()
    with RtspServer(SIZE, certificate=certificate) as camera:
        assert count(camera.url, None) == count(camera.url, known) == 10
        with pytest.raises(SourceUnavailable, match="E-TLS"):
            count(camera.url, strange)


def moved(target: str) -> Callable[[Any], None]:
    """Redirect any request."""

    def answer(connection: Any) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    return answer


@pytest.mark.parametrize("body", ["mjpeg", "mpegts", "file"])
def test_a_verified_server_may_not_redirect_to_an_unencrypted_one(
    body: str, certificate: Path, known: Path
) -> None:
    data = mpegts(30, SIZE)
    length = f"Content-Length: {len(data)}\r\n" if body == "file" else ""

    def stream(connection: Any) -> None:
        if body == "mjpeg":
            return mjpeg(30, SIZE)(connection)
        return http(paced(data, 1), "video/mp2t", headers=length)(connection)

    with (
        serving(stream) as (plain, seen),
        serving(encrypted(moved(f"http://127.0.0.1:{plain}/live"), certificate)) as (port, _),
        pytest.raises(SourceUnavailable, match="redirects to an address without encryption"),
    ):
        count(f"https://127.0.0.1:{port}/live", known)
    assert not seen
    with (
        serving(encrypted(stream, certificate)) as (target, _),
        serving(encrypted(moved(f"https://127.0.0.1:{target}/live"), certificate)) as (port, _),
    ):
        assert count(f"https://127.0.0.1:{port}/live", known) == 10


def test_a_verified_playlist_may_not_name_unencrypted_segments(
    certificate: Path, known: Path
) -> None:
    def segment(connection: Any) -> None:
        http(lambda each: each.sendall(mpegts(30, SIZE)), "video/mp2t")(connection)

    with serving(segment) as (plain, seen):
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{plain}/a.ts\n"
        playlist = http(
            lambda each: each.sendall(text.encode() + b"#EXT-X-ENDLIST\n"), "audio/mpegurl"
        )
        with (
            serving(encrypted(playlist, certificate)) as (port, _),
            pytest.raises(SourceUnavailable),
        ):
            count(f"https://127.0.0.1:{port}/a.m3u8", known)
        assert not seen


def test_ca_is_refused_where_it_would_be_ignored(known: Path, tmp_path: Path) -> None:
    with serving(paced(mpegts(30, SIZE), 3)) as (port, _), pytest.raises(OptionError, match="tcp"):
        NetworkSource(f"tcp://127.0.0.1:{port}", ca=known)
    with pytest.raises(OptionError, match="PEM"):
        NetworkSource("https://127.0.0.1/live", ca=tmp_path / "missing.pem")
