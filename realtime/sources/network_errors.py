"""Why a network source fails, in a person's words: FFmpeg's errors sorted into a few kinds."""

import socket
from dataclasses import dataclass
from errno import EHOSTUNREACH, ENETUNREACH, ETIMEDOUT
from urllib.parse import urlsplit

import av
from av import error as ffmpeg

from rtmag.realtime.log import redact


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure."""

    code: str
    words: str
    """Completes a sentence that begins with the address."""
    hint: str
    passing: bool = False
    """Whether time may mend it."""

    def told(self, address: str) -> str:
        """One line, without credentials."""
        return f"{redact(address)} {self.words}; {self.hint} [{self.code}]"


AUTH = Failure(
    "E-AUTH",
    "refused user or password",
    "check both, and write @ : / ? # % in a password as %40 %3A %2F %3F %23 %25",
)

TLS = Failure(
    "E-TLS", "cannot be spoken to in TLS", "check the port, and the certificates of --ca if given"
)

TIMEOUT = Failure(
    "E-TIMEOUT", "does not answer in time", "check host and port, or give --timeout", passing=True
)

NOT_FOUND = Failure(
    "E-NOT-FOUND", "is not there", "the server answers: check the path", passing=True
)

NO_HOST = Failure("E-NO-HOST", "has a host that is not known", "check its name", passing=True)

REFUSED = Failure(
    "E-REFUSED", "cannot be connected to", "is it switched on, and the port right?", passing=True
)

CODEC = Failure(
    "E-CODEC", "sends a codec that is not supported", "set the camera to H.264 or MJPEG"
)

NO_VIDEO = Failure("E-NO-VIDEO", "sends no video", "choose another stream of it")

PROTOCOL = Failure(
    "E-PROTOCOL",
    "needs a protocol that is not supported",
    "use rtsp, rtmp, http, https, tcp or udp",
)

DATA = Failure("E-DATA", "sends what is no video", "check that the address is that of the stream")

ENDED = Failure("E-LOST", "closed the connection", "check the server", passing=True)

BROKEN = Failure("E-LOST", "is lost", "check the network", passing=True)

_KINDS: tuple[tuple[tuple[type[BaseException], ...], Failure], ...] = (
    ((ffmpeg.HTTPUnauthorizedError, ffmpeg.HTTPForbiddenError), AUTH),
    ((ffmpeg.HTTPNotFoundError, ffmpeg.FileNotFoundError), NOT_FOUND),
    ((ffmpeg.ExitError, TimeoutError), TIMEOUT),
    ((ConnectionRefusedError,), REFUSED),
    ((ffmpeg.ProtocolNotFoundError,), PROTOCOL),
    ((ffmpeg.DecoderNotFoundError, ffmpeg.PatchWelcomeError), CODEC),
    ((ConnectionError, EOFError), ENDED),
    ((ffmpeg.InvalidDataError, ffmpeg.DemuxerNotFoundError, ffmpeg.ArgumentError), DATA),
    ((ffmpeg.HTTPError,), NOT_FOUND),
)

_CODES = {ETIMEDOUT: TIMEOUT, EHOSTUNREACH: REFUSED, ENETUNREACH: REFUSED}

SECURE = ("https", "rtsps", "rtmps")
"""Schemes that encrypt."""


def classify(error: BaseException, address: str) -> Failure:
    """The kind of an error that came from opening or reading an address."""
    for types, failure in _KINDS:
        if isinstance(error, types):
            return failure
    if isinstance(error, av.FFmpegError | OSError):
        failure = _CODES.get(error.errno or 0, BROKEN)
        # FFmpeg says "input/output error" for names nobody knows and for TLS that fails alike.
        return _looked_up(address) or failure if failure is BROKEN else failure
    return BROKEN


def _looked_up(address: str) -> Failure | None:
    """What is wrong with the host, where that is what is wrong."""
    try:
        parts = urlsplit(address)
        socket.getaddrinfo(parts.hostname, parts.port or 80)
    except (OSError, ValueError):
        return NO_HOST
    return TLS if parts.scheme.lower() in SECURE else None
