"""Video files as sources: every frame, rotated upright, with its timestamp.

Damaged packets are skipped and counted.
"""

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import Type
from av.stream import Stream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtmag.realtime.errors import SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.media.colour import (
    MATRIX_TAGS,
    UNSPECIFIED,
    Colour,
    Converter,
    Matrix,
    has_full_chroma,
    is_yuv,
)
from rtmag.realtime.media.container import (
    has_timestamps,
    main_video_stream,
    moving_streams,
    open_container,
    read_packets,
    video_stream,
)
from rtmag.realtime.media.deinterlace import Deinterlacer
from rtmag.realtime.media.depth import ValueRange, depth_note, used_range
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.media.matroska import is_truncated
from rtmag.realtime.media.metadata import copy_file_metadata, copy_track_metadata, left_out
from rtmag.realtime.media.seeking import from_key, seek, spread
from rtmag.realtime.media.timestamps import (
    DisplayTimes,
    FileClock,
    are_decoding_times,
    decoding_times,
    duration,
    even_rate,
    is_discontinuity,
    measure_steps,
    read_timestamps,
)
from rtmag.realtime.rate import rounding
from rtmag.realtime.sources.source import (
    DEFAULT_FPS,
    BaseSource,
    StoredFrame,
    StoredSource,
    check_rate,
)

_RATE_FRAMES = 2000
"""If the file has an index, only this number of frames is read to measure the rate."""

_FIELDS = "the difference between the fields of a frame looks like motion"
"""Warning about interlaced frames that are not deinterlaced."""

_SEEK_STEPS = (0.0, 1.0, 4.0, 16.0)
"""Seconds before a wanted frame at which a key picture is looked for, one after the other."""

_CODINGS: dict[int, str] = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "B"}
"""Kinds of coded pictures, see `Frame.coding`."""

_TAIL = 4
"""With at least this number of damaged packets at its end, a file counts as incomplete."""


