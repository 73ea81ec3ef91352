"""Reading of streams with FFmpeg: RTSP, RTMP, MPEG-TS, HLS, and files on a server.

Only protocols and formats of streams are allowed, so that a playlist cannot open a file of this
machine. JPEG pictures over HTTP are not read here (rtmag.realtime.sources.network_jpeg).

H.264 decoders delay their output by the reorder depth of the stream. A corrupt header can raise the
depth to 16 frames, and it never falls again, so one wrong bit would delay the view by half a second
for the rest of the connection. `LowDelayDecoder` restores the first depth at a keyframe if all
timestamps since the previous keyframe were in order, because then no frame is reordered.
"""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.error import ExitError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.log import protect
from rtmag.realtime.media.container import first_video_stream, read_packets
from rtmag.realtime.media.deinterlace import Deinterlacer
from rtmag.realtime.media.image_size import too_large
from rtmag.realtime.rate import rounding
from rtmag.realtime.sources.http_client import Body
from rtmag.realtime.sources.network_errors import (
    CODEC,
    CUT,
    DATA,
    ENDED,
    INDEX,
    NO_VIDEO,
    PROTOCOL,
    SECURE,
    TIMEOUT,
    UNDECODABLE,
    Failure,
    StreamFailed,
    classify,
)
from rtmag.realtime.sources.source import scheme_of

STILLS_PER_SECOND = 10.0
"""Largest rate of requests of still pictures, unless another is given."""

Transport = Literal["tcp", "udp"]
"""Transport of the video packets of RTSP."""


class LowDelayDecoder:
    """Decoder for one live stream that keeps the delay at its minimum."""

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._depth = self._context.reorder_depth
        self._in_order = False
        self._last_stamp: int | None = None

    def decode(self, packet: "Packet[Stream]") -> list[VideoFrame]:
        """Return the frames that are ready; raises FFmpeg's errors for damaged packets."""
        if packet.is_keyframe:
            if self._in_order and self._context.reorder_depth > self._depth:
                self._context.flush_buffers()  # drops late frames: newer ones follow immediately
                self._context.reorder_depth = self._depth
            self._in_order = True
        self._in_order &= self._is_in_order(packet.pts)
        return packet.decode()  # type: ignore[return-value]

    def _is_in_order(self, stamp: int | None) -> bool:
        before, self._last_stamp = self._last_stamp, stamp
        return stamp is not None and (before is None or stamp > before)


_RTP = "rtp,srtp,udp,tcp"
"""Protocols that RTSP uses."""

_ENCRYPTED_HTTP = "https,tcp,tls,httpproxy,crypto,data"
"""Protocols that HTTPS and its playlists use if the server must be verified."""

_HTTP = f"http,{_ENCRYPTED_HTTP}"
"""Protocols that HTTP and HLS use."""

_PROTOCOLS = {
    "rtsp": f"rtsp,{_RTP}",
    "rtsps": f"rtsps,rtsp,tls,{_RTP}",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "http": _HTTP,
    "https": _HTTP,
    "tcp": "tcp",
    "udp": "udp",
    "srt": "srt",
}
"""Protocols that each scheme may use; `file` is never one of them."""

_FORMATS = (
    "rtsp,sdp,rtp,hls,applehttp,mpegts,flv,live_flv,mov,mp4,m4a,3gp,3g2,mj2,"
    "matroska,webm,nut,h264,hevc,aac,webvtt,yuv4mpegpipe"
)
"""FFmpeg's names of the formats that may be opened."""

_JPEG_FORMATS = ",mpjpeg,mjpeg,jpeg_pipe"
"""Formats of JPEG pictures; not for HTTP, where FFmpeg takes any size that a server announces."""

_WITHOUT_TIMESTAMPS = ("mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc")
"""Formats without timestamps; FFmpeg computes them from a frame count."""

_LOST = (OSError, EOFError, ExitError, HTTPException)
"""Errors that end a connection; all others are caused by damaged data and are skipped."""

_PROBE_SECONDS = 1.0
"""Seconds for which FFmpeg may analyse the stream."""

_RESUME_SECONDS = 2
"""Longest delay of FFmpeg's attempts to resume a file whose transfer was cut."""

_PLACEHOLDER = 2**31 - 1
"""Sizes from here on are what some servers announce for a stream without an end."""

_MISSING = 0.5
"""Seconds by which a complete file may end before its stated duration."""

_MISSING_AFTER_ERROR = 0.1
"""The same if its transfer ended with an error."""

_MISSING_PLAYLIST = 0.1
"""Share of a complete playlist that may be missing: it rounds the durations of its segments."""

