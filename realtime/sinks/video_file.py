"""Video files as sinks: complete under the final name, or else playable under a temporary one.

While it is written, 'clip.mp4' is 'clip.part.mp4'. A finished recording is renamed; what was
cancelled or cut off keeps the temporary name. Nothing that exists is touched before its replacement
is complete.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from rtmag.realtime.errors import OptionError, RtmagError, SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.media.audio import AudioTracks
from rtmag.realtime.media.colour import Colour
from rtmag.realtime.media.encoder import FILE_TYPES, VideoEncoder
from rtmag.realtime.signals import deferred
from rtmag.realtime.sinks.paths import check_free
from rtmag.realtime.sinks.sink import fitted
from rtmag.realtime.sources.source import Closing
from rtmag.realtime.sources.video_file import VideoSource


class PartFile(Closing):
    """A file for FFmpeg to write; a context manager.

    What is written reaches the system at once, as it must where the process may be killed.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._refusal: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of it; or else nothing, and raise the same error from then on."""
        if self._refusal is not None:
            raise self._refusal
        begin, left = self._file.tell(), memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._refusal = error
            if begin + len(data) - len(left) == os.fstat(self._file.fileno()).st_size:
                self._file.truncate(begin)
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()

    def close(self) -> None:
        """Safe to call twice."""
        self._file.close()


_TIME_BASE = Fraction(1, 90_000)

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


class VideoSink:
    """Writes frames into a video file.

    Args:
        path: of the file; its suffix chooses the kind: .mp4, .mov, .m4v, .mkv, .webm or .avi.
        like: the file the frames come from. Timestamps, colours, pixel aspect and sound are kept
            as they are there. Without it the recording starts at 0 and is BT.709.
        fps: nominal rate, of recordings without `like`.
        size: (width, height); that of the first frame by default. Other frames are fitted into it.
        audio: keep the sound of `like`.
        overwrite: replace an existing file, at the end.
        comment: a note kept inside the file.

    Raises:
        SinkUnavailable: the file exists or cannot be created.
        OptionError: the output is the input, or its kind is unknown.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        like: VideoSource | None = None,
        fps: float = 30.0,
        size: tuple[int, int] | None = None,
        audio: bool = True,
        overwrite: bool = False,
        comment: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.path_written: Path | None = None
        """Where the video is, once closed; None when there were no frames."""
        self._like, self._comment, self._overwrite = like, comment, overwrite
        self._audio = audio and like is not None and like.has_audio
        self._fps = (like.fps if like else None) or fps
        check_free(self.path, overwrite=overwrite, source=like.path if like else None)
        self._kind = FILE_TYPES[self.path.suffix.lower()]
        if not (self._fps > 0 and np.isfinite(self._fps)):
            raise OptionError(f"fps must be a positive number, got {fps = }")
        self._container: OutputContainer | None = None
        self._sound: AudioTracks | None = None
        self._closed = self._failed = False
        self.part = self._reserve_part()
        """Where the video is until then."""

    def _reserve_part(self) -> Path:
        """Create the temporary file, which also shows that it can be written."""
        part = self.path.with_stem(f"{self.path.stem}.part")
        numbers = count(2)
        while os.path.lexists(part):  # what a crash left, or even the input
            part = self.path.with_stem(f"{self.path.stem}.part{next(numbers)}")
        with self._translated(SinkUnavailable):
            part.open("xb").close()
        return part

    @contextmanager
    def _translated(self, kind: type[SinkError] = SinkError) -> Iterator[None]:
        """Turn errors of the system and of FFmpeg into ours."""
        try:
            yield
        except RtmagError:
            raise
        except (av.FFmpegError, OSError) as error:
            reason = _REASONS.get(error.errno or 0, "the encoder failed")
            if self._container is not None:
                reason += f"; what was written is {str(self.part)!r}"
            elif error.errno not in _REASONS:
                reason = f"the encoder refused the size {self.size}"
                reason += " or the sound; try --no-audio" if self._audio else ""
            raise kind(f"cannot write {str(self.path)!r}: {reason}") from error

    def write(self, frame: Frame) -> None:
        """Add one frame; raises SinkError when the disk is full or the like."""
        if self._closed or self._failed:
            raise SinkError(f"cannot write {str(self.path)!r}: it is closed")
        try:
            with self._translated():
                container = self._container or self._open(frame)
                self._add(container, frame)
        except RtmagError:
            self._failed = True
            raise

    def _open(self, frame: Frame) -> OutputContainer:
        self.size = self.size or frame.size
        # Times before 0 cannot be stored, and files that count frames begin at once.
        live = self._like is None
        self._shift = -frame.time if live or self._kind.constant_rate or frame.time < 0 else 0.0
        self._end = frame.time + self._shift
        try:
            self._container = self._start(copy=True)
        except (av.FFmpegError, ValueError):
            if not self._audio:
                raise
            self._container = self._start(copy=False)
        return self._container

    def _start(self, *, copy: bool) -> OutputContainer:
        """Set up all streams and write the header; `copy` lets sound be taken over unchanged."""
        like, size = self._like, self.size or (0, 0)
        options = dict(self._kind.options)
        with ExitStack() as undo:
            self._file = undo.enter_context(PartFile(self.part))
            container = av.open(
                self._file, "w", format=self._kind.format, container_options=options
            )
            undo.callback(container.close)
            container.metadata.update({"comment": self._comment} if self._comment else {})
            self._encoder = VideoEncoder(
                container,
                self._kind,
                size,
                fps=self._fps,
                time_base=like.time_base if like else _TIME_BASE,
                colour=like.colour if like else Colour(),
                sample_aspect=like.sample_aspect if like else None,
                prompt=like is None,
            )
            if like and self._audio:
                sound = AudioTracks(
                    like.path, container, self._kind.audio, copy=copy, shift=self._shift
                )
                self._sound = undo.enter_context(sound)
            container.start_encoding()
            undo.pop_all()
        return container

    def _add(self, container: OutputContainer, frame: Frame) -> None:
        time = frame.time + self._shift
        if self._sound is not None:
            self._sound.advance(time)
        image = fitted(frame.image, self.size or frame.size)
        container.mux(self._encoder.encode(image, time))
        self._end = time

    def close(self, *, finished: bool = True) -> None:
        """End the file; `path_written` then says where it is."""
        if self._closed:
            return
        self._closed = True
        if self._container is None:
            self.part.unlink(missing_ok=True)
            return
        self.path_written = self.part
        finished = finished and not self._failed
        try:
            with deferred(), self._translated():
                self._finish(self._container, None if finished else self._end)
        except SinkError:
            # After a failure that was already reported a second report would hide it.
            if not self._failed:
                raise
            return
        if finished:
            self._rename()

    def _finish(self, container: OutputContainer, until: float | None) -> None:
        try:
            if not self._failed:
                container.mux(self._encoder.flush())
                if self._sound is not None:
                    self._sound.advance(until)
        finally:
            if self._sound is not None:
                self._sound.close()
            with self._file:
                container.close()

    def _rename(self) -> None:
        if os.path.lexists(self.path) and not self._overwrite:
            raise SinkError(
                f"cannot write {str(self.path)!r}: it exists now; the video is {str(self.part)!r}"
            )
        with self._translated():
            self.part.replace(self.path)
        self.path_written = self.path
