"""Video files as sinks, with a temporary name until they are complete.

While 'clip.mp4' is written, its name is 'clip.part.mp4'; it can already be played. A finished
recording is renamed. A recording that failed or was cancelled keeps the temporary name. An existing
file is not changed before its replacement is complete.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from rtmag.realtime.errors import OptionError, RtmagError, SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame, as_bgr
from rtmag.realtime.media.audio import AudioTracks
from rtmag.realtime.media.colour import Colour
from rtmag.realtime.media.encoder import FILE_TYPES, MAX_STEP_TICKS, VideoEncoder
from rtmag.realtime.media.matroska import set_display_size
from rtmag.realtime.media.timestamps import is_discontinuity
from rtmag.realtime.signals import deferred
from rtmag.realtime.sinks.paths import check_free
from rtmag.realtime.sinks.sink import BaseSink, letterbox
from rtmag.realtime.sources.source import Closeable
from rtmag.realtime.sources.video_file import VideoSource

_TIME_BASE = Fraction(1, 90_000)
"""Unit of the timestamps of recordings without `like`, in seconds."""

_CHECK_INTERVAL = 1.0
"""Seconds between two checks that the file is still there."""

_RATE_TOLERANCE = 0.01
"""Relative error of measured frame rates."""

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the disk is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}
"""Reasons for error messages, by error number."""


class PartialFile(Closeable):
    """A new file that FFmpeg writes to; a context manager.

    It has no buffer, so no data are lost when the process is killed. It is opened once, so nothing
    that takes its place at `path` later is written to.

    Raises:
        FileExistsError: there is something at `path`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.raw = path.open("x+b", buffering=0)
        """The file itself."""
        self._error: OSError | None = None

    def restart(self) -> None:
        """Delete the content."""
        self.raw.seek(0)
        self.raw.truncate()

    @property
    def in_place(self) -> bool:
        """True if the file still has its path: neither it nor its folder was moved or deleted."""
        try:
            return os.path.samestat(os.fstat(self.raw.fileno()), os.lstat(self._path))
        except OSError:
            return False

    def write(self, data: bytes) -> int:
        """Write all of the data or nothing; after an error every call raises the same error."""
        if self._error is not None:
            raise self._error
        begin, left = self.raw.tell(), memoryview(data)
        try:
            while left:
                left = left[self.raw.write(left) :]
        except OSError as error:
            self._error = error
            if begin + len(data) - len(left) == os.fstat(self.raw.fileno()).st_size:
                self.raw.truncate(begin)
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position in the file."""
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        """Return the position in the file."""
        return self.raw.tell()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self.raw.close()


class VideoSink(BaseSink):
    """Writes frames into a video file; a context manager.

    with VideoSink("out.mp4") as sink:
        for frame in stream("clip.mp4", alpha=20):
            sink.write(frame)

    Arrays can be written too; they follow each other at `fps` frames per second. If an error ends
    the `with` block, the video keeps its temporary name, such as out.part.mp4.

    Args:
        path: the file; its suffix sets the file type: .mp4, .mov, .m4v, .mkv, .webm or .avi.
        like: the file that the frames come from. Its colours, pixel aspect ratio and audio are
            kept, and its timestamps, which are counted from the earliest start of pictures and
            audio. Without it the recording starts at 0 s and is BT.709.
        fps: frames per second of arrays, and nominal frame rate of recordings without `like`.
        size: (width, height) in pixels; by default the size of the first frame. Frames of another
            size are letterboxed.
        sample_aspect: width over height of one pixel; None: that of `like`, or square.
        audio: True to keep the audio of `like`.
        overwrite: True to replace an existing file when the new one is complete.
        comment: text that is stored in the metadata of the file.
        notice: called with a line about each property of `like` that the file cannot keep.

    Raises:
        SinkUnavailable: the file exists or cannot be created.
        OptionError: the output is the input, its file type is unknown or cannot hold the frame
            rate, or `fps` is not positive.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        like: VideoSource | None = None,
        fps: float = 30.0,
        size: tuple[int, int] | None = None,
        sample_aspect: Fraction | None = None,
        audio: bool = True,
        overwrite: bool = False,
        comment: str | None = None,
        notice: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.size = size
        self.path_written: Path | None = None
        """Path of the video once it is closed; None if no frame was written."""
        self._like, self._comment, self._overwrite = like, comment, overwrite
        self._notice = notice
        self._sample_aspect = sample_aspect or (like.sample_aspect if like else None)
        self._audio = audio and like is not None and like.has_audio
        check_free(self.path, overwrite=overwrite, source=like.path if like else None)
        self._type = FILE_TYPES[self.path.suffix.lower()]
        rate = None
        if like is not None:
            rate = like.even_fps if self._type.constant_rate else like.fps
            self._check_rate(like.even_fps)
        self._fps = rate or fps
        if not (self._fps > 0 and np.isfinite(self._fps)):
            raise OptionError(f"fps must be a positive number, got {fps = }")
        self._container: OutputContainer | None = None
        self._tracks: AudioTracks | None = None
        self._closed = self._failed = False
        self._next_check = 0.0  # monotonic time in seconds
        self.partial_path = self._reserve_partial_path()
        """Path of the video until it is closed."""

    def _check_rate(self, fps: float | None) -> None:
        """Check that the file type can hold a frame rate; its clock may be too coarse."""
        if fps is not None and fps * self._type.shortest > 1 + _RATE_TOLERANCE:
            raise OptionError(
                f"cannot write {str(self.path)!r}: {self.path.suffix} holds at most "
                f"{float(1 / self._type.shortest):g} frames per second, got {fps:.6g}; "
                "use .mp4 or .mov"
            )

    def _reserve_partial_path(self) -> Path:
        """Create the temporary file; this also checks that the folder can be written to."""
        partial = self.path.with_stem(f"{self.path.stem}.part")
        numbers = count(2)
        while os.path.lexists(partial):  # of a process that crashed, or the input
            partial = self.path.with_stem(f"{self.path.stem}.part{next(numbers)}")
        with self._translate_errors(SinkUnavailable):
            self._file = PartialFile(partial)
        return partial

    @contextmanager
    def _translate_errors(self, error_type: type[SinkError] = SinkError) -> Iterator[None]:
        """Turn errors of the operating system and of FFmpeg into SinkError."""
        try:
            yield
        except RtmagError:
            raise
        except (av.FFmpegError, OSError) as error:
            reason = _REASONS.get(error.errno or 0, "the encoder failed")
            if self._container is not None:
                reason += f"; the part written so far is {str(self.partial_path)!r}"
            elif error.errno not in _REASONS:
                reason = f"the encoder refused the size {self.size}"
            raise error_type(f"cannot write {str(self.path)!r}: {reason}") from error

    def write(self, frame: Frame | NDArray[Any]) -> None:
        """Add one frame.

        Args:
            frame: a Frame, which is stored with its own time, or an array: (H, W, 3) uint8 BGR or
                (H, W) uint8 grey, which follows the last frame by 1 / fps.

        Raises:
            SinkError: the disk is full, the sink is closed, or the encoder failed.
            OptionError: the array has another shape or type.
        """
        if self._closed or self._failed:
            raise SinkError(f"cannot write {str(self.path)!r}: it is closed")
        if isinstance(frame, np.ndarray):
            frame = self._as_frame(frame)
        try:
            with self._translate_errors():
                container = self._container or self._open(frame)
                self._add(container, frame)
                if monotonic() > self._next_check:
                    self._check_in_place()
        except RtmagError:
            self._failed = True
            raise

    def _check_in_place(self) -> None:
        """Check that the file can still be found under its temporary name.

        Raises:
            SinkError: the file or its folder was moved, deleted or replaced.
        """
        self._next_check = monotonic() + _CHECK_INTERVAL
        if not self._file.in_place:
            raise SinkError(
                f"cannot write {str(self.path)!r}: {str(self.partial_path)!r} was moved, deleted "
                "or replaced by another program"
            )

    def _as_frame(self, pixels: NDArray[Any]) -> Frame:
        """Convert an array to a frame that follows the last one by 1 / fps."""
        self._check_rate(self._fps)
        start = self._container is None
        return Frame(as_bgr(pixels), 0.0 if start else self._end - self._shift + 1 / self._fps, 0)

    def _open(self, frame: Frame) -> OutputContainer:
        """Open the container for the first frame.

        Audio that cannot be copied is encoded, and left out if that fails too.
        """
        self.size = self.size or frame.size
        # Negative times cannot be stored, and files with a constant rate start at 0.
        live = self._like is None
        fixed = live or self._type.constant_rate or frame.time < 0
        self._shift = -(frame.time if fixed else self._earliest(frame.time))
        self._end = frame.time + self._shift
        self._container = self._start_with_audio() if self._audio else self._start()
        self._report_losses()
        return self._container

    def _start_with_audio(self) -> OutputContainer:
        """Set up all streams, with as much of the audio as possible."""
        # AVI has no timestamps: only encoded audio can be aligned with the pictures.
        for copy in (False,) if self._type.constant_rate else (True, False):
            with suppress(av.FFmpegError, ValueError):
                return self._start(copy=copy)
        container, self._audio = self._start(), False
        self._notice(f"{self.name!r} has no audio: that of the input cannot be written")
        return container

    def _report_losses(self) -> None:
        """Report what the file type cannot keep of the pictures."""
        encoder, suffix = self._encoder, self.path.suffix
        if self._tracks is not None and self._tracks.left_out:
            count = self._tracks.left_out
            self._notice(
                f"{count} audio track{'s' * (count > 1)} of the input cannot be read and "
                f"{'are' if count > 1 else 'is'} left out"
            )
        if encoder.size != self.size:
            width, height = encoder.size
            self._notice(
                f"{self.name!r} is stored with {width}x{height} pixels, as {suffix} needs even "
                "numbers: the last column or row is repeated; .mkv and .webm keep the size"
            )
        if self._like is not None and self._like.full_chroma and not encoder.full_chroma:
            self._notice(
                f"{self._like.name!r} has a colour for each pixel (RGB or 4:4:4), {suffix} one for "
                "four (4:2:0); .mkv and .avi keep all"
            )

    def _earliest(self, time: float) -> float:
        """Return the start of the output: the first frame's time, or that of earlier audio.

        Audio from before 0 s is kept there: it is the delay of its codec.
        """
        heard = self._like.audio_start if self._like and self._audio else None
        return (
            time
            if heard is None or is_discontinuity(abs(time - heard))
            else min(time, max(heard, 0.0))
        )

    def _start(self, *, copy: bool | None = None) -> OutputContainer:
        """Set up all streams and write the header.

        Args:
            copy: True to keep the audio packets unchanged, False to encode them again, None for a
                file without audio.
        """
        like, size = self._like, self.size or (0, 0)
        options = dict(self._type.options)
        with ExitStack() as undo:
            undo.callback(self._file.restart)
            container = av.open(
                self._file, "w", format=self._type.format, container_options=options
            )
            undo.callback(container.close)
            container.metadata.update({"comment": self._comment} if self._comment else {})
            self._encoder = VideoEncoder(
                container,
                self._type,
                size,
                fps=self._fps,
                time_base=like.time_base if like else _TIME_BASE,
                colour=like.colour if like else Colour(),
                sample_aspect=self._sample_aspect,
                full_chroma=like is not None and like.full_chroma,
                low_delay=like is None,
            )
            if like:
                like.describe(container, self._shift)
            self._tracks = None
            if like and copy is not None:
                tracks = AudioTracks(
                    like.path, container, self._type.audio, copy=copy, shift=self._shift
                )
                self._tracks = undo.enter_context(tracks)
            container.start_encoding()
            self._set_display_size()
            undo.pop_all()
        return container

    def _set_display_size(self) -> None:
        """State the aspect ratio of the pixels in WebM, whose codec cannot."""
        aspect = self._sample_aspect
        if self._type.format == "webm" and aspect is not None and aspect != 1:
            set_display_size(self._file.raw, self._encoder.size, aspect)

    def _add(self, container: OutputContainer, frame: Frame) -> None:
        """Encode a frame, after the audio before it."""
        time = frame.time + self._shift
        if self._tracks is not None:
            self._tracks.advance(time)
        image = letterbox(frame.image, self.size or frame.size)
        container.mux(self._encoder.encode(image, time))
        self._end = time

    def close(self, *, finished: bool = True) -> None:
        """Finish the file and set `path_written`. Safe to call twice.

        Args:
            finished: False keeps the temporary name, for a recording that was cancelled.
        """
        if self._closed:
            return
        self._closed = True
        if self._container is None:
            with self._file:
                ours = self._file.in_place
            if ours:
                self.partial_path.unlink()
            return
        self.path_written = self.partial_path
        finished = finished and not self._failed
        try:
            with deferred(), self._translate_errors():
                self._finish(self._container, None if finished else self._end)
        except SinkError:
            # A second error must not hide the first one, which write() raised.
            if not self._failed:
                raise
            return
        if finished:
            self._rename()

    def _finish(self, container: OutputContainer, until: float | None) -> None:
        """Write the remaining frames and the audio up to `until` seconds (None: all), and close."""
        try:
            if not self._failed:
                container.mux(self._encoder.flush())
                if self._encoder.shortened:
                    hours = float(MAX_STEP_TICKS * self._encoder.time_base) / 3600
                    self._notice(
                        f"{self.name!r} has pauses of at most {hours:.3g} h: longer ones of the "
                        "input were shortened"
                    )
                if self._tracks is not None:
                    self._tracks.advance(until)
        finally:
            if self._tracks is not None:
                self._tracks.close()
            with self._file:
                container.close()
                self._set_display_size()  # FFmpeg has written the header again
                self._check_in_place()

    def _rename(self) -> None:
        """Give the finished file its name; raises SinkError if another file has it."""
        if os.path.lexists(self.path) and not self._overwrite:
            raise SinkError(
                f"cannot write {str(self.path)!r}: the file exists now; "
                f"the video is {str(self.partial_path)!r}"
            )
        with self._translate_errors():
            self.partial_path.replace(self.path)
        self.path_written = self.path
