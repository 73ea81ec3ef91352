"""Conversion of interlaced video to whole pictures.

The two fields of an interlaced frame, its even and its odd rows, are filmed one after the other.
What moves differs between them, which would be magnified as motion up and down. FFmpeg's filter
bwdif keeps the rows of the first field and computes those of the second for the same time.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame


class Deinterlacer:
    """Deinterlaces the frames of a stream that are marked as interlaced; others are unchanged.

    Number, times, size and pixel format of the frames stay the same. From the first interlaced
    frame on, frames are returned one frame late.
    """

    def __init__(self) -> None:
        self.active = False
        """True if there was an interlaced frame."""
        self._graph: Graph | None = None
        self._layout: tuple[int, int, str, Fraction | None] | None = None

    def add(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Add a frame and yield those that are ready.

        Raises:
            av.FFmpegError: the filter cannot use the frame.
        """
        self.active = self.active or frame.interlaced_frame
        if not self.active:
            yield frame
            return
        layout = frame.width, frame.height, frame.format.name, frame.time_base
        if self._graph is None or layout != self._layout:
            yield from self.flush()
            self._layout, self._graph = layout, _graph(frame)
        self._graph.vpush(frame)
        yield from self._ready(self._graph)

    def flush(self) -> Iterator[VideoFrame]:
        """Yield the frames that are left."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.vpush(None)
            yield from self._ready(graph)

    def _ready(self, graph: Graph) -> Iterator[VideoFrame]:
        """Yield the frames that the filter has finished, with times in the original unit."""
        with suppress(av.BlockingIOError, av.EOFError):  # more input is needed; the end
            while True:
                frame = graph.vpull()
                time_base = self._layout[-1] if self._layout else None
                if frame.pts is not None and frame.time_base and time_base:
                    frame.pts = round(frame.pts * frame.time_base / time_base)
                    frame.time_base = time_base
                yield frame


def _graph(frame: VideoFrame) -> Graph:
    """Return a graph that deinterlaces frames like this one."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    filter = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, filter, graph.add("buffersink")).configure()
    return graph