_JUMP = 10.0
"""Seconds between two packets from which the timestamps jump, as between segments of a playlist."""

_MISSING_SHARE = 0.05
"""Share of the bytes of a transport stream that may follow its last picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The address of a stream, and everything that is needed to open it."""

    address: str
    timeout: float
    """Seconds without data after which the connection is lost."""
    max_pixels: int
    ca: Path | None = None
    """PEM file of the certificates that verify the server; None: it is not verified."""
    transport: Transport = "tcp"
    stills_per_second: float = STILLS_PER_SECOND
    """Largest rate of requests, if the address gives one picture for each."""
    indexed: bool = False
    """True for an MP4 file, which needs its index first, from a server that sends no parts."""
    body: Body | None = None
    """Answer that is read in place of the address."""


def is_http(address: str) -> bool:
    """True for addresses with http or https."""
    return scheme_of(address) in ("http", "https")


def _options(access: Access) -> dict[str, str]:
    """Return FFmpeg's options for opening a stream.

    Raises:
        StreamFailed: the protocol is not supported.
        OptionError: FFmpeg would ignore the certificates.
    """
    scheme, http = scheme_of(access.address) or "", is_http(access.address)
    if scheme not in _PROTOCOLS:
        raise StreamFailed(PROTOCOL)
    options = {
        "protocol_whitelist": _PROTOCOLS[scheme],
        "format_whitelist": _FORMATS + ("" if http else _JPEG_FORMATS),
        "fpsprobesize": "0",
        "analyzeduration": str(round(1e6 * _PROBE_SECONDS)),
        "probesize": "1000000",
    }
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = access.transport
    if http:  # a file whose transfer is cut goes on where it ended
        options |= {"reconnect": "1", "reconnect_delay_max": str(_RESUME_SECONDS)}
    if access.ca is not None:
        check_certificates(access.ca, scheme)
        options |= {"tls_verify": "1", "ca_file": str(access.ca)}
        if http:
            options |= {"protocol_whitelist": _ENCRYPTED_HTTP, "max_redirects": "0"}
    return options


def check_certificates(ca: Path, scheme: str) -> None:
    """Raise OptionError if the certificates are not a file, or the scheme is not encrypted."""
    if scheme not in SECURE:
        raise OptionError(f"--ca applies to {', '.join(SECURE)} only, got {scheme}://")
    if not ca.is_file():
        raise OptionError(f"--ca must be a file with certificates (PEM), got {str(ca)!r}")


