"""Copy the audio of a file into another one: unchanged if possible, otherwise encoded again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.codec import Codec
from av.container import OutputContainer
from av.packet import Packet

from rtmag.realtime.media.container import open_container, read_packets
from rtmag.realtime.media.encoder import MAX_STEP_TICKS
from rtmag.realtime.media.metadata import copy_track_metadata
from rtmag.realtime.media.timestamps import is_discontinuity

_MAX_DEVIATION = 0.02
"""Seconds by which encoded audio may deviate from its timestamps before it is corrected."""


_DAMAGE = (av.error.InvalidDataError, av.error.ArgumentError)
"""Errors that encoders and containers raise for damaged audio."""


_CHANGED_PACKETS = 5
"""Number of packets, 0.1 s, from which another rate is no damage."""


class AudioTracks:
    """Writes all audio tracks of a file into another file, next to its video.

    Args:
        path: file with the audio.
        output: container to write to, before its header is written.
        codec: codec for tracks that cannot be copied.
        copy: False to encode all tracks again.
        shift: seconds added to all timestamps.
    """

    def __init__(
        self, path: Path, output: OutputContainer, codec: str, *, copy: bool, shift: float
    ) -> None:
        self._container = open_container(path)
        self._output = output
        self._tracks = {
            stream.index: _track(
                stream, output, codec, copy=copy and not _changes(path, stream), shift=shift
            )
            for stream in self._container.streams.audio
            if not _is_empty(stream)
        }
        self.left_out = len(self._container.streams.audio) - len(self._tracks)
        """Number of tracks that cannot be read."""
        self._packets = self._read()
        self._next = next(self._packets, None)

    def _read(self) -> Iterator["Packet[AudioStream]"]:
        streams = [s for s in self._container.streams.audio if s.index in self._tracks]
        for packet in read_packets(self._container, *streams) if streams else ():
            if packet is not None:
                yield packet  # type: ignore[misc]

    def advance(self, until: float | None) -> None:
        """Write all audio up to a time of the output in seconds; None: all that is left."""
        while self._next is not None:
            track = self._tracks[self._next.stream.index]
            start = track.start(self._next)
            if until is not None and start is not None and start > until:
                return
            # Damaged packets raise these errors; a full disk raises others.
            with suppress(*_DAMAGE):
                for packet in track.convert(self._next):
                    with suppress(*_DAMAGE):
                        self._output.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the file with the audio."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Copy:
    """A track whose packets are copied.

    Times are in ticks of the source's time base.
    """

    def __init__(self, source: AudioStream, output: OutputContainer, shift: float) -> None:
        self._stream = output.add_stream_from_template(source)
        copy_track_metadata(source, self._stream)
        self._shift = round(shift / (source.time_base or Fraction(1, 48_000)))
        self._last: int | None = None
        """Decoding time of the last packet in the output."""
        # Fragmented files do not allow the headers of AAC in broadcasts.
        strip = _has_headers(source) and output.format.name in ("mp4", "mov")
        self._filter = BitStreamFilterContext("aac_adtstoasc", source) if strip else None

    def start(self, packet: "Packet[AudioStream]") -> float | None:
        """Return the seconds in the output at which a packet starts; None if it has no time."""
        if packet.dts is None:
            return None
        if self._last is not None:
            step = (packet.dts + self._shift - self._last) * packet.time_base
            if is_discontinuity(float(step)) or step > MAX_STEP_TICKS * (
                self._stream.time_base or 1
            ):
                self._shift = self._last + (packet.duration or 1) - packet.dts
        return float((packet.dts + self._shift) * packet.time_base)

    def convert(self, packet: "Packet[AudioStream]") -> list["Packet[AudioStream]"]:
        """Return the packets to write for a packet; none if it is damaged."""
        # Packets without a time end a stream; packets that go back in time are damaged.
        if packet.dts is None:
            return []
        if self._last is not None and packet.dts + self._shift <= self._last:
            return []
        packet.dts += self._shift
        self._last = packet.dts
        packet.pts = None if packet.pts is None else packet.pts + self._shift
        try:
            packets = [packet] if self._filter is None else self._filter.filter(packet)
        except (av.FFmpegError, OSError):
            return []
        for each in packets:
            each.stream = self._stream
        return packets


class _Transcode:
    """A track that is decoded and encoded again."""

    def __init__(
        self, source: AudioStream, output: OutputContainer, codec: str, shift: float
    ) -> None:
        rate = _supported_rate(codec, source.codec_context.sample_rate)
        self._stream: AudioStream = output.add_stream(codec, rate=rate)  # type: ignore[assignment]
        copy_track_metadata(source, self._stream)
        self._layout = "mono" if source.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream.codec_context.layout = self._layout
        self._resampler = self._make_resampler(rate)
        self._rate, self._shift = rate, shift
        self._timed = output.format.name != "avi"
        """False if the container has no timestamps of audio."""
        self._input: tuple[str, str, int] | None = None
        """Format, channels and rate that the resampler is set up for."""
        self._ticks = 0
        """Samples from the start of the output to the next one to encode."""
        self._skip = 0
        """Number of samples to drop, because they are earlier than the next one to encode."""
        self._last: float | None = None
        """Seconds in the output at which the last packet starts."""

    def _make_resampler(self, rate: int) -> AudioResampler:
        return AudioResampler(self._stream.codec_context.format, self._layout, rate)

    def start(self, packet: "Packet[AudioStream]") -> float | None:
        """Return the seconds in the output at which a packet starts; None if it has no time."""
        if packet.dts is None:
            return None
        time = float(packet.dts * packet.time_base)
        if self._last is not None and is_discontinuity(time + self._shift - self._last):
            self._shift = self._last + float((packet.duration or 0) * packet.time_base) - time
        self._last = time + self._shift
        return self._last

    def convert(self, packet: "Packet[AudioStream]") -> list["Packet[AudioStream]"]:
        """Return the packets to write for a packet; none if it is damaged."""
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError, ValueError):
            return []
        encoded = []
        for frame in frames:
            encoded += self._convert(frame)
        if packet.dts is None and not packet.size:
            encoded += self._flush_resampler()
            encoded += self._stream.encode(None)
        return encoded

    def _convert(self, frame: AudioFrame) -> list["Packet[AudioStream]"]:
        """Resample and encode a frame; broadcasts may change its rate and its channels."""
        encoded = []
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._input:
            if self._input is not None:
                encoded += self._flush_resampler()
            self._resampler, self._input = self._make_resampler(self._rate), form
        if frame.pts is not None and frame.time_base:
            encoded += self._anchor(float(frame.pts * frame.time_base) + self._shift)
        frame.pts = None
        for piece in self._resampler.resample(frame):
            encoded += self._encode(piece)
        return encoded

    def _flush_resampler(self) -> list["Packet[AudioStream]"]:
        return [each for piece in self._resampler.resample(None) for each in self._encode(piece)]

    def _anchor(self, time: float) -> list["Packet[AudioStream]"]:
        """Correct `_ticks` if it deviates too much from `time`, in seconds of the output.

        Earlier audio is dropped. A pause is a step of the timestamps, or silence if there are none.
        """
        ahead = round(time * self._rate) - self._ticks
        if abs(ahead) <= (_MAX_DEVIATION * self._rate if self._ticks else 0):
            return []
        self._skip = max(-ahead, 0)
        ahead = min(max(ahead, 0), MAX_STEP_TICKS)
        if self._timed:
            self._ticks += ahead
            return []
        encoded = []
        for start in range(0, ahead, self._rate):
            encoded += self._encode(self._silence(min(self._rate, ahead - start)))
        return encoded

    def _silence(self, samples: int) -> AudioFrame:
        """Return a frame of silence, for codecs that take frames of any length."""
        silence = AudioFrame(self._stream.codec_context.format.name, self._layout, samples)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate = self._rate
        return silence

    def _encode(self, piece: AudioFrame) -> list["Packet[AudioStream]"]:
        if self._skip:
            dropped = min(self._skip, piece.samples)
            self._skip -= dropped
            if dropped == piece.samples:
                return []
            piece = _without_start(piece, dropped)
        piece.pts, piece.time_base = self._ticks, Fraction(1, self._rate)
        self._ticks += piece.samples
        return self._stream.encode(piece)


def _supported_rate(codec: str, rate: int) -> int:
    """Return the sample rate nearest to `rate` that an encoder accepts."""
    rates = Codec(codec, "w").audio_rates
    return min(rates, key=lambda each: abs(each - rate)) if rates else rate


def _without_start(frame: AudioFrame, samples: int) -> AudioFrame:
    """Return a frame without its first samples."""
    channels = 1 if frame.format.is_planar else frame.layout.nb_channels
    rest: Any = np.ascontiguousarray(frame.to_ndarray()[:, samples * channels :])
    shorter = AudioFrame.from_ndarray(rest, frame.format.name, frame.layout.name)
    shorter.sample_rate = frame.sample_rate
    return shorter


def _track(
    source: AudioStream, output: OutputContainer, codec: str, *, copy: bool, shift: float
) -> _Copy | _Transcode:
    """Return a converter of one track: a copy if requested and possible."""
    if copy:
        try:
            return _Copy(source, output, shift)
        except ValueError:
            pass  # the container does not support this codec
    return _Transcode(source, output, codec, shift)


def _has_headers(stream: AudioStream) -> bool:
    """True for AAC with a header in each packet (ADTS), as in broadcasts."""
    return stream.codec_context.name == "aac" and not stream.codec_context.extradata


def _changes(path: Path, stream: AudioStream) -> bool:
    """True if rate or channels of broadcast AAC change, which other containers state only once."""
    if not _has_headers(stream):
        return False
    counts: Counter[tuple[int, int]] = Counter()
    with open_container(path) as container:
        for packet in read_packets(container, container.streams[stream.index]):
            header = bytes(packet)[:4] if packet is not None else b""
            if len(header) == 4:
                counts[header[2] & 0x3D, header[3] & 0xC0] += 1  # rate and channels
    return sum(count >= _CHANGED_PACKETS for count in counts.values()) > 1


def _is_empty(stream: AudioStream) -> bool:
    """True for a track without a decoder or content; damaged broadcasts announce such tracks."""
    context = stream.codec_context
    return context is None or not (context.sample_rate and context.layout.nb_channels)
