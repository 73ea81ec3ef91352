"""Network streams from real servers: protocols, damage and timestamps."""

import io
import itertools
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.network import Learned, NetworkSource
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.reconnecting import ReconnectingSource
from rtmag.realtime.sources.source import SourceOptions
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import Clip, comb, fields
from tests.support.servers import (
    JPEG_CAMERA,
    ChaosProxy,
    RtspServer,
    http,
    mjpeg,
    mpegts,
    need_rtsp,
    paced,
    pictures,
    scene,
    serving,
    silent,
)

SIZE = (160, 120)


def read(source: NetworkSource, count: int = 10**6) -> list[Frame]:
    """Read `count` frames, or fewer if the connection ends."""
    frames = []
    try:
        for frame in source:
            frames.append(frame)
            if len(frames) == count:
                break
    except SourceLost:
        pass
    return frames


def whole(data: bytes) -> Callable[[object], None]:
    """Send all data immediately."""
    return lambda connection: connection.sendall(data)  # type: ignore[attr-defined]


def test_frames_are_live_and_timed() -> None:
    with (
        serving(paced(mpegts(90, SIZE), 3)) as (port, _),
        NetworkSource(f"tcp://127.0.0.1:{port}") as source,
    ):
        assert (source.live, source.frames, source.size) == (True, None, SIZE)
        begun = time.monotonic()
        frames = read(source, 60)
    assert [frame.index for frame in frames] == list(range(60))
    assert {frame.size for frame in frames} == {SIZE}
    assert begun - 5 < frames[0].time < frames[-1].time <= time.monotonic()
    assert source.fps == pytest.approx(30, rel=0.02)


def test_mjpeg_over_http() -> None:
    with (
        serving(mjpeg(30, SIZE)) as (port, _),
        NetworkSource(f"http://127.0.0.1:{port}/video") as source,
    ):
        frames = read(source, 40)
    assert frames[-1].size == SIZE
    # It has no timestamps, so the rate is that of the arrivals.
    rate = 39 / (frames[-1].time - frames[0].time)
    assert 15 < rate < 31
    assert not np.array_equal(frames[0].image, frames[1].image)


def test_transport_streams_over_http() -> None:
    with (
        serving(http(paced(mpegts(60, SIZE), 2), "video/mp2t")) as (port, _),
        NetworkSource(f"http://127.0.0.1:{port}/live.ts") as source,
    ):
        assert len(read(source, 40)) == 40


def test_interlaced_streams_are_deinterlaced(tmp_path: Path) -> None:
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1", "tune": "zerolatency"}
    clip = Clip(frames=30, size=SIZE, options=options, picture=fields).write(tmp_path / "a.ts")
    notes, answer = list[str](), http(paced(clip.read_bytes(), 1), "video/mp2t")
    with serving(answer) as (port, _):
        address = f"http://127.0.0.1:{port}/live.ts"
        learned = Learned()
        for _ in range(2):
            with NetworkSource(address, note=notes.append, learned=learned) as source:
                assert comb(read(source, 20)[10].image) < 3
    assert notes == [f"{address} is interlaced: its frames are deinterlaced"]


def test_hls_is_played_at_its_frame_rate() -> None:
    """Segments arrive in one piece; their frames are spread over their duration."""
    segments = [mpegts(30, SIZE) for _ in range(2)]
    playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    for number in range(2):
        playlist += f"#EXT-X-DISCONTINUITY\n#EXTINF:1.0,\n{number}.ts\n"
    playlist += "#EXT-X-ENDLIST\n"

    def answer(connection: object) -> None:
        request = connection.recv(4096).decode()  # type: ignore[attr-defined]
        name = request.split()[1]
        data = playlist.encode() if name.endswith("m3u8") else segments[int(name[1])]
        kind = "application/vnd.apple.mpegurl" if name.endswith("m3u8") else "video/mp2t"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + data)  # type: ignore[attr-defined]

    with (
        serving(answer) as (port, _),
        open_source(f"http://127.0.0.1:{port}/live.m3u8") as source,
    ):
        assert isinstance(source, ReconnectingSource)
        start = time.monotonic()
        frames = list(source)
        assert 1.0 < time.monotonic() - start < 6
        assert source.status.state == "ENDED"
    assert len(frames) > 40
    assert all(np.diff([frame.time for frame in frames]) > 0)


