"""JPEG pictures over HTTP in the ways of many cameras, and files on HTTP servers."""

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest

from rtmag.realtime.errors import SourceAbsent, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.network import NetworkSource
from rtmag.realtime.sources.network_jpeg import JpegSplitter
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.source import SourceOptions
from tests.support.servers import mpegts, scene, serving

SIZE = (64, 48)
Answer = Callable[[socket.socket], None]


def jpeg(index: int = 0, size: tuple[int, int] = SIZE) -> bytes:
    return cv2.imencode(".jpg", scene(index, size))[1].tobytes()


def part(picture: bytes, kind: str = "image/jpeg", length: int | None = None) -> bytes:
    """A part of an MJPEG stream, without its boundary."""
    length = len(picture) if length is None else length
    return f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode() + picture + b"\r\n"


EDGE = b"--frame\r\n"
STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: EDGE + part(data),
    "another type": lambda data: EDGE + part(data, "image/jpg"),
    "options": lambda data: EDGE + part(data, "image/jpeg;size=64x48"),
    "boundary after": lambda data: part(data) + EDGE,
    "line feeds": lambda data: b"--frame\nContent-Type: image/jpeg\n\n" + data + b"\n",
    "no type": lambda data: EDGE + b"\r\n" + data + b"\r\n",
    "wrong length": lambda data: EDGE + part(data, length=7),
    "huge length": lambda data: EDGE + part(data, length=2**31),
    "no headers": lambda data: EDGE + data,
    "pictures only": lambda data: data,
    "no end mark": lambda data: EDGE + part(data.removesuffix(b"\xff\xd9")),
    "zeros after it": lambda data: EDGE + part(data + bytes(100)),
}


