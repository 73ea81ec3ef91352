"""Video encoding: file types, their codecs, and an encoder.

Each image becomes exactly one encoded frame with its own time. B-frames are off, so packets keep
the order of the images and no timestamp has to be shifted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from rtmag.realtime.errors import SinkUnavailable
from rtmag.realtime.frame import Image
from rtmag.realtime.media.colour import JPEG, Colour, Converter

_FINEST = Fraction(1, 1_000_000)
"""Smallest time base, in seconds, of codecs that have no limit of their own."""

_MILLISECOND = Fraction(1, 1000)

MAX_STEP_TICKS = 2_000_000_000
"""Longest step between packets, in ticks. MP4 stores it in 31 bits; above, FFmpeg aborts."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec with its options."""

    name: str
    """FFmpeg's name of the encoder."""
    options: Mapping[str, str]
    pixel_format: str = "yuv420p"
    """Pixel format with one colour for 2x2 pixels (4:2:0)."""
    full: str | None = None
    """Pixel format with a colour for each pixel (4:4:4); None: there is none."""
    even: bool = False
    """True if images in 4:2:0 must have an even width and height."""
    colour: Colour | None = None
    """Colour tags, for codecs that support only one kind; None: those of the video."""
    finest: Fraction = _FINEST
    """Smallest time base that the codec accepts, in seconds."""
    low_delay: Mapping[str, str] = field(default_factory=dict)
    """More options for live recordings: no frame stays in the encoder if the process is killed."""


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of video file."""

    format: str
    """FFmpeg's name of the container format."""
    codecs: tuple[Codec, ...]
    """In order of preference; the first one that this build of FFmpeg contains is used."""
    audio: str = "aac"
    """Codec for audio that cannot be copied."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the container."""
    constant_rate: bool = False
    """True if the file has a constant frame rate and no timestamps."""
    full_chroma: bool = False
    """True if players of this file type show 4:4:4. Browsers, phones and QuickTime do not."""
    shortest: Fraction = _FINEST
    """Shortest time from frame to frame that the container can hold, in seconds."""


# The offset compensates for x264's coarser quantisation of chroma. With it, a quality of 14 and
# without optimisation for the eye, photographs differ by less than 1.5 grey levels on average.
_H264 = Codec(
    "libx264",
    {"preset": "veryfast", "crf": "14", "bf": "0", "x264-params": "chroma-qp-offset=-4:psy=0"},
    full="yuv444p",
    even=True,
    low_delay={"tune": "zerolatency"},
)

# FFmpeg's unit of quality is 118; one unit is the best. JPEG needs it for the same error.
_MPEG4 = Codec("mpeg4", {"flags": "+qscale", "global_quality": "236"}, finest=Fraction(1, 60_000))

_MJPEG = Codec(
    "mjpeg",
    {"flags": "+qscale", "global_quality": "118", "qmin": "1"},
    pixel_format="yuvj420p",
    full="yuvj444p",
    colour=JPEG,
)

_VP9 = Codec(
    "libvpx-vp9",
    {
        "deadline": "realtime",
        "cpu-used": "6",
        "row-mt": "1",
        "crf": "16",
        "b": "0",
        "lag-in-frames": "0",
    },
)

# Fragments keep the file readable if the program is killed or the disk is full; at the end the file
# becomes an ordinary MP4. delay_moov allows a start later than 0. Each fragment is flushed
# immediately, otherwise the last ones would be lost with the process.
_FRAGMENTS = {
    "movflags": "hybrid_fragmented+delay_moov",
    "frag_duration": "500000",
    "flush_packets": "1",
}

# The same for Matroska: a cluster of at most 500 ms.
_CLUSTERS = {"cluster_time_limit": "500", "flush_packets": "1"}

FILE_TYPES = {
    ".mp4": FileType("mp4", (_H264, _MPEG4), options=_FRAGMENTS),
    ".m4v": FileType("mp4", (_H264, _MPEG4), options=_FRAGMENTS),
    ".mov": FileType("mov", (_H264, _MPEG4), options=_FRAGMENTS),
    ".mkv": FileType(
        "matroska", (_H264, _MPEG4), options=_CLUSTERS, full_chroma=True, shortest=_MILLISECOND
    ),
    ".webm": FileType("webm", (_VP9,), "libopus", options=_CLUSTERS, shortest=_MILLISECOND),
    ".avi": FileType(
        "avi",
        (_MJPEG, _MPEG4),
        "pcm_s16le",
        constant_rate=True,
        full_chroma=True,
        shortest=_MILLISECOND,
    ),
}
"""File types by suffix."""