def test_a_silent_server_is_reported() -> None:
    """F03: the attempt ends at the timeout."""
    for scheme in ("http", "rtsp", "rtmp", "tcp"):
        with serving(silent) as (port, _):
            start = time.monotonic()
            with pytest.raises(SourceUnavailable, match="E-TIMEOUT"):
                NetworkSource(f"{scheme}://127.0.0.1:{port}/x", timeout=0.7)
            assert 0.5 < time.monotonic() - start < 0.7 + 2, scheme


@pytest.fixture(scope="module")
def changing() -> list[Frame]:
    """320x240, then 640x480, then grey, then 4:4:4 with continuous timestamps."""
    data = mpegts(45, (320, 240)) + mpegts(45, (640, 480))
    data += mpegts(45, (640, 480), pixel_format="gray")
    last = mpegts(45, (640, 480), pixel_format="yuv444p")
    data += rewritten(last, lambda ticks: ticks + 135_000)
    with (
        serving(paced(data, 6)) as (port, _),
        NetworkSource(f"tcp://127.0.0.1:{port}") as source,
    ):
        return read(source)


@pytest.mark.parametrize(("model", "scale"), [("none", 1.0), ("fast", 1.0), ("standard", 0.5)])
def test_size_and_pixel_format_may_change(
    changing: list[Frame], model: str, scale: float, tmp_path: Path
) -> None:
    """F05: the magnifier starts again, also with real models, so the first frame is the input.

    The recording keeps the size of its first frame.
    """
    first = [
        at
        for at, (before, after) in enumerate(itertools.pairwise(changing), 1)
        if before.epoch != after.epoch
    ]
    assert [changing[at].size for at in (0, *first)] == [(320, 240)] + 3 * [(640, 480)]
    assert len(changing) - first[-1] > 20
    magnifier = Magnifier(load_engine(model, motion_scale=scale), alpha=20)
    recording = VideoSink(tmp_path / "out.mp4")
    magnified = [magnifier(frame) for frame in changing]
    for frame in magnified:
        recording.write(frame)
    recording.close()
    differences = [
        np.abs(after.image.astype(int) - before.image).max()
        for before, after in zip(changing, magnified, strict=True)
    ]
    assert max(differences[at] for at in first) <= 2
    assert model == "none" or max(differences[at + 10] for at in first) > 20
    assert all(np.diff([frame.time for frame in changing]) > 0)
    assert [frame.size for frame in VideoSource(tmp_path / "out.mp4")] == [(320, 240)] * len(
        magnified
    )


@pytest.fixture(scope="module")
def plain() -> bytes:
    """Ten seconds without damage."""
    return mpegts(300, (320, 240))


@pytest.mark.parametrize(("share", "least"), [(1e-4, 0.99), (1e-3, 0.93), (1e-2, 0.78)])
def test_damage_is_skipped(share: float, least: float, plain: bytes) -> None:
    """F06: a share of the bytes of a transport stream is wrong; 20 seeds.

    At least the share `least` of the frames is decoded on average. For each seed it is that share,
    or nearly as many as FFmpeg can decode at all, which depends on the keyframes that are hit.
    """
    shares, errors = [], 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(plain, np.uint8).copy()
        wrong = np.flatnonzero(rng.random(len(data)) < share)
        data[wrong] ^= rng.integers(1, 256, len(wrong), dtype=np.uint8)
        with (
            serving(whole(data.tobytes())) as (port, _),
            NetworkSource(f"tcp://127.0.0.1:{port}") as source,
        ):
            frames = len(read(source))
            errors += source.damaged
        assert frames >= 300 * least or frames >= 0.97 * decodable(data.tobytes()), seed
        shares.append(frames / 300)
    assert np.mean(shares) >= least, shares
    assert errors > 0