def stream(form: Callable[[bytes], bytes], head: str = "", pieces: int = 10**9) -> Answer:
    """A camera that sends 30 pictures a second in small pieces."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
        for index in itertools.count():
            data = form(jpeg(index))
            for start in range(0, len(data), pieces):
                connection.sendall(data[start : start + pieces])
            time.sleep(1 / 30)

    return answer


MULTIPART = 'Content-Type: multipart/x-mixed-replace; boundary="frame"\r\n'


def read(source: NetworkSource, count: int = 5) -> list[Frame]:
    frames = list(itertools.islice(source, count))
    source.close()
    return frames


@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize("head", [MULTIPART, ""], ids=["typed", "untyped"])
def test_every_form_of_mjpeg(form: str, head: str) -> None:
    with (
        serving(stream(STREAMS[form], head)) as (port, _),
        NetworkSource(f"http://127.0.0.1:{port}/video", timeout=2) as source,
    ):
        frames = read(source)
    assert len(frames) == 5
    assert source.damaged == 0
    # Each picture is shown when it is complete, which needs no header of the next one.
    known = [cv2.imdecode(np.frombuffer(jpeg(index), np.uint8), 1) for index in range(30)]
    for frame in frames:
        assert min(np.abs(frame.image.astype(int) - each).mean() for each in known) < 2


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1000, 10**6])
def test_pictures_are_found_in_pieces_of_any_size(size: int) -> None:
    """Also a picture within a picture, as the small preview in the header."""
    preview = b"\xff\xe1" + (2 + len(jpeg(1))).to_bytes(2) + jpeg(1)
    pictures = [jpeg(0), jpeg(2)[:2] + preview + jpeg(2)[2:], jpeg(3)]
    body = b"noise\xff\xd8 " + b"\r\n--x\r\n".join(pictures) + b"\r\n"
    splitter = JpegSplitter()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert [found for piece in pieces for found in splitter.push(piece)] == pictures


def test_a_picture_is_shown_before_the_next_one_arrives() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{MULTIPART}\r\n".encode() + EDGE + part(jpeg()))
        connection.recv(4096)

    with serving(answer) as (port, _), NetworkSource(f"http://127.0.0.1:{port}/video") as source:
        assert source.size == SIZE


@pytest.mark.parametrize("length", [2**31, None])
def test_a_picture_without_an_end_takes_little_memory(length: int | None) -> None:
    """A hostile server announces, or sends, a picture of gigabytes."""
    start = EDGE + (part(b"", length=length)[:-2] if length else b"\r\n") + b"\xff\xd8\xff\xe0\0\2"
    process = psutil.Process()
    used = [process.memory_info().rss]

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{MULTIPART}\r\n".encode() + start)
        for _ in range(200):
            connection.sendall(bytes(1 << 20))
            used.append(process.memory_info().rss)

    with serving(answer) as (port, _), pytest.raises(SourceUnavailable):
        NetworkSource(f"http://127.0.0.1:{port}/video", timeout=60)
    assert len(used) > 200
    assert max(used) - used[0] < 120e6


def test_large_pictures_are_refused() -> None:
    with serving(stream(STREAMS["plain"], MULTIPART)) as (port, _):  # noqa: SIM117
        with pytest.raises(SourceUnavailable, match="64x48 is too large"):
            NetworkSource(f"http://127.0.0.1:{port}/video", max_pixels=32 * 32)


def test_a_playlist_without_an_end_is_refused() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n")
        while True:
            connection.sendall(b"#EXTINF:1.0,\na.ts\n" * 1000)

    with (
        serving(answer) as (port, _),
        pytest.raises(SourceUnavailable, match="playlist without an end"),
    ):
        NetworkSource(f"http://127.0.0.1:{port}/a.m3u8")


# ---- one picture for each request ---------------------------------------------------------------


class Stills:
    """A server that answers each request with the next picture.

    Args:
        status: status of the answer of each request, by its number.
        password: True to require user and password by the method Digest.
        new: number of requests that are answered with the same picture.
    """

    def __init__(
        self,
        status: Callable[[int], str] = lambda number: "200 OK",
        *,
        password: bool = False,
        new: int = 1,
    ) -> None:
        self.requests: list[float] = []
        self._status, self._password, self._new = status, password, new

    def __call__(self, connection: socket.socket) -> None:
        rest = b""
        while data := connection.recv(4096):
            rest += data
            while b"\r\n\r\n" in rest:
                request, _, rest = rest.partition(b"\r\n\r\n")
                self.requests.append(time.monotonic())
                connection.sendall(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        number = len(self.requests)
        if self._password and b'Digest username="me"' not in request:
            challenge = 'WWW-Authenticate: Digest realm="camera", nonce="1", qop="auth"\r\n'
            return f"HTTP/1.1 401 No\r\n{challenge}Content-Length: 2\r\n\r\nno".encode()
        status = self._status(number)
        body = jpeg(number // self._new) if status.startswith("200") else b"busy"
        kind = "image/jpeg" if status.startswith("200") else "text/plain"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def test_still_pictures_are_requested_over_one_connection() -> None:
    notes, camera = list[str](), Stills()
    with serving(camera) as (port, connections):
        options = SourceOptions(fps=40, note=notes.append)
        with open_source(f"http://127.0.0.1:{port}/snap.jpg", options=options) as source:
            frames = list(itertools.islice(source, 12))
            assert source.status.reconnects == 0
    assert len({frame.image.tobytes() for frame in frames}) == 12
    assert len(connections) == 1
    assert camera.requests[11] - camera.requests[0] > 10 / 40
    assert [re.sub(r"\d+", "N", note) for note in notes] == [
        "http://N.N.N.N:N/snap.jpg gives one picture for each request; it is requested N times "
        "a second"
    ]


def test_still_pictures_with_a_password() -> None:
    camera = Stills(password=True)
    with (
        serving(camera) as (port, connections),
        NetworkSource(f"http://me:p%40ss w@127.0.0.1:{port}/a", stills_per_second=50) as source,
    ):
        assert len(read(source)) == 5
    assert len(connections) == 1


@pytest.mark.parametrize("method", ["Digest", "Basic"])
def test_a_wrong_password_is_sent_once(method: str) -> None:
    """Cameras lock users out after a few wrong passwords."""
    requests = list[bytes]()

    def answer(connection: socket.socket) -> None:
        while request := connection.recv(4096):
            requests.append(request)
            number = len(requests)
            challenge = f'WWW-Authenticate: {method} realm="a", nonce="{number}", qop="auth"\r\n'
            head = f"HTTP/1.1 401 No\r\n{challenge}Content-Length: 0\r\n\r\n"
            connection.sendall(head.encode())

    with serving(answer) as (port, _), pytest.raises(SourceUnavailable, match="E-AUTH"):
        NetworkSource(f"http://me:wrong@127.0.0.1:{port}/a", timeout=2)
    assert sum(b"Authorization:" in request for request in requests) == 1


def test_failed_requests_of_still_pictures_are_repeated_with_delays() -> None:
    camera = Stills(lambda number: "503 Busy" if 3 <= number < 5 else "200 OK")
    with (
        serving(camera) as (port, connections),
        NetworkSource(f"http://127.0.0.1:{port}/a", timeout=4, stills_per_second=100) as source,
    ):
        assert len(read(source)) == 5
    assert len(connections) == 1
    steps = np.diff(camera.requests)
    assert steps[2] > 0.3
    assert steps[3] > steps[2]


def test_still_pictures_that_end_are_a_loss() -> None:
    camera = Stills(lambda number: "503 Busy" if number > 2 else "200 OK")
    with (
        serving(camera) as (port, _),
        NetworkSource(f"http://127.0.0.1:{port}/a", timeout=0.5, stills_per_second=50) as source,
        pytest.raises(SourceLost, match="503"),
    ):
        read(source)


def test_an_unchanged_still_picture_is_no_new_frame() -> None:
    """It is repeated rarely, as a sign that the camera answers."""
    camera = Stills(new=10)
    with (
        serving(camera) as (port, _),
        NetworkSource(f"http://127.0.0.1:{port}/a", stills_per_second=60) as source,
    ):
        frames = read(source, 4)
    assert len(camera.requests) >= 20
    assert len({frame.image.tobytes() for frame in frames}) == 4


# ---- files on a server --------------------------------------------------------------------------


class Files:
    """A server of one file.

    Args:
        data: the file.
        sent: number of bytes after which each answer ends.
        parts: True to send the requested part of the file.
        headers: further lines of the answer.
        length: True to announce the length.
    """

    def __init__(
        self,
        data: bytes,
        sent: int | None = None,
        *,
        parts: bool = False,
        headers: str = "",
        length: bool = True,
    ) -> None:
        self.data, self.sent, self.parts, self.length = data, sent, parts, length
        self.headers = headers
        self.answers = 0

    def __call__(self, connection: socket.socket) -> None:
        request = connection.recv(4096).decode()
        self.answers += 1
        wanted = re.search(r"Range: bytes=(\d+)-", request)
        start = int(wanted[1]) if wanted and self.parts else 0
        body = self.data[start:]
        head = "206 Partial Content" if wanted and self.parts else "200 OK"
        head = f"HTTP/1.1 {head}\r\n{self.headers}"
        if self.parts:
            head += "Accept-Ranges: bytes\r\n"
            head += f"Content-Range: bytes {start}-{len(self.data) - 1}/{len(self.data)}\r\n"
        head += f"Content-Length: {len(body)}\r\n" if self.length else ""
        connection.sendall(head.encode() + b"\r\n" + body[: self.sent])


@contextmanager
def opened(files: Files, name: str = "clip") -> Iterator[NetworkSource]:
    with (
        serving(files) as (port, _),
        NetworkSource(f"http://127.0.0.1:{port}/{name}", timeout=2) as source,
    ):
        yield source


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same two seconds as MP4, as MP4 with its index at the end, as MKV and as MPEG-TS."""
    folder = tmp_path_factory.mktemp("clips")
    sink = VideoSink(folder / "a.mkv", fps=30)
    for index in range(60):
        sink.write(Frame(scene(index, (320, 240)), index / 30, index))
    sink.close()
    for name, options in (
        ("first.mp4", {"movflags": "+faststart"}),
        ("last.mp4", {}),
        ("a.ts", {}),
    ):
        with (
            av.open(folder / "a.mkv") as source,
            av.open(folder / name, "w", options=options) as out,
        ):
            video = source.streams.video[0]
            copy = out.add_stream_from_template(video)
            for packet in source.demux(video):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


