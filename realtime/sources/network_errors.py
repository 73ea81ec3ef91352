"""Error messages for network streams: FFmpeg's errors are mapped to a few kinds of failure."""

import re
import socket
from dataclasses import dataclass
from errno import EHOSTUNREACH, ENETUNREACH, EPROTONOSUPPORT, ETIMEDOUT
from http.client import HTTPException
from urllib.parse import urlsplit

import av
from av import error as ffmpeg

from rtmag.realtime.log import protect


class StreamFailed(Exception):
    """A connection failed; the owner of the address raises an error with its message."""

    def __init__(self, failure: "Failure") -> None:
        super().__init__(failure.code)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure, with its message."""

    code: str
    """Code for the user, such as E-TIMEOUT."""
    problem: str
    """Text that follows the address to make a sentence."""
    hint: str
    """Advice to the user."""
    temporary: bool = False
    """True if a later attempt may succeed."""

    def message(self, address: str) -> str:
        """Return the error message in one line, without credentials."""
        return f"{protect(address)} {self.problem}; {self.hint} [{self.code}]"


AUTH = Failure(
    "E-AUTH",
    "refused the user name or password",
    "check both; in a password write space @ : / ? # % as %20 %40 %3A %2F %3F %23 %25",
)

TLS = Failure(
    "E-TLS",
    "failed in the TLS handshake",
    "check the port, and the certificates if --ca is given",
)

TIMEOUT = Failure(
    "E-TIMEOUT",
    "did not answer in time",
    "check the host and the port, or increase --timeout",
    temporary=True,
)

NOT_FOUND = Failure(
    "E-NOT-FOUND",
    "was not found",
    "the server answers, so check the path",
    temporary=True,
)

REJECTED = Failure(
    "E-NOT-FOUND",
    "answered with an error",
    "check the path and the settings of the server",
    temporary=True,
)

NO_HOST = Failure(
    "E-NO-HOST",
    "has an unknown host name",
    "check the name and the network",
    temporary=True,
)

BAD_HOST = Failure("E-NO-HOST", "has a host name that cannot exist", "check the name")

REFUSED = Failure(
    "E-REFUSED",
    "refused the connection or cannot be reached",
    "check that the camera is on, and check the port",
    temporary=True,
)

INSECURE = Failure(
    "E-TLS",
    "redirects to an address without encryption",
    "--ca allows encrypted connections only; correct the address or leave --ca out",
)

TRANSPORT_REFUSED = Failure(
    "E-TRANSPORT",
    "refuses RTSP over TCP",
    "allow TCP in the settings of the camera",
)

TRANSPORT = Failure(
    "E-TRANSPORT",
    "refuses RTSP over TCP, and no video arrives over UDP",
    "allow TCP in the settings of the camera, or UDP in the firewall",
)

CODEC = Failure(
    "E-CODEC",
    "sends a codec that is not supported",
    "set the camera to H.264 or MJPEG",
)

NO_VIDEO = Failure("E-NO-VIDEO", "sends no video", "select another stream of the camera")

UNDECODABLE = Failure(
    "E-CODEC",
    "sends video that cannot be decoded",
    "set the camera to H.264 or MJPEG",
)

INDEX = Failure(
    "E-INDEX",
    "has its index at the end, and the server cannot send parts of a file",
    "download it for rtmag file, or move the index: ffmpeg -i IN -c copy -movflags +faststart OUT",
)

PROTOCOL = Failure(
    "E-PROTOCOL",
    "needs a protocol that is not supported",
    "use rtsp, rtmp, http, https, tcp or udp",
)

DATA = Failure(
    "E-DATA",
    "sends data that is not a video",
    "check that this is the address of the stream, not of a web page",
)

ENDLESS = Failure(
    "E-DATA", "sends a playlist without an end", "check that this is the address of a stream"
)

SILENT = Failure("E-LOST", "sends no pictures any more", "check the camera", temporary=True)

ENDED = Failure("E-LOST", "closed the connection", "check the server", temporary=True)

CUT = Failure(
    "E-LOST", "ended before its stated end", "check the server and the file", temporary=True
)

BROKEN = Failure("E-LOST", "is lost", "check the network", temporary=True)

_KINDS: tuple[tuple[tuple[type[BaseException], ...], Failure], ...] = (
    ((ffmpeg.HTTPUnauthorizedError, ffmpeg.HTTPForbiddenError), AUTH),
    ((ffmpeg.HTTPNotFoundError, ffmpeg.FileNotFoundError), NOT_FOUND),
    ((ffmpeg.ExitError, TimeoutError), TIMEOUT),
    ((ConnectionRefusedError,), REFUSED),
    ((ffmpeg.ProtocolNotFoundError,), PROTOCOL),
    ((ffmpeg.DecoderNotFoundError, ffmpeg.PatchWelcomeError), CODEC),
    ((ConnectionError, EOFError, HTTPException), ENDED),
    ((ffmpeg.InvalidDataError, ffmpeg.DemuxerNotFoundError, ffmpeg.ArgumentError), DATA),
    ((ffmpeg.HTTPError, ffmpeg.HTTPClientError), REJECTED),
)
"""Failures by error type; the first match counts."""

_CODES = {
    EPROTONOSUPPORT: TRANSPORT_REFUSED,
    ETIMEDOUT: TIMEOUT,
    EHOSTUNREACH: REFUSED,
    ENETUNREACH: REFUSED,
}
"""Failures by error number, for errors without a type of their own."""

_MAX_HOST = 253
"""Letters of the longest host name."""

SECURE = ("https", "rtsps", "rtmps")
"""Schemes with encryption."""


def classify(error: BaseException, address: str) -> Failure:
    """Return the kind of an error that was raised while an address was opened or read."""
    for types, failure in _KINDS:
        if isinstance(error, types):
            return failure
    if isinstance(error, av.FFmpegError | OSError):
        failure = _CODES.get(error.errno or 0, BROKEN)
        # FFmpeg reports both unknown host names and TLS failures as "input/output error".
        return _host_failure(address) or failure if failure is BROKEN else failure
    return BROKEN


def has_possible_host(address: str) -> bool:
    """True if the host name of an address may exist; names are limited by RFC 1035."""
    host = re.split("[/?#]", address.partition("://")[2])[0].rpartition("@")[2]
    if host.startswith("["):  # IPv6
        return "]" in host
    host = host.partition(":")[0]
    try:
        encoded = host.encode("idna") if host else b""
    except UnicodeError:
        return False
    return len(encoded) <= _MAX_HOST and re.search(r"[^!-~]", encoded.decode()) is None


def _host_failure(address: str) -> Failure | None:
    """Return the failure of the host name or of TLS, if one of them is the likely cause."""
    try:
        parts = urlsplit(address)
        socket.getaddrinfo(parts.hostname, parts.port or 80)
    except (OSError, ValueError):
        return NO_HOST
    return TLS if parts.scheme.lower() in SECURE else None