def decodable(data: bytes) -> int:
    """Number of frames that FFmpeg decodes if each error is skipped."""
    frames = 0
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        stream = container.streams.video[0]
        while True:
            try:
                for packet in container.demux(stream):
                    with suppress(av.FFmpegError):
                        frames += len(packet.decode())
                return frames
            except IndexError:  # a packet of a stream that does not exist
                continue


STAMPED = rb"\x00\x00\x01\xe0..[\x80-\x8f][\x80\xc0]"
"""Start of a picture with timestamps in a transport stream."""


def rewritten(data: bytes, change: Callable[[int], int]) -> bytes:
    """A transport stream with other timestamps (PTS, in ticks of 90 kHz)."""
    out = bytearray(data)
    for match in re.finditer(STAMPED, data, re.DOTALL):
        at = match.end() + 1
        a, b, c, d, e = out[at : at + 5]
        ticks = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
        ticks = change(ticks) % 2**33
        out[at] = a & 0xF0 | (ticks >> 30 & 7) << 1 | 1
        out[at + 1] = ticks >> 22 & 0xFF
        out[at + 2] = (ticks >> 15 & 0x7F) << 1 | 1
        out[at + 3] = ticks >> 7 & 0xFF
        out[at + 4] = (ticks & 0x7F) << 1 | 1
        if out[at - 2] & 0xC0 == 0xC0:
            out[at + 5 : at + 10] = bytes([out[at] & 0x0F | 0x10, *out[at + 1 : at + 5]])
    return bytes(out)


def shown(data: bytes) -> list[Frame]:
    """Frames of a four-second stream: nearly all, with increasing times and without long gaps."""
    with (
        serving(paced(data, 4)) as (port, _),
        NetworkSource(f"tcp://127.0.0.1:{port}") as source,
    ):
        frames = read(source)
    steps = np.diff([frame.time for frame in frames])
    assert len(frames) > 90
    assert (steps > 0).all()
    assert steps[40:].max() < 1  # before that, FFmpeg may still analyse the stream
    return frames


def pace(frames: list[Frame]) -> float:
    """Seconds from frame to frame, after the burst at the start."""
    return float(np.mean(np.diff([frame.time for frame in frames])[40:]))


def test_timestamps_may_be_missing() -> None:
    """F07: every other timestamp is missing; the arrival times are used instead."""
    data, count = bytearray(mpegts(120, SIZE)), 0
    for match in re.finditer(STAMPED, bytes(data), re.DOTALL):
        count += 1
        if count % 2:
            data[match.end() - 1] &= (
                0x3F  # flag "no timestamps follow", and stuffing in their place
            )
            length = data[match.end()]
            data[match.end() + 1 : match.end() + 1 + length] = b"\xff" * length
    assert count == 120
    assert pace(shown(bytes(data))) == pytest.approx(1 / 30, rel=0.3)


@pytest.mark.parametrize("hours", [1, -1])
def test_timestamps_may_jump(hours: int) -> None:
    """F07: no wait, times keep increasing, and a new epoch begins."""
    stream = mpegts(120, SIZE)
    middle = len(stream) // 376 * 188
    jumped = rewritten(stream[middle:], lambda ticks: ticks + hours * 3600 * 90_000)
    data = rewritten(stream[:middle], lambda ticks: ticks + 2 * 3600 * 90_000)
    data += rewritten(jumped, lambda ticks: ticks + 2 * 3600 * 90_000)
    frames = shown(data)
    assert frames[-1].epoch > frames[0].epoch


def test_one_damaged_timestamp_causes_no_delay() -> None:
    """F07: one timestamp 0.3 s in the future does not make later frames count as late."""
    numbers = itertools.count()
    data = rewritten(
        mpegts(120, SIZE), lambda ticks: ticks + (27_000 if next(numbers) == 80 else 0)
    )
    with (
        serving(paced(data, 4)) as (port, _),
        NetworkSource(f"tcp://127.0.0.1:{port}") as source,
    ):
        late = []
        with pytest.raises(SourceLost):
            for frame in source:
                late.append(time.monotonic() - frame.time)
    assert np.median(late[90:]) < 0.1


