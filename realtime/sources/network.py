"""Network streams as sources: rtsp, rtmp, http(s) with MJPEG, MPEG-TS or HLS, tcp, udp, srt.

One source is one connection: it raises SourceLost when that breaks, and what opens it again is the
supervisor. Only protocols and formats of streams are let in, so that a playlist cannot open a file
of this machine.
"""

import re
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.error import ExitError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rtmag.realtime.errors import OptionError, SourceAbsent, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import redact
from rtmag.realtime.media.colour import Converter
from rtmag.realtime.media.container import moving_picture, read_packets
from rtmag.realtime.media.image_size import MAX_PIXELS, too_large
from rtmag.realtime.media.timestamps import RateMeter, StreamClock
from rtmag.realtime.sources.network_errors import (
    CODEC,
    DATA,
    ENDED,
    NO_VIDEO,
    PROTOCOL,
    SECURE,
    TIMEOUT,
    Failure,
    classify,
)
from rtmag.realtime.sources.source import BaseSource


class LowDelayDecoder:
    """Decodes the packets of one stream, in the order in which they came."""

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._depth = self._context.reorder_depth
        self._ordered = False
        self._stamp: int | None = None

    def decode(self, packet: "Packet[Stream]") -> list[VideoFrame]:
        """The pictures that are ready now; raises what FFmpeg does of damage."""
        if packet.is_keyframe:
            if self._ordered and self._context.reorder_depth > self._depth:
                self._context.flush_buffers()  # late pictures: newer ones are about to come
                self._context.reorder_depth = self._depth
            self._ordered = True
        self._ordered &= self._follows(packet.pts)
        return packet.decode()  # type: ignore[return-value]

    def _follows(self, stamp: int | None) -> bool:
        before, self._stamp = self._stamp, stamp
        return stamp is not None and (before is None or stamp > before)


_RTP = "rtp,srtp,udp,tcp"

_HTTP = "http,https,tcp,tls,httpproxy,crypto,data"

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
"""What each scheme may open in turn; `file` is nowhere among it."""

_FORMATS = (
    "rtsp,sdp,rtp,hls,applehttp,mpegts,mpjpeg,mjpeg,jpeg_pipe,flv,live_flv,mov,mp4,m4a,3gp,3g2,mj2,"
    "matroska,webm,nut,h264,hevc,aac,webvtt,yuv4mpegpipe"
)

_UNSTAMPED = ("mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc")
"""Formats without timestamps; those FFmpeg gives are counted up."""

_LOST = (OSError, EOFError, ExitError)
"""What ends a connection; other errors are damage, and are stepped over."""

_PROBE_SECONDS = 1.0


