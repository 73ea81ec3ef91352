"""Network streams: RTSP, RTMP, HTTP(S) with MJPEG, MPEG-TS or HLS, TCP, UDP and SRT.

A `NetworkSource` is one connection. It raises SourceLost when the connection breaks;
`ReconnectingSource` opens it again. Only protocols and formats of streams are allowed, so that a
playlist cannot open a file of this machine.

H.264 decoders delay their output by the reorder depth of the stream. A corrupt header can raise the
depth to 16 frames, and it never falls again, so one wrong bit would delay the view by half a second
for the rest of the connection. `LowDelayDecoder` restores the first depth at a keyframe if all
timestamps since the previous keyframe were in order, because then no frame is reordered.
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
from rtmag.realtime.log import protect
from rtmag.realtime.media.colour import Converter
from rtmag.realtime.media.container import first_video_stream, read_packets
from rtmag.realtime.media.image_size import MAX_PIXELS, too_large
from rtmag.realtime.media.timestamps import StreamClock
from rtmag.realtime.rate import RateMeter, rounding
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

_HTTP = "http,https,tcp,tls,httpproxy,crypto,data"
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
    "rtsp,sdp,rtp,hls,applehttp,mpegts,mpjpeg,mjpeg,jpeg_pipe,flv,live_flv,mov,mp4,m4a,3gp,3g2,mj2,"
    "matroska,webm,nut,h264,hevc,aac,webvtt,yuv4mpegpipe"
)
"""FFmpeg's names of the formats that may be opened."""

_WITHOUT_TIMESTAMPS = ("mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc")
"""Formats without timestamps; FFmpeg computes them from a frame count."""

_LOST = (OSError, EOFError, ExitError)
"""Errors that end a connection; all others are caused by damaged data and are skipped."""

_PROBE_SECONDS = 1.0
"""Seconds for which FFmpeg may analyse the stream."""