def test_timestamps_may_stand_still() -> None:
    """F07: the arrival times are used instead."""
    data = rewritten(mpegts(120, SIZE), lambda ticks: 900_000)
    assert pace(shown(data)) == pytest.approx(1 / 30, rel=0.3)


def test_large_pictures_are_refused_before_they_are_decoded() -> None:
    with (
        serving(paced(mpegts(60, (320, 240)), 2)) as (port, _),
        pytest.raises(SourceUnavailable, match="320x240 is too large"),
    ):
        open_source(f"tcp://127.0.0.1:{port}", options=SourceOptions(max_pixels=160 * 120))


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "lavfi://testsrc", "concat://a", "subfile://a", "pipe://0"]
)
def test_other_protocols_are_refused(address: str) -> None:
    """S08: only protocols of streams are allowed."""
    with pytest.raises(SourceUnavailable, match="E-PROTOCOL"):
        open_source(address)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ffconcat version 1.0\nfile '{}'\n", "video/mp2t"),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n",
            "audio/mpegurl",
        ),
        ("v=0\nc=IN IP4 127.0.0.1\nm=video 5 RTP/AVP 26\ni={}\n", "application/sdp"),
    ],
)
def test_a_server_cannot_open_local_files(text: str, kind: str, tmp_path: Path) -> None:
    """S08: a playlist from a server cannot open files of this machine."""
    canary = tmp_path / "canary.ts"
    canary.write_bytes(mpegts(10, SIZE))
    body = whole(text.format(canary).encode())
    with serving(http(body, kind)) as (port, _), pytest.raises(SourceUnavailable):
        NetworkSource(f"http://127.0.0.1:{port}/a.m3u8", timeout=1)


def test_close_ends_the_iteration_and_frees_the_connection() -> None:
    before = threading.active_count()
    with (
        serving(paced(mpegts(90, SIZE), 3, forever=True)) as (port, _),
        open_source(f"tcp://127.0.0.1:{port}") as source,
    ):
        assert next(iter(source)).size == SIZE
        source.close()
        source.close()
        assert list(source) == []
    deadline = time.monotonic() + 3
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before


@pytest.mark.parametrize("camera", ["h264", "mjpeg"])
def test_a_real_rtsp_camera(camera: str) -> None:
    """F02 with a real server: play, kill, start with another size, play again."""
    need_rtsp()
    server = RtspServer((320, 240))
    if camera == "mjpeg":
        server.show((320, 240), launch=JPEG_CAMERA)
    with server, open_source(server.url) as source:
        assert isinstance(source, ReconnectingSource)
        frames = [frame for frame, _ in zip(source, range(60), strict=False)]
        assert source.fps == pytest.approx(30, rel=0.05)
        server.kill()
        server.show((160, 120))
        server.start()
        start = time.monotonic()
        while (frame := source.get(0.05)) is None or frame.size == (320, 240):
            assert time.monotonic() - start < 15
        assert source.status.reconnects >= 1
        assert frame.size == (160, 120)
        assert frame.time > frames[-1].time


def test_a_real_rtsp_camera_with_a_password() -> None:
    need_rtsp()
    with RtspServer((160, 120), user="admin p@ss:w/rd?#%") as server:
        host = server.url.removeprefix("rtsp://")
        with pytest.raises(SourceUnavailable, match="E-AUTH") as caught:
            NetworkSource(f"rtsp://admin:wrong@{host}")
        assert "wrong" not in str(caught.value)
        good = "rtsp://admin:p%40ss%3Aw%2Frd%3F%23%25@" + host
        with NetworkSource(good) as source:
            assert len(read(source, 3)) == 3
            assert source.name == server.url


def test_a_real_rtsp_camera_that_has_udp_only() -> None:
    """UDP is used after TCP was refused, and later connections begin with it."""
    need_rtsp()
    with RtspServer((160, 120), transport="udp") as server:
        learned = Learned()
        with NetworkSource(server.url, learned=learned) as source:
            assert len(read(source, 10)) == 10
        assert learned.transport == "udp"
        with ChaosProxy(server.port) as proxy:
            address = server.url.replace(str(server.port), str(proxy.port))
            with NetworkSource(address, learned=learned) as source:
                assert len(read(source, 3)) == 3
            assert proxy.accepted == 1