def scheme_of(text: str) -> str | None:
    """The scheme of an address, in small letters; None for what is none."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return found[1].lower() if found else None


class NetworkSource(BaseSource):
    """One connection to a live stream. The newest frame counts.

    Damaged packets and pictures are counted in `damaged`; what cannot be decoded is stepped over.
    Frames have the stream's timestamps,
    moved to the monotonic clock (rtmag.realtime.media.timestamps).

    Args:
        address: of the stream; user and password may be part of it.
        timeout: seconds without data after which the connection is lost.
        max_pixels: larger frames are refused before they are decoded.
        ca: file of the certificates (PEM) of which the server must show one, or one that they
            signed. None: the connection is encrypted where the address says so, but not whose it
            is is asked, as most cameras sign for themselves.

    Raises:
        SourceUnavailable: the connection fails, or brings no video; says why, and what to do.
            SourceAbsent, where it may succeed later.
    """

    live = True
    damaged = 0

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 5.0,
        max_pixels: int = MAX_PIXELS,
        ca: Path | None = None,
    ) -> None:
        self.name = redact(address)
        self._address, self._max_pixels, self._ca = address, max_pixels, ca
        self._stop = threading.Event()
        self._rate = RateMeter()
        self._container = self._opened(timeout)
        try:
            self._stream = self._video()
            self._decoder = LowDelayDecoder(self._stream)
            self._paced = self._finite or "hls" in self._container.format.name
            self._pictures = self._decoded()
            self._first = self._first_picture(timeout)
            self.size = (self._first.width, self._first.height)
        except BaseException:
            self._container.close()
            raise

    @property
    def fps(self) -> float | None:
        """Frames per second as measured; None while unknown."""
        return self._rate.fps

    @property
    def _finite(self) -> bool:
        """Whether it is a file that somebody serves, not a camera."""
        return bool(self._container.duration) and (self._container.duration or 0) > 0

    def _opened(self, timeout: float) -> InputContainer:
        scheme = scheme_of(self._address) or ""
        if scheme not in _PROTOCOLS:
            raise self._unavailable(PROTOCOL)
        options = {
            "protocol_whitelist": _PROTOCOLS[scheme],
            "format_whitelist": _FORMATS,
            "fpsprobesize": "0",
            "analyzeduration": str(round(1e6 * _PROBE_SECONDS)),
            "probesize": "1000000",
        }
        if scheme in ("rtsp", "rtsps"):
            options["rtsp_transport"] = "tcp"
        if self._ca is not None:
            options |= {"tls_verify": "1", "ca_file": str(self._certificates(scheme))}
        began = time.monotonic()
        try:
            return av.open(
                self._address,
                container_options=options,
                timeout=timeout,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            failure = classify(error, self._address)
        if failure is DATA and time.monotonic() - began > 0.9 * timeout:
            failure = TIMEOUT  # of a silent RTSP server FFmpeg says that its data are invalid
        raise self._unavailable(failure)  # outside: FFmpeg's error holds the password

    def _certificates(self, scheme: str) -> Path:
        """The file by which the server is known; refused where it would not be looked at."""
        assert self._ca is not None
        if scheme not in SECURE:
            raise OptionError(f"--ca is for {', '.join(SECURE)}, got {scheme}://")
        if not self._ca.is_file():
            raise OptionError(f"--ca must be a file of certificates (PEM), got {str(self._ca)!r}")
        return self._ca

    def _video(self) -> VideoStream:
        stream = moving_picture(self._container)
        if stream is None:
            raise self._unavailable(NO_VIDEO)
        context = stream.codec_context
        if context is None:
            raise self._unavailable(CODEC)
        self._check_size(context.width, context.height)
        context.options = {**context.options, "max_pixels": str(self._max_pixels)}
        context.thread_type = "SLICE"  # a thread per frame would hold back as many frames
        return stream

    def _check_size(self, width: int, height: int) -> None:
        refusal = too_large(width, height, self._max_pixels)
        if refusal is not None:
            raise SourceUnavailable(f"cannot open {self.name!r}: {refusal}")

    def _first_picture(self, timeout: float) -> VideoFrame:
        give_up = time.monotonic() + 2 * timeout  # something may come for ever, but no picture
        for picture in self._pictures:
            if picture is not None:
                return picture
            if self._stop.is_set() or time.monotonic() > give_up:
                break
        raise self._unavailable(NO_VIDEO)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they come; raises SourceLost when the connection breaks."""
        clock = StreamClock(stamped=self._container.format.name not in _UNSTAMPED)
        converter = Converter()
        kind, changes, index = _kind(self._first), 0, 0
        try:
            for picture in chain([self._first], self._pictures):
                if self._stop.is_set():
                    break
                if picture is None:
                    continue
                stamp = picture.time
                if self._paced:
                    self._stop.wait(clock.ahead(stamp, time.monotonic()))
                moment = clock.read(stamp, time.monotonic())
                self._rate.add(moment)
                if _kind(picture) != kind:  # a camera that sees no colours at night, say
                    kind, changes = _kind(picture), changes + 1
                yield Frame(converter.to_bgr(picture), moment, index, clock.epoch + changes)
                index += 1
        finally:
            self._pictures.close()  # it holds us, and we the decoder and its threads
            self._container.close()  # here, for nobody else may while this thread reads

    def _decoded(self) -> Generator[VideoFrame | None, None, None]:
        """Yield pictures, and None for what gives none; raises SourceLost at the end."""
        failure = ENDED
        try:
            for packet in read_packets(self._container, self._stream, fatal=_LOST):
                yield from self._pictures_of(packet)
        except _LOST as error:
            failure = classify(error, self._address)
        if not self._finite:
            raise SourceLost(failure.told(self._address))

    def _pictures_of(self, packet: "Packet[Stream] | None") -> Iterator[VideoFrame | None]:
        pictures = None
        if packet is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                pictures = self._decoder.decode(packet)
        self.damaged += pictures is None or (packet is not None and packet.is_corrupt)
        if not pictures:
            yield None
        for picture in pictures or []:
            self._check_size(picture.width, picture.height)
            self.damaged += picture.is_corrupt  # shown all the same: decoders mend a good deal
            yield picture

    def close(self) -> None:
        """End the iteration. The thread that reads frees the connection, within the timeout."""
        self._stop.set()

    def _unavailable(self, failure: Failure) -> SourceUnavailable:
        kind = SourceAbsent if failure.passing else SourceUnavailable
        return kind(failure.told(self._address))


def _kind(picture: VideoFrame) -> tuple[int, int, str]:
    """What a stream's pictures have in common; after a change motion is measured afresh."""
    return picture.width, picture.height, picture.format.name
