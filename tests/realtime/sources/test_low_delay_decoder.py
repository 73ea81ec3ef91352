"""Reorder depth: reset after damage, kept where frames are really reordered."""

import io
import re
from fractions import Fraction
from typing import Any

import av
import numpy as np

from rtmag.realtime.media.container import first_video_stream, read_packets
from rtmag.realtime.sources.network_container import LowDelayDecoder
from tests.support.servers import mpegts, scene

SIZE = (160, 120)


def decoded(data: bytes, *, reset: bool = True) -> tuple[list[int], list[int]]:
    """Timestamps of the frames, and the number of packets that each was late."""
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        stream = first_video_stream(container)
        assert stream is not None
        decoder, sent = LowDelayDecoder(stream), [0]
        stamps, held = [], []
        for packet in read_packets(container, stream):
            if packet is None or packet.pts is None:
                continue
            sent.append(packet.pts)
            pictures: Any = decoder.decode(packet) if reset else packet.decode()
            for picture in pictures:
                stamps.append(picture.pts)
                held.append(sum(stamp > picture.pts for stamp in sent))
    return stamps, held


def damaged(data: bytes) -> bytes:
    """The stream with one wrong bit in its third header, which raises the reorder depth."""
    start = [match.start() for match in re.finditer(b"\0\0\1\x67", data)][2]
    end = data.index(b"\0\0\1", start + 3)
    for at in reversed(range(8 * (start + 4), 8 * end)):  # the reorder depth is near the end
        wrong = bytearray(data)
        wrong[at // 8] ^= 1 << at % 8
        if decoded(bytes(wrong), reset=False)[1][-1] > 2:
            return bytes(wrong)
    raise AssertionError("no bit makes this decoder hold pictures back")


def test_one_wrong_bit_adds_no_lasting_delay() -> None:
    data = damaged(mpegts(90, SIZE))
    held = decoded(data)[1]
    assert held[-40:] == [0] * 40
    assert len(held) >= len(decoded(data, reset=False)[1])


def test_reordered_frames_are_kept_in_order() -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as output:
        stream: Any = output.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        stream.gop_size, stream.max_b_frames = 15, 3
        for index in range(90):
            frame = av.VideoFrame.from_ndarray(scene(index, SIZE), "bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    stamps, held = decoded(target.getvalue())
    assert max(held) > 0
    assert set(np.diff(stamps)) == {3000}
    assert len(stamps) > 80
