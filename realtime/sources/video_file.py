"""Video files as sources: every frame, upright, at its true time, past whatever is damaged."""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtmag.realtime.errors import SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.media.colour import Colour, Converter, is_yuv
from rtmag.realtime.media.container import is_cut_off, open_container, read_packets, video_stream
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.media.timestamps import FileClock, decoding_index, span, timestamps, usual_step
from rtmag.realtime.sources.source import BaseSource

_RATE_FRAMES = 2000
"""So many frames tell the rate, where the index has the rest."""

_TAIL = 4
"""So many damaged packets at the end mean that the rest of the file is lost."""


class VideoSource(BaseSource):
    """A video file. Each iteration starts at the first frame.

    Damaged packets are counted in `damaged` and stepped over. When the file ends in damage,
    SourceLost is raised after the last good frame.

    Args:
        path: of the file.
        max_pixels: frames larger than this are refused before they are decoded.

    Raises:
        SourceUnavailable: the file is missing or no readable video; says why.
    """

    live = False
    damaged = 0
    """Packets of the current or last iteration that gave no picture."""

    def __init__(self, path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self._max_pixels = max_pixels
        self._closed = False
        self._reader: Generator[Frame, None, None] | None = None
        with open_container(self.path) as container:
            stream = video_stream(container, self.path, max_pixels)
            self.has_audio = bool(container.streams.audio)
            self.time_base: Fraction = stream.time_base or Fraction(1, 90_000)
            self._measure(container, stream)
        self._look_at_first_frame()

    def _measure(self, container: InputContainer, stream: VideoStream) -> None:
        """Count and time the frames, decoding none; rates in headers lie, so they are not asked."""
        index = decoding_index(container, stream)
        self._promised = 0 if index is None else stream.frames
        ticks = timestamps(container, stream, None if index is None else _RATE_FRAMES)
        nominal = stream.average_rate
        step = usual_step(ticks) * float(self.time_base)
        self.fps: float | None = 1 / step if step > 0 else float(nominal) if nominal else None
        ticks = ticks if index is None else index
        self.frames: int | None = len(ticks)
        self.seconds = span(ticks, self.time_base) + (1 / self.fps if self.fps else 0.0)
        """From the first frame to the end of the last."""

    def _look_at_first_frame(self) -> None:
        with open_container(self.path) as container:
            stream = video_stream(container, self.path, self._max_pixels)
            frame = None
            with suppress(SourceLost):
                frame = next((f for f in self._decoded(container, stream) if f), None)
            if frame is None:
                raise SourceUnavailable(
                    f"cannot open {str(self.path)!r}: no frame in it can be read"
                )
            self._matrix = matrix = _matrix(frame)
            self.rotation = frame.rotation
            """Degrees counter-clockwise by which the stored pictures are turned upright."""
            self.size = (frame.width, frame.height)
            self.sample_aspect: Fraction | None = stream.sample_aspect_ratio
            """Width over height of one pixel, where it is not square."""
            if _is_transposed(matrix):
                self.size = self.size[::-1]
                self.sample_aspect = 1 / self.sample_aspect if self.sample_aspect else None
            self.bits = max(component.bits for component in frame.format.components)
            """Per channel, as stored; frames have 8."""
            self.interlaced = frame.interlaced_frame
            self.colour = Colour()
            """The tags of the stored pictures; those of BT.709 when they are RGB or gray."""
            if is_yuv(frame.format):
                self.colour = Colour(
                    frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc
                )

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames; raises SourceLost after them when the file ends in damage."""
        self._reader = self._read()
        return self._reader

    def _read(self) -> Generator[Frame, None, None]:
        if self._closed:
            return
        clock = FileClock(1 / self.fps if self.fps else 1 / 30)
        converter = Converter()
        matrix, rotation = self._matrix, self.rotation
        index = self.damaged = 0
        with open_container(self.path) as container:
            stream = video_stream(container, self.path, self._max_pixels)
            for decoded in self._decoded(container, stream):
                if decoded is None:
                    self.damaged += 1
                    continue
                if decoded.rotation != rotation:
                    matrix, rotation = _matrix(decoded), decoded.rotation
                time = None if decoded.pts is None else float(decoded.pts * self.time_base)
                image = _upright(converter.to_bgr(decoded), matrix)
                yield Frame(image, clock.read(time), index)
                index += 1
                if self._closed:
                    return

    def _decoded(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[VideoFrame | None]:
        """Yield decoded frames, and None for each packet that gives none for its damage."""
        packets = shown = tail = 0
        # Decoders with a thread per frame would lose good frames around the damaged ones.
        for packet in read_packets(container, stream):
            try:
                frames = packet.decode() if packet is not None else None
            except (av.FFmpegError, OSError, ValueError):
                frames = None
            if frames is None:
                tail += _TAIL if packet is None or packet.is_corrupt else 1
                yield None
            elif packet is not None and packet.size > 0:
                tail = 0
            packets += packet is not None and packet.size > 0
            for frame in frames or ():
                shown += 1
                yield cast("VideoFrame", frame)
        missing = max(self._promised - packets, 0)
        yield from [None] * missing
        matroska = "matroska" in container.format.name
        if missing or tail >= _TAIL or (matroska and is_cut_off(self.path)):
            raise SourceLost(f"{self.name!r} is damaged after frame {shown}")

    def close(self) -> None:
        """Free the file."""
        self._closed = True
        if self._reader is not None:
            with suppress(ValueError):  # another thread is reading: it will see the flag
                self._reader.close()


def _matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """(2, 2): how stored (x, y) become shown (x, y); None when they are the same.

    Not for every frame: one that was asked for its side data and that data hold each other, so its
    picture stays until the collector comes, which at 1280x720 is after some 100 MB.
    """
    side_data = cast("Mapping[Type, Buffer]", frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return None
    values = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)
    return values.reshape(3, 3)[:2, :2]


def _is_transposed(matrix: NDArray[np.int32] | None) -> bool:
    return matrix is not None and abs(int(matrix[0, 0])) < abs(int(matrix[0, 1]))


def _upright(image: Image, matrix: NDArray[np.int32] | None) -> Image:
    """Turn and mirror as the file asks, to the nearest right angle."""
    if matrix is None:
        return image
    if _is_transposed(matrix):
        image, across, down = image.transpose(1, 0, 2), matrix[1, 0], matrix[0, 1]
    else:
        across, down = matrix[0, 0], matrix[1, 1]
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
