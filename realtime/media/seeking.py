"""Jumps within a video file: to a key picture, or to places spread over the file."""

from collections.abc import Iterable, Iterator
from itertools import islice

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rtmag.realtime.media.depth import SAMPLES

_SEARCHED = 32
"""Frames that are decoded at most to find one between two places to which a file can jump."""


def seek(container: InputContainer, stream: VideoStream, place: int) -> bool:
    """Go to the key picture at or before a time; return False if that is not possible.

    Args:
        container: the open file.
        stream: its video stream.
        place: time in ticks of the stream.
    """
    try:
        container.seek(place, stream=stream)
    except (av.FFmpegError, OSError, ValueError):
        return False
    return True


def from_key(
    frames: Iterable[VideoFrame | None], container: InputContainer
) -> Iterator[VideoFrame | None]:
    """Leave out the frames before the first key picture after a jump.

    Args:
        frames: as decoded; None for each damaged packet.
        container: from which they are.
    """
    # A jump into an MPEG program stream ends within a packet; the first time may be wrong.
    keys = 2 if container.format.name == "mpeg" else 1
    for frame in frames:
        if frame is not None and frame.key_frame and frame.pts is not None:
            keys -= 1
        if keys <= 0:
            yield frame


def spread(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield a few frames, spread over a file; its first ones if its length is unknown.

    Args:
        container: newly opened.
        stream: its video stream.
    """
    start, length = container.start_time or 0, max(container.duration or 0, 0)
    for number in range(SAMPLES):
        wanted = start + length * number // SAMPLES
        frame = None
        try:
            if length:
                container.seek(wanted)
            for frame in islice(container.decode(stream), _SEARCHED if length else 1):
                if frame.time is None or frame.time * av.time_base >= wanted:
                    break
        except (av.FFmpegError, OSError, ValueError, IndexError):
            continue
        if frame is not None:
            yield frame