CUTS = [
    ("first.mp4", ""),
    ("first.mp4", "Connection: close\r\n"),
    ("a.mkv", ""),
    ("a.ts", ""),
    ("a.ts", "Connection: close\r\n"),
]


@pytest.mark.parametrize(("name", "headers"), CUTS)
def test_a_file_that_is_cut_is_a_loss(name: str, headers: str, clips: dict[str, bytes]) -> None:
    """It is not opened again, because it would begin at its start."""
    data = clips[name]
    files = Files(data, len(data) * 2 // 5, headers=headers)
    with serving(files) as (port, _):
        options = SourceOptions(timeout=2)
        with open_source(f"http://127.0.0.1:{port}/{name}", options=options) as source:
            frames = list[Frame]()
            with pytest.raises(SourceLost, match="E-LOST"):
                frames.extend(source)
            assert source.status.state == "FAILED"
            assert list(source) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("first.mp4", "before its stated end"),  # by its duration
        ("a.mkv", "before its stated end"),
        ("a.ts", "closed the connection"),  # MPEG-TS states none: it may be a camera
    ],
)
def test_a_file_without_a_length_that_is_cut_is_a_loss(
    name: str, said: str, clips: dict[str, bytes]
) -> None:
    with opened(Files(clips[name], len(clips[name]) * 2 // 5, length=False)) as source:  # noqa: SIM117
        with pytest.raises(SourceLost, match=said):
            list(source)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("name", ["first.mp4", "a.mkv", "a.ts"])
def test_a_whole_file_ends(name: str, length: bool, clips: dict[str, bytes]) -> None:
    if name == "a.ts" and not length:
        pytest.skip("cannot be told from a stream of a camera")
    with opened(Files(clips[name], length=length)) as source:
        assert len(list(source)) == 60


def test_a_file_goes_on_where_its_transfer_was_cut(clips: dict[str, bytes]) -> None:
    data = clips["first.mp4"]
    files = Files(data, len(data) // 2, parts=True)
    with opened(files) as source:
        assert len(list(source)) == 60
    assert files.answers > 2


def test_an_index_at_the_end_needs_a_server_that_sends_parts(clips: dict[str, bytes]) -> None:
    data = clips["last.mp4"]
    assert data.index(b"moov") > len(data) / 2
    with opened(Files(data, parts=True, headers="Connection: close\r\n")) as source:
        assert len(list(source)) == 60
    with pytest.raises(SourceUnavailable, match="E-INDEX"), opened(Files(data)):
        pass


class Playlist:
    """A server of HLS with segments of one second.

    Args:
        stated: number of segments that the playlist has now; it is finished if it has all.
        missing: the segments from this one on are not found.
        down: True if no request is answered.
    """

    def __init__(self, count: int, stated: int | None = None, missing: int | None = None) -> None:
        self.count, self.stated, self.missing = count, stated or count, missing
        self.down = False
        self.requests: list[str] = []
        self._segment = mpegts(10, SIZE, fps=10)

    def __call__(self, connection: socket.socket) -> None:
        name = connection.recv(4096).decode().split()[1]
        if self.down:
            return
        self.requests.append(name)
        data = self._segment
        if name.endswith("m3u8"):
            lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
            lines += ["#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:EVENT"]
            for number in range(self.stated):
                lines += ["#EXT-X-DISCONTINUITY", "#EXTINF:1.0,", f"{number}.ts"]
            lines += ["#EXT-X-ENDLIST"] * (self.stated == self.count)
            data = "\n".join([*lines, ""]).encode()
        elif self.missing is not None and int(name[1:-3]) >= self.missing:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + data)


def watch(playlist: Playlist, act: Callable[[int], None] = lambda count: None) -> tuple[int, str]:
    """Return the number of frames until the end, and the last state; `act` gets each number."""
    with serving(playlist) as (port, _):
        options = SourceOptions(timeout=2)
        with open_source(f"http://127.0.0.1:{port}/a.m3u8", options=options) as source:
            count = 0
            with suppress(SourceLost):
                for count, _frame in enumerate(source, 1):
                    act(count)
            return count, source.status.state


def test_a_playlist_with_missing_segments_is_a_loss() -> None:
    """FFmpeg passes over them and reports the usual end."""
    assert watch(Playlist(4, missing=2))[1] == "FAILED"
    count, state = watch(Playlist(2))
    assert state == "ENDED"
    assert count > 15


def test_a_playlist_that_is_finished_while_it_is_read_ends_once() -> None:
    playlist = Playlist(4, stated=2)

    def act(count: int) -> None:
        if count == 5:
            playlist.stated = 4

    count, state = watch(playlist, act)
    assert state == "ENDED"
    assert 15 < count <= 40


def test_a_playlist_whose_server_stopped_is_no_end() -> None:
    """It was finished meanwhile, but the end was not shown."""
    playlist = Playlist(4, stated=2)

    def act(count: int) -> None:
        playlist.down = 5 <= count < 15
        if count == 5:
            threading.Timer(2.0, restart).start()

    def restart() -> None:
        playlist.down, playlist.stated = False, 4

    assert watch(playlist, act)[1] == "ENDED"
    assert "/3.ts" in playlist.requests


def test_an_endless_stream_is_requested_once() -> None:
    """Some servers allow one connection only, and none right after another."""
    data, requests = mpegts(40, SIZE), list[float]()

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        requests.append(time.monotonic())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data)
        threading.Event().wait(1.0)

    with serving(answer) as (port, _), NetworkSource(f"http://127.0.0.1:{port}/a") as source:
        assert len(read(source, 10)) == 10
    assert len(requests) == 1


@pytest.mark.parametrize(
    "host", ["a" * 300, "a" * 300 + ".org", "a..b", "ex ample", "\N{SNOWMAN}" * 80, "[::1", "a\0b"]
)
@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtsps", "tcp"])
def test_odd_host_names_are_one_error(scheme: str, host: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"cannot exist; [^\n\0]*\[E-NO-HOST\]$") as caught:
        NetworkSource(f"{scheme}://{host}:80/live", timeout=1)
    assert not isinstance(caught.value, SourceAbsent)  # --wait does not wait for it


def test_the_reading_of_files_needs_no_file_of_this_machine(tmp_path: Path) -> None:
    """A redirect cannot lead to one."""
    canary = tmp_path / "canary.ts"
    canary.write_bytes(mpegts(10, SIZE))

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: file://{canary}\r\n\r\n".encode())

    with serving(answer) as (port, _), pytest.raises(SourceUnavailable):
        NetworkSource(f"http://127.0.0.1:{port}/a", timeout=1)