class VideoEncoder:
    """Encodes images of one size into a new video stream of a container.

    Args:
        container: open for writing, before its header is written.
        file_type: sets the codec.
        size: (width, height) of the images.
        fps: nominal frames per second.
        time_base: unit of the timestamps in seconds; coarser if the codec requires it.
        colour: colour tags of the video.
        sample_aspect: width over height of one pixel; None: square.
        full_chroma: True if the images come from a video with a colour for each pixel, which is
            kept if the file type allows it.
        low_delay: True to keep no frame in the encoder.

    Raises:
        SinkUnavailable: this build of FFmpeg has no codec for this file type.
    """

    def __init__(
        self,
        container: OutputContainer,
        file_type: FileType,
        size: tuple[int, int],
        *,
        fps: float,
        time_base: Fraction,
        colour: Colour,
        sample_aspect: Fraction | None = None,
        full_chroma: bool = False,
        low_delay: bool = False,
    ) -> None:
        codec = next(
            (codec for codec in file_type.codecs if codec.name in av.codecs_available), None
        )
        if codec is None:
            names = " nor ".join(codec.name for codec in file_type.codecs)
            raise SinkUnavailable(
                f"cannot write {file_type.format}: this build of FFmpeg has no {names}"
            )
        # Headers of damaged files contain rates that no codec accepts.
        highest = min(1 / file_type.shortest, Fraction(100_000))
        rate = min(Fraction(max(fps, 0.001)).limit_denominator(1001), highest)
        finest = max(time_base, codec.finest, file_type.shortest)
        self.time_base = 1 / rate if file_type.constant_rate else finest
        self._colour = codec.colour or colour.writable
        odd = size[0] % 2, size[1] % 2
        full = codec.full if file_type.full_chroma and (full_chroma or any(odd)) else None
        self.full_chroma = full is not None
        """True if a colour is stored for each pixel."""
        self.size = size if full or not codec.even else (size[0] + odd[0], size[1] + odd[1])
        """(width, height) that is stored; the last column and row are repeated to fill it."""
        self._format = full or codec.pixel_format
        self._converter = Converter()
        self._ticks: int | None = None
        self.shortened = 0
        """Number of pauses that were too long for the container."""
        self._step = max(round(1 / (rate * self.time_base)), 1)
        options = {"g": str(max(round(2 * rate), 1)), **codec.options}
        options |= codec.low_delay if low_delay else {}
        self._stream: VideoStream = container.add_stream(codec.name, rate=rate, options=options)  # type: ignore[assignment]
        self._configure(sample_aspect)

    def _configure(self, sample_aspect: Fraction | None) -> None:
        """Set size, pixel format, time base and colour tags of the stream."""
        context = self._stream.codec_context
        context.width, context.height = self.size
        context.pix_fmt = self._format
        context.time_base = self._stream.time_base = self.time_base
        if sample_aspect:
            context.sample_aspect_ratio = sample_aspect
        context.color_range = self._colour.color_range
        context.colorspace = self._colour.colorspace
        context.color_primaries = self._colour.color_primaries
        context.color_trc = self._colour.color_trc

    def encode(self, image: Image, time: float) -> list["Packet[VideoStream]"]:
        """Encode an image with its time in seconds; the packets may belong to earlier images."""
        ticks = round(time / self.time_base)
        if self._ticks is not None:
            longest = self._ticks + MAX_STEP_TICKS
            self.shortened += ticks > longest
            ticks = min(max(ticks, self._ticks + 1), longest)
            self._step = ticks - self._ticks
        self._ticks = ticks
        height, width = image.shape[:2]
        if (width, height) != self.size:
            fill = ((0, self.size[1] - height), (0, self.size[0] - width), (0, 0))
            image = np.pad(image, fill, "edge")
        frame = self._converter.from_bgr(image, self._format, self._colour)
        frame.pts, frame.time_base = ticks, self.time_base
        return self._with_durations(self._stream.encode(frame))

    def flush(self) -> list["Packet[VideoStream]"]:
        """Return all packets that are still in the encoder."""
        return self._with_durations(self._stream.encode(None))

    def _with_durations(self, packets: list["Packet[VideoStream]"]) -> list["Packet[VideoStream]"]:
        # Containers take each duration from the next packet; only the last packet's own is used.
        for packet in packets:
            packet.duration = self._step
        return packets
