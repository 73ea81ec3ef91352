"""Encrypted streams from real servers; certificates are verified if --ca is given."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.sources.network import NetworkSource
from tests.support.servers import RtspServer, mjpeg, mpegts, need_rtsp, paced, serving

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


def test_ca_is_refused_where_it_would_be_ignored(known: Path, tmp_path: Path) -> None:
    with serving(paced(mpegts(30, SIZE), 3)) as (port, _), pytest.raises(OptionError, match="tcp"):
        NetworkSource(f"tcp://127.0.0.1:{port}", ca=known)
    with pytest.raises(OptionError, match="PEM"):
        NetworkSource("https://127.0.0.1/live", ca=tmp_path / "missing.pem")
