"""Copy the audio of a file into another one: unchanged if possible, otherwise encoded again."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet

from rtmag.realtime.media.container import open_container, read_packets
from rtmag.realtime.media.encoder import MAX_STEP_TICKS
from rtmag.realtime.media.timestamps import is_discontinuity

_MAX_DEVIATION = 0.02
"""Seconds by which encoded audio may deviate from its timestamps before it is corrected."""


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
            stream.index: _track(stream, output, codec, copy=copy, shift=shift)
            for stream in self._container.streams.audio
            if stream.codec_context is not None
        }
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
            for packet in track.convert(self._next):
                # Damaged packets raise these errors; a full disk raises others.
                with suppress(av.error.InvalidDataError, av.error.ArgumentError):
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
        self._shift = round(shift / (source.time_base or Fraction(1, 48_000)))
        self._last: int | None = None
        """Decoding time of the last packet in the output."""
        # AAC in broadcasts has a header in each packet (ADTS), which fragmented files do not allow.
        adts = source.codec_context.name == "aac" and not source.codec_context.extradata
        strip = adts and output.format.name in ("mp4", "mov")
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
        rate = 48_000 if codec == "libopus" else source.codec_context.sample_rate
        self._stream: AudioStream = output.add_stream(codec, rate=rate)  # type: ignore[assignment]
        layout = "mono" if source.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream.codec_context.layout = layout
        self._resampler = AudioResampler(self._stream.codec_context.format, layout, rate)
        self._rate, self._shift = rate, shift
        self._ticks: int | None = None
        """Samples from the start of the output to the next one to encode."""
        self._last: float | None = None
        """Seconds in the output at which the last packet starts."""

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
            if frame.pts is not None and frame.time_base:
                self._anchor(float(frame.pts * frame.time_base) + self._shift)
            frame.pts = None
            for piece in self._resampler.resample(frame):
                encoded += self._encode(piece)
        if packet.dts is None and not packet.size:
            for piece in self._resampler.resample(None):
                encoded += self._encode(piece)
            encoded += self._stream.encode(None)
        return encoded

    def _anchor(self, time: float) -> None:
        """Correct `_ticks` if it deviates too much from `time`, in seconds of the output."""
        ticks = round(time * self._rate)
        if self._ticks is None or abs(ticks - self._ticks) > _MAX_DEVIATION * self._rate:
            before = self._ticks or 0
            self._ticks = min(max(ticks, before), before + MAX_STEP_TICKS)

    def _encode(self, piece: "av.AudioFrame") -> list["Packet[AudioStream]"]:
        piece.pts, piece.time_base = self._ticks or 0, Fraction(1, self._rate)
        self._ticks = piece.pts + piece.samples
        return self._stream.encode(piece)


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