class ContainerFeed:
    """Pictures of one connection that FFmpeg reads.

    Raises:
        StreamFailed: the connection fails or contains no video.
    """

    damaged = 0

    def __init__(self, access: Access) -> None:
        self._access = access
        self._container = self._open()
        try:
            self._stream = self._video()
        except BaseException:
            self._container.close()
            raise
        self._decoder = LowDelayDecoder(self._stream)
        name = self._container.format.name
        self.stamped = name not in _WITHOUT_TIMESTAMPS
        """True if the pictures have timestamps of their own."""
        self.tick = rounding(float(self._stream.time_base or 0))
        """Seconds by which the timestamps are rounded."""
        self.sample_aspect = self._stream.sample_aspect_ratio
        """Width over height of one pixel; None if it is square or unknown."""
        self._is_playlist = "hls" in name
        stated = not self._is_playlist and 0 < self._container.size < _PLACEHOLDER
        self.finite = (self._container.duration or 0) > 0 or stated
        """True if the stream is a file or a finished playlist on a server, not a camera."""
        self.paced = self.finite or self._is_playlist
        """True if the pictures may arrive faster than they play."""
        self._deinterlacer = Deinterlacer()
        self._key_seen = False
        self._video_at = -math.inf
        self._span = math.inf, -math.inf
        self._last: float | None = None
        self._step = 0.0
        """Seconds between the last two packets of video."""
        self.played = 0.0
        """Seconds of video that were read."""
        self._bytes = 0

    @property
    def interlaced(self) -> bool:
        """True if pictures were interlaced; they are deinterlaced."""
        return self._deinterlacer.active

    @property
    def waits_for_key(self) -> bool:
        """True if packets of video arrive, but none that a decoder can begin with."""
        recent = time.monotonic() - self._video_at < self._access.timeout
        return recent and not self._key_seen

    def no_picture(self) -> Failure:
        """Return the reason why no picture was decoded."""
        return UNDECODABLE if self._key_seen else NO_VIDEO

    def _open(self) -> InputContainer:
        access = self._access
        options, start = _options(access), time.monotonic()
        try:
            return av.open(
                access.body or access.address,
                "r",
                container_options=options,
                timeout=access.timeout,
                metadata_errors="replace",
            )
        except (av.FFmpegError, HTTPException, OSError, ValueError) as error:
            failure = classify(error, access.address)
        if access.indexed and failure is not TIMEOUT:
            failure = INDEX
        if failure is DATA and time.monotonic() - start > 0.9 * access.timeout:
            failure = TIMEOUT  # FFmpeg reports a silent RTSP server as invalid data
        raise StreamFailed(failure)  # outside `except`: FFmpeg's error contains the password

    def _video(self) -> VideoStream:
        """Return the video stream, after checking its codec and size."""
        stream = first_video_stream(self._container)
        if stream is None:
            raise StreamFailed(NO_VIDEO)
        context = stream.codec_context
        if context is None:
            raise StreamFailed(CODEC)
        self._check_size(context.width, context.height)
        context.options = {**context.options, "max_pixels": str(self._access.max_pixels)}
        context.thread_type = "SLICE"  # frame threads would delay the output by one frame each
        return stream

    def _check_size(self, width: int, height: int) -> None:
        refusal = too_large(width, height, self._access.max_pixels)
        if refusal is not None:
            raise SourceUnavailable(f"cannot open {protect(self._access.address)!r}: {refusal}")

    def pictures(self) -> Generator[VideoFrame | None, None, None]:
        """Yield pictures, and None for packets without one.

        Raises:
            StreamFailed: the connection ended, or a file was cut off.
        """
        failure = None
        try:
            # All streams are read, so that a stream without video is noticed while sound arrives.
            for packet in read_packets(self._container, fatal=_LOST):
                if packet is None:
                    self.damaged += 1
                    yield None
                    continue
                self._measure(packet)
                if packet.stream is self._stream:
                    yield from self._decode(packet)
                else:
                    yield None
        except _LOST as error:
            failure = classify(error, self._access.address)
        yield from self._deinterlacer.flush()
        if self._access.indexed and not self._key_seen:
            raise StreamFailed(INDEX)
        if not self.finite:
            raise StreamFailed(failure or ENDED)
        if not self._is_complete(failed=failure is not None):
            raise StreamFailed(failure or CUT)

    def _decode(self, packet: "Packet[Stream]") -> Iterator[VideoFrame | None]:
        """Yield the pictures of a packet, or None if it has none; count damage."""
        if packet.size:
            self._video_at = time.monotonic()
        self._key_seen |= packet.is_keyframe
        pictures = None
        with suppress(av.FFmpegError, OSError, ValueError):
            pictures = self._decoder.decode(packet)
        # Until the first key picture, packets cannot be decoded, but they are not damaged.
        self.damaged += self._key_seen and (pictures is None or packet.is_corrupt)
        if not pictures:
            yield None
        for picture in pictures or []:
            self._key_seen = True
            self._check_size(picture.width, picture.height)
            self.damaged += picture.is_corrupt  # but shown: decoders conceal most damage
            with suppress(av.FFmpegError):
                yield from self._deinterlacer.add(picture)

    def _measure(self, packet: "Packet[Stream]") -> None:
        """Note how much of a file was read, in seconds and in bytes."""
        self._bytes = max(self._bytes, (packet.pos or 0) + packet.size)
        if packet.pts is not None and packet.time_base is not None:
            start, tick = float(packet.pts * packet.time_base), float(packet.time_base)
            first, last = self._span
            self._span = min(first, start), max(last, start + tick * (packet.duration or 0))
        if packet.stream is self._stream and packet.dts is not None and packet.size:
            at, last_at = float(packet.dts * (packet.time_base or 0)), self._last
            if last_at is not None and 0 < at - last_at < _JUMP:
                self._step = at - last_at
            self._last = at
            self.played += self._step

    def is_all(self, seconds: float) -> bool:
        """True if this number of seconds is all of a finished playlist."""
        duration = (self._container.duration or 0) / av.time_base
        return 0 < duration <= seconds + max(_MISSING, _MISSING_PLAYLIST * duration)

    def _is_complete(self, *, failed: bool) -> bool:
        """True if a file was read to its end."""
        if self._is_playlist:  # FFmpeg passes over segments that are missing
            return not failed and self.is_all(self.played)
        if self._container.format.name == "mpegts":  # its duration may be an estimate
            return self._bytes >= (1 - _MISSING_SHARE) * self._container.size
        first, last = self._span
        missing = (self._container.duration or 0) / av.time_base - (last - first)
        return missing <= (_MISSING_AFTER_ERROR if failed else _MISSING)

    def close(self) -> None:
        """Free the connection; only from the thread that reads."""
        self._container.close()
        if self._access.body is not None:
            self._access.body.close()