@pytest.mark.parametrize("cut", [False, True])
def test_a_recording_on_a_real_rtsp_server(cut: bool, tmp_path: Path) -> None:
    """Its end is an end, and a cut is a loss."""
    need_rtsp()
    path = tmp_path / "clip.mp4"
    sink = VideoSink(path, fps=30)
    for index in range(60):
        sink.write(Frame(scene(index, SIZE), index / 30, index))
    sink.close()
    launch = f"( filesrc location={path} ! qtdemux ! rtph264pay name=pay0 config-interval=1 )"
    with RtspServer(launch=launch) as server, open_source(server.url) as source:
        frames = iter(source)
        next(frames)
        if cut:
            server.kill()
            with pytest.raises(SourceLost, match="E-LOST"):
                list(frames)
        else:
            assert len(list(frames)) > 40
            assert source.status.state == "ENDED"


def late_key(wait: float) -> Callable[[object], None]:
    """A stream that is joined between two key pictures; the next one comes after `wait` seconds."""
    first, *others = pictures(mpegts(120, SIZE, gop=90))[1:]
    before, after = [first, *others[:88]], others[88:]

    def answer(connection: object) -> None:
        for piece in before:
            connection.sendall(piece)  # type: ignore[attr-defined]
            time.sleep(wait / len(before))
        for piece in itertools.cycle(after):
            connection.sendall(piece)  # type: ignore[attr-defined]
            time.sleep(1 / 30)

    return answer


@pytest.mark.parametrize("wait", [None, print])
def test_a_key_picture_is_waited_for(wait: Callable[[str], None] | None) -> None:
    """The wait is longer than twice the timeout, which bounds silence only."""
    notes = list[str]()
    with serving(late_key(2.5)) as (port, _):
        options = SourceOptions(timeout=0.6, note=notes.append, wait=wait)
        with open_source(f"tcp://127.0.0.1:{port}", options=options) as source:
            assert source.size == SIZE
            assert source.damaged == 0
    assert notes == [f"tcp://127.0.0.1:{port} sends video; waiting for a key picture"]


def test_silence_ends_the_wait_for_a_key_picture() -> None:
    data = b"".join(pictures(mpegts(60, SIZE, gop=60))[1:])

    def answer(connection: Any) -> None:
        connection.sendall(data)
        silent(connection)

    with serving(answer) as (port, _):
        start = time.monotonic()
        with pytest.raises(SourceUnavailable, match="E-TIMEOUT"):
            open_source(f"tcp://127.0.0.1:{port}", options=SourceOptions(timeout=0.6))
        assert time.monotonic() - start < 5


def test_an_unknown_path_of_a_real_server() -> None:
    need_rtsp()
    with RtspServer((160, 120)) as server, pytest.raises(SourceUnavailable, match="E-NOT-FOUND"):
        NetworkSource(server.url + "nothing")


@pytest.mark.parametrize("share", [1e-2, 1e-1])
def test_a_real_rtsp_camera_over_a_damaged_connection(share: float) -> None:
    """F06 with a real server: a share of the RTP packets has a wrong byte, also in headers."""
    need_rtsp()
    with RtspServer((320, 240)) as server, ChaosProxy(server.port) as proxy:
        address = server.url.replace(str(server.port), str(proxy.port))
        with open_source(address) as source:
            assert isinstance(source, ReconnectingSource)
            next(iter(source))
            proxy.corrupt = share
            begun, frames = time.monotonic(), []
            while time.monotonic() < begun + 6:
                frame = source.get(0.1)
                frames += [] if frame is None else [frame]
            assert source.status.reconnects == 0
    assert proxy.corrupted > 0
    indices = [frame.index for frame in frames]
    assert indices[-1] - indices[0] >= 0.78 * 30 * (frames[-1].time - frames[0].time)
    assert frames[-1].time - frames[0].time > 5
    assert all(np.diff([frame.time for frame in frames]) > 0)