class VideoSource(BaseSource):
    """A video file. Each iteration starts at the first frame.

    Damaged packets are skipped and counted in `damaged`. If the end of the file is damaged,
    SourceLost is raised after the last good frame.

    Of several video streams, the main one is read, see `main_video_stream`. `notes` names it.

    Args:
        path: the file.
        max_pixels: larger frames are refused before they are decoded.
        fps: frames per second of a file without timestamps, such as raw .h264; by default the
            rate in its header, or 30. Ignored for other files.
        matrix: matrix between RGB and YUV of a file that does not state it, such as Y4M; by default
            BT.601. Ignored for other files.
        deinterlace: True to deinterlace frames that are marked as interlaced.

    Raises:
        SourceUnavailable: the file is missing or not a readable video; the message says why.
        OptionError: `fps` is not a positive number.
    """

    live = False
    damaged = 0
    """Number of packets of the current or last iteration that were damaged."""
    jumps = 0
    """Number of places of the last iteration where the timestamps went back or half a day ahead."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_pixels: int = MAX_PIXELS,
        fps: float | None = None,
        matrix: Matrix | None = None,
        deinterlace: bool = True,
    ) -> None:
        check_rate(fps)
        self.path = Path(path)
        self.name = self.path.name
        self._max_pixels = max_pixels
        self._matrix_tag = None if matrix is None else MATRIX_TAGS[matrix]
        self._deinterlace = deinterlace
        self._closed = False
        self._reader: Generator[Frame, None, None] | None = None
        with open_container(self.path) as container:
            main = main_video_stream(container, self.path)
            self._stream_index = main.index if main else None
            stream = self._stream_of(container)
            self._note_streams(container, stream)
            self._fixed_fps = self._untimed_fps(container, stream, fps)
            self.has_audio = bool(container.streams.audio)
            starts = [_start(audio) for audio in container.streams.audio]
            self.audio_start = min((start for start in starts if start is not None), default=None)
            """Seconds at which the first audio track starts; None if unknown."""
            self.time_base: Fraction = stream.time_base or Fraction(1, 90_000)
            self._tick = 0.0 if self._fixed_fps else rounding(float(self.time_base))
            self._measure(container, stream)
        self._reordered = self._has_decoding_times()
        self._inspect_first_frame()

    def describe(self, output: OutputContainer, shift: float) -> None:
        """Copy metadata, chapters, and the description of the pictures to an output.

        Args:
            output: container whose first stream has the pictures; its header is not written yet.
            shift: seconds added to the times of chapters.
        """
        with open_container(self.path) as container:
            copy_file_metadata(container, output, shift)
            copy_track_metadata(self._stream_of(container), output.streams[0])

    def _stream_of(self, container: InputContainer) -> VideoStream:
        return video_stream(container, self.path, self._max_pixels, self._stream_index)

    def _note_streams(self, container: InputContainer, stream: VideoStream) -> None:
        """Note which one of several video streams is read, and the tracks that are not."""
        self.notes += tuple(left_out(container))
        streams = moving_streams(container)
        if len(streams) > 1:
            number, size = streams.index(stream) + 1, f"{stream.width}x{stream.height}"
            self.notes += (f"has {len(streams)} video streams; number {number} ({size}) is read",)

    def _untimed_fps(
        self, container: InputContainer, stream: VideoStream, fps: float | None
    ) -> float | None:
        """Return the frame rate of a file without timestamps; None: it has timestamps."""
        if has_timestamps(container):
            if fps is not None:
                self.notes += ("has timestamps, so its frame rate is not set by --fps",)
            return None
        fps = fps or float(stream.codec_context.framerate or 0)
        if not fps:
            fps = DEFAULT_FPS
            self.notes += (f"has no timestamps; {fps:g} frames/s are assumed, --fps sets another",)
        return fps

    def _measure(self, container: InputContainer, stream: VideoStream) -> None:
        """Count and time the frames without decoding; rates in headers are often wrong."""
        index = decoding_times(container, stream)
        self._frames_in_index = 0 if index is None else stream.frames
        ticks = read_timestamps(container, stream, None if index is None else _RATE_FRAMES)
        nominal = stream.average_rate
        usual, fastest = measure_steps(ticks, self.time_base)
        step = usual * float(self.time_base)
        self.fps: float | None = 1 / step if step > 0 else float(nominal) if nominal else None
        self.fps = self._fixed_fps or self.fps
        b_frames = stream.codec_context.has_b_frames and not self._fixed_fps
        self._suspect = b_frames and bool((np.diff(ticks) > 0).all())
        if index is not None:  # it covers all of the file, but has no times of display
            ticks = index
            _, fastest = measure_steps(ticks, self.time_base)
        steps = (np.diff(ticks) * float(self.time_base)).tolist()
        self._one_clock = not self._fixed_fps and not any(map(is_discontinuity, steps))
        timed = step > 0 and not self._fixed_fps
        self.even_fps = even_rate(ticks, self.time_base, 1 / step) if timed else self.fps
        """Frames per second at which all frames keep their times in a file without timestamps."""
        self.highest_fps = 1 / (fastest * float(self.time_base)) if timed else self.fps
        """Frames per second of the fastest part of about a second."""
        self.frames: int | None = len(ticks)
        self.seconds = duration(ticks, self.time_base) + (1 / self.fps if self.fps else 0.0)
        """Seconds from the first frame to the end of the last."""
        if self._fixed_fps:
            self.seconds = self.frames / self._fixed_fps

    def _has_decoding_times(self) -> bool:
        """True if the timestamps are those of decoding, which the first pictures show."""
        self._reordered = False
        if not self._suspect:
            return False
        with open_container(self.path) as container, suppress(SourceLost):
            stream = self._stream_of(container)
            return are_decoding_times(f for f in self._decode(container, stream) if f)
        return False

    def _inspect_first_frame(self) -> None:
        """Decode the first frame and set the attributes that depend on it."""
        with open_container(self.path) as container:
            stream = self._stream_of(container)
            frame = None
            with suppress(SourceLost):
                frame = next((f for f in self._decode(container, stream) if f), None)
            if frame is None:
                raise SourceUnavailable(
                    f"cannot open {str(self.path)!r}: none of its frames can be read"
                )
            self.start = 0.0 if self._fixed_fps else self._time_of(frame) or 0.0
            self._matrix = matrix = _matrix(frame)
            self.rotation = frame.rotation
            """Degrees counter-clockwise by which stored pictures are rotated to be upright."""
            self.size = (frame.width, frame.height)
            self.sample_aspect: Fraction | None = stream.sample_aspect_ratio
            """Width over height of one pixel; None if it is square."""
            if _is_transposed(matrix):
                self.size = self.size[::-1]
                self.sample_aspect = 1 / self.sample_aspect if self.sample_aspect else None
            self.bits = max(component.bits for component in frame.format.components)
            """Bits per channel in the file; frames have 8."""
            self.full_chroma = has_full_chroma(frame.format)
            """True if the file has a colour for each pixel: RGB or 4:4:4."""
            self.interlaced = frame.interlaced_frame
            self.colour = self._colour_of(frame)
            """Colour tags of the file; BT.709 if its pictures are RGB or grey."""
            deep = self.bits == 16 and not is_yuv(frame.format)
        self._values = self._measure_values() if deep else None
        if self.bits > 8:
            self.notes += (depth_note(self.bits, self._values),)
        if self.interlaced:
            done = "its frames are deinterlaced" if self._deinterlace else _FIELDS
            self.notes += (f"is interlaced: {done}",)

    def _colour_of(self, frame: VideoFrame) -> Colour:
        """Return the colour tags, with the matrix from outside if the file does not state it."""
        yuv = is_yuv(frame.format)
        if self._matrix_tag is not None and not (yuv and frame.colorspace == UNSPECIFIED):
            self.notes += ("states the matrix of its colours, so it is not set by --matrix",)
            self._matrix_tag = None
        matrix = frame.colorspace if self._matrix_tag is None else self._matrix_tag
        tags = frame.color_range, matrix, frame.color_primaries, frame.color_trc
        return Colour(*tags) if yuv else Colour()

    def _measure_values(self) -> ValueRange:
        """Return the range of values of 16-bit pictures, measured from some of them.

        Cameras of 10 or 12 bits do not fill 16. YUV is left out: its black is not 0.
        """
        converter = Converter()
        with open_container(self.path) as container:
            stream = self._stream_of(container)
            return used_range(map(converter.to_bgr16, spread(container, stream)))

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames; raises SourceLost after them if the end of the file is damaged."""
        self._reader = self._read()
        return self._reader

    @property
    def stored(self) -> StoredSource:
        """This source."""
        return self

    @property
    def seekable(self) -> bool:
        """False if the times of the file do not tell the place of a frame."""
        return self._one_clock and not self._reordered

    def read_from(self, time: float) -> Generator[StoredFrame | None, None, None]:
        """Yield the frame that is shown at this time, and all later ones; None before these.

        Decoding begins at the key picture before it, or at the first frame if the file is not
        seekable.
        """
        by_time = self.seekable and time > self.start
        # The first deinterlaced frame lacks its neighbour.
        latest = time - 2 / self.fps if self._deinterlace and self.fps else time
        for back in (*(_SEEK_STEPS if by_time else ()), None):
            with open_container(self.path) as container:
                place = None if back is None else round((latest - back) / self.time_base)
                frames = self._frames(container, self._stream_of(container), place)
                shown = next(frames, None)
                if shown is None or (place is not None and shown[0] > latest):
                    continue  # the index of the file is wrong
                try:
                    for frame in frames:
                        yield StoredFrame(*shown[:2], self._tick) if frame[0] > time else None
                        shown = frame
                        if self._closed:
                            return
                except SourceLost:
                    yield StoredFrame(*shown[:2], self._tick)
                    raise
                yield StoredFrame(*shown[:2], self._tick)
                return

    def _read(self) -> Generator[Frame, None, None]:
        """Yield all frames, upright and with times; count the damaged packets."""
        if self._closed:
            return
        with open_container(self.path) as container:
            frames = self._frames(container, self._stream_of(container))
            for index, (time, image, coding) in enumerate(frames):
                yield Frame(image(), time, index, tick=self._tick, coding=coding)
                if self._closed:
                    return

    def _frames(
        self, container: InputContainer, stream: VideoStream, place: int | None = None
    ) -> Iterator[tuple[float, Callable[[], Image], str]]:
        """Yield the time of each frame, a function that returns its upright image, and its coding.

        Damaged packets are counted.

        Args:
            container: newly opened.
            stream: of the container.
            place: time in ticks. The first frame is the key picture at or before it; there are no
                frames if that is not found. None: all frames.
        """
        clock = FileClock(1 / self.fps if self.fps else 1 / 30)
        converter = Converter(self._values)
        matrix, rotation = self._matrix, self.rotation
        index = self.damaged = self.jumps = 0
        if place is not None and not seek(container, stream, place):
            return
        for decoded in self._prepared(container, stream, jumped=place is not None):
            if decoded is None:
                self.damaged += 1
                continue
            if decoded.rotation != rotation:
                matrix, rotation = _matrix(decoded), decoded.rotation
            time = (
                index / self._fixed_fps if self._fixed_fps else clock.read(self._time_of(decoded))
            )
            coding = _CODINGS.get(decoded.pict_type, "")
            yield time, partial(_picture, converter, decoded, matrix), coding
            index, self.jumps = index + 1, clock.jumps

    def _time_of(self, frame: VideoFrame) -> float | None:
        return None if frame.pts is None else float(frame.pts * self.time_base)

    def _prepared(
        self, container: InputContainer, stream: VideoStream, *, jumped: bool = False
    ) -> Iterator[VideoFrame | None]:
        """Yield decoded frames, with their matrix and deinterlaced; None if one is damaged.

        Args:
            container: the file; it is read from the place where it is.
            stream: of the container.
            jumped: True if that is not the beginning; the first frame is then a key picture.
        """
        deinterlacer, lost = Deinterlacer(), None
        frames = self._decode(container, stream, whole=not jumped)
        try:
            for frame in from_key(frames, container) if jumped else frames:
                if frame is not None and self._matrix_tag is not None:
                    frame.colorspace = self._matrix_tag
                if frame is None or not self._deinterlace:
                    yield frame
                    continue
                try:
                    yield from deinterlacer.add(frame)
                except av.FFmpegError:
                    yield None
        except SourceLost as error:
            lost = error
        yield from deinterlacer.flush()
        if lost is not None:
            raise lost

    def _decode(
        self, container: InputContainer, stream: VideoStream, *, whole: bool = True
    ) -> Iterator[VideoFrame | None]:
        """Yield decoded frames, and None for each damaged packet.

        Args:
            container: the file; it is read from the place where it is.
            stream: of the container.
            whole: True if that place is the beginning, so that missing frames can be counted.
        """
        packets = shown = tail = 0
        times = DisplayTimes(container) if self._reordered else None
        # Frame threads stay off: they would lose good frames next to damaged ones.
        for packet in read_packets(container, stream):
            if times is not None and packet is not None:
                times.add(packet)
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
            for each in frames or ():
                shown += 1
                frame = cast("VideoFrame", each)
                if times is not None:
                    frame.pts = times.take(frame)
                yield frame
        missing = max(self._frames_in_index - packets, 0) if whole else 0
        yield from [None] * missing
        matroska = "matroska" in container.format.name
        if missing or tail >= _TAIL or (matroska and is_truncated(self.path)):
            place = f"after frame {shown}" if whole else "at its end"
            raise SourceLost(f"{self.name!r} is damaged {place}")

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        if self._reader is not None:
            with suppress(ValueError):  # another thread is reading and will check `_closed`
                self._reader.close()


