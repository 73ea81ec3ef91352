"""A live stream's decoder, which holds back no picture without need.

Decoders hold back as many pictures as may have to change places before they are shown. A damaged
header makes them believe in up to sixteen, and nothing in what follows makes them believe in fewer:
one wrong bit, and the view is late by half a second for as long as the connection lasts. Pictures
whose packets are stamped in the order in which they come have no places to change; where all do
from one key picture to the next, the decoder is brought back to what it held back at first.
"""

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


class Decoder:
    """Decodes the packets of one stream, in the order in which they came."""

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._depth = self._context.reorder_depth
        self._ordered = False
        self._stamp: int | None = None

    def decode(self, packet: "Packet[Stream]") -> list[VideoFrame]:
        """The pictures that are ready now; raises what FFmpeg does of damage."""
        if packet.is_keyframe:
            if self._ordered and self._context.reorder_depth > self._depth:
                self._context.flush_buffers()  # late pictures: newer ones are about to come
                self._context.reorder_depth = self._depth
            self._ordered = True
        self._ordered &= self._follows(packet.pts)
        return packet.decode()  # type: ignore[return-value]

    def _follows(self, stamp: int | None) -> bool:
        before, self._stamp = self._stamp, stamp
        return stamp is not None and (before is None or stamp > before)
