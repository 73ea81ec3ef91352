"""Stream servers: a real RTSP server, TCP and HTTP servers, and a proxy that causes faults."""

import io
import itertools
import random
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP = """\
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
port, user, certificate, transport, *launches = sys.argv[1:]
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
for number, launch in enumerate(launches):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    if transport == "udp":
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    server.get_mount_points().add_factory("/live%s" % (number or ""), factory)
    if user or certificate:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)
if user or certificate:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    if user:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*user.split(" ")), token)
    else:
        auth.set_default_token(token)
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    server.set_auth(auth)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""
CAMERA = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},"
    "framerate={fps}/1 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} "
    "! rtph264pay name=pay0 config-interval=1 )"
)
JPEG_CAMERA = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},"
    "height={height},framerate={fps}/1 ! jpegenc ! rtpjpegpay name=pay0 )"
)


def has_rtsp() -> bool:
    """True if GStreamer's RTSP server is installed."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return False
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); import sys; " + (
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "sys.exit(not (Gst.ElementFactory.find('x264enc')"
        " and Gst.ElementFactory.find('rtph264pay')))"
    )
    return subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True).returncode == 0


def need_rtsp() -> None:
    """Skip the test if there is no RTSP server."""
    if not has_rtsp():
        pytest.skip("needs gir1.2-gst-rtsp-server-1.0, python3-gi and GStreamer's plugins")


def free_port() -> int:
    """Return a TCP port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """An RTSP camera; kill() and start() simulate unplugging it and plugging it in.

    With the transport "udp" it answers 461 to requests of TCP.
    """

    def __init__(
        self,
        size: tuple[int, int] = (320, 240),
        fps: int = 30,
        *,
        launch: str = CAMERA,
        user: str = "",
        port: int | None = None,
        certificate: Path | None = None,
        transport: str = "",
    ) -> None:
        self.port = port or free_port()
        self.url = f"rtsp{'s' if certificate else ''}://127.0.0.1:{self.port}/live"
        self.user, self.certificate, self.transport = user, str(certificate or ""), transport
        self.show(size, fps, launch)
        self._process: subprocess.Popen[str] | None = None

    def show(self, size: tuple[int, int], fps: int = 30, launch: str = CAMERA) -> None:
        """Set size, rate and pipeline of the picture; applies from the next start."""
        self._launch = launch.format(width=size[0], height=size[1], fps=fps)

    def start(self) -> None:
        settings = self.user, self.certificate, self.transport
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, "-c", RTSP, str(self.port), *settings, self._launch],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> "RtspServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def scene(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A moving picture with noise, as from a camera."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    wave = 120 + 80 * np.sin((x + y) / 25 + index / 10)
    noisy = wave[..., None] + rng.normal(0, 2, (size[1], size[0], 1))
    return np.repeat(noisy.clip(0, 255).astype(np.uint8), 3, axis=2)


def mpegts(
    frames: int,
    size: tuple[int, int] = (320, 240),
    *,
    fps: int = 30,
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    pts: Callable[[int], int | None] = lambda index: index,
    gop: int = 15,
) -> bytes:
    """An MPEG transport stream as bytes."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as output:
        options = {}
        if codec == "libx264":  # by default the number of slices is that of the cores
            options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "slices=3"}
        stream: Any = output.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = pixel_format, gop
        stream.codec_context.time_base = Fraction(1, fps)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(scene(index, size), "bgr24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            for packet in stream.encode(frame):
                output.mux(packet)
        output.mux(stream.encode(None))
    return target.getvalue()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


@contextmanager
def serving(
    answer: Callable[[socket.socket], None], port: int = 0
) -> Iterator[tuple[int, list[socket.socket]]]:
    """Run a TCP server that calls `answer` for each connection; yields port and connections."""
    connections: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connections.append(self.request)
            with suppress(OSError):
                answer(self.request)

    with _Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1], connections
        finally:
            server.shutdown()
            thread.join()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def pictures(data: bytes) -> list[bytes]:
    """Split a transport stream at the start of each picture."""
    starts = [
        at
        for at in range(0, len(data), 188)
        if data[at + 1] & 0x5F == 0x41 and data[at + 2] == 0  # start of a unit of the video stream
    ]
    return [data[a:b] for a, b in itertools.pairwise([0, *starts[1:], len(data)])]


