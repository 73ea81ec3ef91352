"""All protocols of live streams, with FFmpeg as the sender in a process of its own."""

import http.server
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.errors import SourceAbsent, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.network import NetworkSource
from tests.support.servers import free_port

FPS = 25
BOUNDARY = "-content_type multipart/x-mixed-replace;boundary=ffmpeg"
CAMERA = (
    "ffmpeg -loglevel error -re -f lavfi -i testsrc=size=160x120:rate=25 -c:v {codec} "
    "-g 25 -pix_fmt {pixels} {more} -f {form} {options} {address}"
)


@contextmanager
def sending(address: str, form: str, options: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """Run FFmpeg as a camera."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the program ffmpeg")
    jpeg = form == "mpjpeg"
    run = CAMERA.format(
        address=address,
        form=form,
        options=options,
        codec="mjpeg" if jpeg else "libx264",
        pixels="yuvj420p" if jpeg else "yuv420p",
        more="" if jpeg else "-preset ultrafast -tune zerolatency",
    )
    with subprocess.Popen(run.split(), stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def opened(address: str, camera: "subprocess.Popen[bytes]") -> NetworkSource:
    """Open the stream as soon as the camera is ready."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return NetworkSource(address, timeout=10)
        except SourceAbsent:
            assert camera.poll() is None
            assert time.monotonic() < deadline
        time.sleep(0.2)


def watch(address: str, camera: "subprocess.Popen[bytes]") -> None:
    """Check that frames are new, have the right size and, after a while, the camera's rate."""
    with opened(address, camera) as source:
        assert source.size == (160, 120)
        begun, frames = time.monotonic(), list[Frame]()
        for frame in source:
            frames.append(frame)
            # Data sent while FFmpeg analysed the stream come in a burst.
            steps = np.diff([each.time for each in frames])
            if len(steps) > 2 * FPS and 0.75 < np.median(steps[-FPS:]) * FPS < 1.25:
                break
            assert time.monotonic() - begun < 30, steps[-FPS:]
    assert (steps > 0).all()
    assert len(frames) > 2 * FPS
    assert not np.array_equal(frames[0].image, frames[-1].image)


@pytest.mark.parametrize(
    ("address", "form", "options"),
    [
        ("udp://127.0.0.1:{port}", "mpegts", ""),
        ("tcp://127.0.0.1:{port}", "mpegts", "-listen 1"),
        ("rtmp://127.0.0.1:{port}/live/camera", "flv", "-listen 1"),
        ("http://127.0.0.1:{port}/live.ts", "mpegts", "-listen 1"),
        ("http://127.0.0.1:{port}/video", "mpjpeg", BOUNDARY + " -listen 1"),
    ],
    ids=["udp", "tcp", "rtmp", "http", "mjpeg"],
)
def test_a_camera_with_protocol(address: str, form: str, options: str) -> None:
    address = address.format(port=free_port())
    with sending(address, form, options) as camera:
        watch(address, camera)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("segments", ["mpegts", "fmp4"])
def test_live_hls(segments: str, tmp_path: Path) -> None:
    """A live playlist, whose old segments are deleted."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))
    )
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        options = "-hls_time 1 -hls_list_size 4 -hls_flags delete_segments"
        options += f" -hls_segment_type {segments}"
        with sending(str(tmp_path / "live.m3u8"), "hls", options) as camera:
            deadline = time.monotonic() + 30
            while len(list(tmp_path.glob("*.ts")) + list(tmp_path.glob("*.m4s"))) < 4:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            watch(f"http://127.0.0.1:{server.server_address[1]}/live.m3u8", camera)
        server.shutdown()
        thread.join()


def test_srt_is_not_in_this_build() -> None:
    """SRT can be listed in the README as soon as this test fails."""
    with pytest.raises(SourceUnavailable, match="E-PROTOCOL"):
        NetworkSource("srt://127.0.0.1:9?mode=caller", timeout=1)