def scheme_of(text: str) -> str | None:
    """Return the scheme of an address in lower case; None if the text is not an address."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return match[1].lower() if match else None


class NetworkSource(BaseSource):
    """One connection to a live stream. Read it through LatestFrames.

    Packets that cannot be decoded are skipped and counted in `damaged`. The times of the frames are
    the stream's timestamps, shifted to the monotonic clock (rtmag.realtime.media.timestamps).

    Args:
        address: address of the stream, with user and password if required.
        timeout: seconds without data after which the connection is lost.
        max_pixels: larger frames are refused before they are decoded.
        ca: PEM file of certificates that verify the server's certificate. None: the certificate is
            not verified, because most cameras use self-signed ones.

    Raises:
        SourceUnavailable: the connection fails or contains no video; the message has a hint.
        SourceAbsent: the same, if a later attempt may succeed.
        OptionError: `ca` is not a file, or the address is not encrypted.
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
        self.name = protect(address)
        self._address, self._max_pixels, self._ca = address, max_pixels, ca
        self._stop = threading.Event()
        self._rate = RateMeter()
        self._container = self._open(timeout)
        try:
            self._stream = self._video()
            self._decoder = LowDelayDecoder(self._stream)
            # Files and HLS arrive faster than they play, so their frames are delayed.
            self._paced = self._finite or "hls" in self._container.format.name
            self._pictures = self._decode()
            self._first = self._first_picture(timeout)
            self.size = (self._first.width, self._first.height)
            self.sample_aspect = self._stream.sample_aspect_ratio
        except BaseException:
            self._container.close()
            raise

    @property
    def fps(self) -> float | None:
        """Measured frames per second; None while unknown."""
        return self._rate.fps

    @property
    def _finite(self) -> bool:
        """True if the stream is a file on a server, not a camera."""
        return bool(self._container.duration) and (self._container.duration or 0) > 0

    def _open(self, timeout: float) -> InputContainer:
        """Connect; raises SourceUnavailable with a hint if that fails."""
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
        start = time.monotonic()
        try:
            return av.open(
                self._address,
                container_options=options,
                timeout=timeout,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            failure = classify(error, self._address)
        if failure is DATA and time.monotonic() - start > 0.9 * timeout:
            failure = TIMEOUT  # FFmpeg reports a silent RTSP server as invalid data
        raise self._unavailable(failure)  # outside `except`: FFmpeg's error contains the password

    def _certificates(self, scheme: str) -> Path:
        """Return the certificate file; raises OptionError where FFmpeg would ignore it."""
        assert self._ca is not None
        if scheme not in SECURE:
            raise OptionError(f"--ca applies to {', '.join(SECURE)} only, got {scheme}://")
        if not self._ca.is_file():
            raise OptionError(f"--ca must be a file with certificates (PEM), got {str(self._ca)!r}")
        return self._ca

    def _video(self) -> VideoStream:
        """Return the video stream, after checking its codec and size."""
        stream = first_video_stream(self._container)
        if stream is None:
            raise self._unavailable(NO_VIDEO)
        context = stream.codec_context
        if context is None:
            raise self._unavailable(CODEC)
        self._check_size(context.width, context.height)
        context.options = {**context.options, "max_pixels": str(self._max_pixels)}
        context.thread_type = "SLICE"  # frame threads would delay the output by one frame each
        return stream

    def _check_size(self, width: int, height: int) -> None:
        refusal = too_large(width, height, self._max_pixels)
        if refusal is not None:
            raise SourceUnavailable(f"cannot open {self.name!r}: {refusal}")

    def _first_picture(self, timeout: float) -> VideoFrame:
        """Return the first picture; raises SourceUnavailable if none comes in twice the timeout."""
        deadline = time.monotonic() + 2 * timeout  # some servers send data without pictures
        for picture in self._pictures:
            if picture is not None:
                return picture
            if self._stop.is_set() or time.monotonic() > deadline:
                break
        raise self._unavailable(NO_VIDEO)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they arrive; raises SourceLost when the connection breaks."""
        clock = StreamClock(stamped=self._container.format.name not in _WITHOUT_TIMESTAMPS)
        converter = Converter()
        layout, changes, index = _layout(self._first), 0, 0
        tick = rounding(float(self._stream.time_base or 0))
        try:
            for picture in chain([self._first], self._pictures):
                if self._stop.is_set():
                    break
                if picture is None:
                    continue
                stamp = picture.time
                if self._paced:
                    self._stop.wait(clock.early_by(stamp, time.monotonic()))
                frame_time = clock.read(stamp, time.monotonic())
                self._rate.add(frame_time, tick=tick)
                if _layout(picture) != layout:  # for example grey pictures at night
                    layout, changes = _layout(picture), changes + 1
                epoch = clock.epoch + changes
                yield Frame(converter.to_bgr(picture), frame_time, index, epoch, tick)
                index += 1
        finally:
            # The generator and this object refer to each other; this frees the decoder immediately.
            self._pictures.close()
            # Closed here, because another thread must not close it while this one reads.
            self._container.close()

    def _decode(self) -> Generator[VideoFrame | None, None, None]:
        """Yield pictures, and None for packets without one; raises SourceLost at the end."""
        failure = ENDED
        try:
            for packet in read_packets(self._container, self._stream, fatal=_LOST):
                yield from self._decode_packet(packet)
        except _LOST as error:
            failure = classify(error, self._address)
        if not self._finite:
            raise SourceLost(failure.message(self._address))

    def _decode_packet(self, packet: "Packet[Stream] | None") -> Iterator[VideoFrame | None]:
        """Yield the pictures of a packet, or None if it has none; count damage."""
        pictures = None
        if packet is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                pictures = self._decoder.decode(packet)
        self.damaged += pictures is None or (packet is not None and packet.is_corrupt)
        if not pictures:
            yield None
        for picture in pictures or []:
            self._check_size(picture.width, picture.height)
            self.damaged += picture.is_corrupt  # but shown: decoders conceal most damage
            yield picture

    def close(self) -> None:
        """End the iteration; the reading thread frees the connection within the timeout."""
        self._stop.set()

    def _unavailable(self, failure: Failure) -> SourceUnavailable:
        error_type = SourceAbsent if failure.temporary else SourceUnavailable
        return error_type(failure.message(self._address))


def _layout(picture: VideoFrame) -> tuple[int, int, str]:
    """Return size and pixel format; a new epoch begins when one of them changes."""
    return picture.width, picture.height, picture.format.name