def paced(data: bytes, seconds: float, *, forever: bool = False) -> Callable[[Any], None]:
    """Send a transport stream over `seconds`, picture by picture, as a camera does."""
    pieces = pictures(data)

    def answer(connection: socket.socket) -> None:
        start = time.monotonic()
        for count in itertools.count():
            if count >= len(pieces) and not forever:
                return
            connection.sendall(pieces[count % len(pieces)])
            due = start + (count + 1) * seconds / len(pieces)
            time.sleep(max(due - time.monotonic(), 0))

    return answer


def silent(connection: socket.socket) -> None:
    """Receive all data and send nothing."""
    while connection.recv(4096):
        pass


def http(
    body: Callable[[socket.socket], None], kind: str, status: str = "200 OK", headers: str = ""
) -> Callable[[socket.socket], None]:
    """Answer any HTTP request with a stream."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Connection: close\r\n\r\n"
        connection.sendall(head.encode())
        body(connection)

    return answer


def mjpeg(fps: float = 30, size: tuple[int, int] = (320, 240)) -> Callable[[socket.socket], None]:
    """An MJPEG camera over HTTP."""
    import cv2

    pictures = [cv2.imencode(".jpg", scene(i, size))[1].tobytes() for i in range(30)]

    def body(connection: socket.socket) -> None:
        for index in itertools.count():
            data = pictures[index % len(pictures)]
            part = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(part.encode() + data + b"\r\n")
            time.sleep(1 / fps)

    return http(body, "multipart/x-mixed-replace; boundary=frame")


class Framing:
    """Parser that finds the RTP packets in the data of an RTSP server; other data is kept."""

    def __init__(self) -> None:
        self._rest = b""
        self._rtsp: bool | None = None

    def cut(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs of bytes to keep and a packet that may be damaged; either may be empty."""
        if self._rtsp is None:
            self._rtsp = data.startswith(b"RTSP/")
        rest = self._rest + data
        while rest and self._rtsp:
            head, end = self._extent(rest)
            if len(rest) < end:
                break
            yield rest[:head], rest[head:end]
            rest = rest[end:]
        if not self._rtsp:
            yield rest, b""
            rest = b""
        self._rest = rest

    @staticmethod
    def _extent(rest: bytes) -> tuple[int, int]:
        """Length of the bytes to keep, and total length with the packet."""
        if rest.startswith(b"$"):  # channel, and length of the packet
            return 4, 4 + int.from_bytes(rest[2:4]) if len(rest) >= 4 else 4
        head, end, _ = rest.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        whole = len(head) + len(end) + (int(length[1]) if length else 0)
        return whole, whole if end else len(rest) + 1


class ChaosProxy:
    """Proxy that forwards TCP connections to a port, with faults.

    `cut()` breaks all connections and refuses new ones until `heal()`. With `hole` all data are
    dropped. `delay` is added to each piece of data, in seconds. `corrupt` is the share of the RTP
    packets of an RTSP server in which a random byte is changed; their framing is kept, because no
    network damages it.
    """

    def __init__(self, target: int) -> None:
        self.delay = self.corrupt = 0.0
        self.hole = False
        self.accepted = self.corrupted = 0
        self._target, self._sockets = target, set[socket.socket]()
        self._lock, self._random = threading.Lock(), random.Random(0)
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.heal()

    def heal(self) -> None:
        self.hole = False
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.break_off()

    def break_off(self) -> None:
        """Break all connections; new ones are accepted."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                with self._lock:
                    self._sockets |= {client, server}
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, harm: bool) -> None:
        framing = Framing()
        with suppress(OSError):
            while data := source.recv(16_384):
                time.sleep(self.delay)
                if self.hole:
                    continue
                pieces = framing.cut(data) if harm else [(data, b"")]
                target.sendall(b"".join(head + self._corrupted(packet) for head, packet in pieces))
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            with self._lock:
                self._sockets.discard(each)

    def _corrupted(self, packet: bytes) -> bytes:
        if not packet or self._random.random() >= self.corrupt:
            return packet
        self.corrupted += 1
        corrupted = bytearray(packet)
        corrupted[self._random.randrange(len(packet))] ^= self._random.randrange(1, 256)
        return bytes(corrupted)

    def __enter__(self) -> "ChaosProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