def _picture(converter: Converter, frame: VideoFrame, matrix: NDArray[np.int32] | None) -> Image:
    """Return a decoded frame as an upright image (H, W, 3) uint8 BGR."""
    return _upright(converter.to_bgr(frame), matrix)


def _start(stream: Stream) -> float | None:
    """Return the seconds at which a stream starts; None if unknown."""
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """Return the (2, 2) matrix from stored to displayed (x, y); None if there is none.

    Do not call it for every frame: reading the side data creates a reference cycle that keeps the
    picture until the next garbage collection, which at 1280x720 adds about 100 MB.
    """
    side_data = cast("Mapping[Type, Buffer]", frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return None
    values = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)
    return values.reshape(3, 3)[:2, :2]


def _is_transposed(matrix: NDArray[np.int32] | None) -> bool:
    """True if the matrix exchanges x and y: a rotation by about 90 or 270 degrees."""
    return matrix is not None and abs(int(matrix[0, 0])) < abs(int(matrix[0, 1]))


def _upright(image: Image, matrix: NDArray[np.int32] | None) -> Image:
    """Rotate and mirror the image as the file requests, to the nearest right angle."""
    if matrix is None:
        return image
    if _is_transposed(matrix):
        image, across, down = image.transpose(1, 0, 2), matrix[1, 0], matrix[0, 1]
    else:
        across, down = matrix[0, 0], matrix[1, 1]
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
