"""Small video files, generated when a test needs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

# Difference between frames in grey levels, too large for a lossy codec to hide.
STEP = 17


@dataclass
class Clip:
    """Properties of a video file to generate; `write` generates it."""

    frames: int = 30
    fps: Fraction = Fraction(30)
    size: tuple[int, int] = (64, 48)
    ticks: Sequence[int] | None = None
    time_base: Fraction | None = None
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    rotation: tuple[float, bool, bool] | None = None
    tags: tuple[int, int, int, int] | None = None
    sample_aspect: Fraction | None = None
    audio: Sequence[str] = ()
    audio_start: float = 0.0
    audio_seconds: float | None = None
    audio_rate: int = 48_000
    audio_layout: str = "stereo"
    picture: Callable[[int, tuple[int, int]], NDArray[np.uint8]] | None = None

    def write(self, path: Path) -> Path:
        base = self.time_base or 1 / self.fps
        ticks = list(self.ticks if self.ticks is not None else range(self.frames))
        with av.open(str(path), "w", container_options=self.container) as output:
            stream = self._video(output, base)
            sounds = [self._sound(output, codec) for codec in self.audio]
            for index, tick in enumerate(ticks):
                frame = self._frame(index)
                frame.pts, frame.time_base = tick, base
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            seconds = self.audio_seconds or len(ticks) / float(self.fps)
            for sound in sounds:
                self._play(output, sound, seconds)
        return path

    def _video(self, output: Any, base: Fraction) -> Any:
        options = {"crf": "12", "preset": "veryfast"} if self.codec == "libx264" else {}
        stream = output.add_stream(self.codec, rate=self.fps, options={**options, **self.options})
        stream.width, stream.height = self.size
        stream.pix_fmt = self.pixel_format
        stream.codec_context.time_base = stream.time_base = base
        if self.sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = self.sample_aspect
        if self.rotation is not None:
            stream.set_display_rotation(*self.rotation)
        if self.tags is not None:
            context = stream.codec_context
            context.color_range, context.colorspace = self.tags[:2]
            context.color_primaries, context.color_trc = self.tags[2:]
        return stream

    def _frame(self, index: int) -> av.VideoFrame:
        picture = (self.picture or flat)(index, self.size)
        frame = av.VideoFrame.from_ndarray(picture, "bgr24")
        if self.tags is None:
            return frame
        matrix = {1: 1, 9: 9}.get(self.tags[1], 5)
        return frame.reformat(
            format=self.pixel_format,
            dst_colorspace=matrix,
            dst_color_range=self.tags[0] or 1,
            interpolation=2 | 0x40000 | 0x2000,
        )

    def _sound(self, output: Any, codec: str) -> Any:
        stream = output.add_stream(codec, rate=self.audio_rate)
        stream.codec_context.layout = self.audio_layout
        return stream

    def _play(self, output: Any, stream: Any, seconds: float) -> None:
        """Write a click every half second, to measure audio-video synchronisation."""
        rate, layout = self.audio_rate, self.audio_layout
        start, total = round(self.audio_start * rate), round(seconds * rate)
        samples = np.zeros((2 if layout == "stereo" else 1, total), np.float32)
        samples[:, :: rate // 2] = 0.9
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))


def flat(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One grey level per frame, from which `number` reads the index."""
    return np.full((size[1], size[0], 3), 20 + STEP * (index % 12), np.uint8)


BLUE = (200, 60, 30)
"""A colour, BGR, that differs by more than 10 grey levels from matrix to matrix."""


def coloured_y4m(matrix: int, aspect: str = "1:1") -> bytes:
    """Y4M of two pictures of one colour, coded with a matrix of H.273."""
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), BLUE, np.uint8), "bgr24")
    coded = picture.reformat(
        format="yuv420p", dst_colorspace={1: 1, 6: 5, 9: 9}[matrix], dst_color_range=1
    )
    frame = b"FRAME\n" + coded.to_ndarray().tobytes()
    return f"YUV4MPEG2 W64 H48 F25:1 Ip A{aspect} C420jpeg\n".encode() + 2 * frame


def number(image: NDArray[np.uint8]) -> int:
    """Index (modulo 12) of a flat image."""
    return round((float(image.mean()) - 20) / STEP)


def smooth(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth waves of all colours with a small motion."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    waves = [
        128 + 100 * np.sin(x / 63 + index / 9),
        128 + 100 * np.cos(y / 51),
        128 + 90 * np.sin((x + y) / 75),
    ]
    return np.stack(waves, -1).round().astype(np.uint8)


def fields(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Stripes that move to the right, as interlaced video shows them: odd rows are later."""
    field = 2 * index + np.arange(size[1])[:, None, None] % 2
    stripes = 128 + 90 * np.sin((np.arange(size[0])[:, None] - 3 * field) / 4)
    return np.repeat(stripes, 3, axis=2).round().astype(np.uint8)


def comb(image: NDArray[np.uint8]) -> float:
    """Mean difference between the even rows and their neighbours, in grey levels."""
    rows = image.astype(float)
    return float(np.abs(rows[2:-2:2] - (rows[1:-3:2] + rows[3:-1:2]) / 2).mean())


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """(seconds, content) of each packet of all streams of one type."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (float((packet.pts or 0) * packet.time_base), bytes(packet))
            for packet in container.demux(*streams)
            if packet.size
        ]
