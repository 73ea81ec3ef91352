import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources import camera
from rtmag.realtime.sources.camera import CameraInfo, CameraSource, current_index, list_cameras


class FakeCapture:
    """A fake camera; its behaviour is set by class attributes, because the source creates it."""

    present: tuple[int, ...] = (0,)
    bad: frozenset[int] = frozenset()
    """Numbers of the reads that fail."""
    frames = 10**9
    """Number of reads after which all fail."""
    every = 0.001
    channels = 3
    refuses: frozenset[int] = frozenset()
    """Settings that it refuses."""
    made: "list[FakeCapture]"

    def __init__(self, index: int, backend: int = 0) -> None:
        self.index, self.backend = index, backend
        self.settings: list[tuple[int, Any]] = []
        self.readings = 0
        self.released = False
        type(self).made.append(self)

    def isOpened(self) -> bool:
        return self.index in self.present

    def set(self, key: int, value: Any) -> bool:
        self.settings.append((key, value if key not in self.refuses else None))
        return key not in self.refuses

    def get(self, key: int) -> Any:
        return dict(self.settings).get(key, 0)

    def grab(self) -> bool:
        time.sleep(self.every)
        self.readings += 1
        return self.readings - 1 not in self.bad and self.readings <= self.frames

    def retrieve(self) -> tuple[bool, Any]:
        shape = (48, 64) if self.channels == 1 else (48, 64, 3)
        return True, np.full(shape, self.readings % 256, np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeCapture]:
    """Two cameras, 0 and 2; the first one works."""
    fake = type("Fake", (FakeCapture,), {"made": []})
    monkeypatch.setattr(cv2, "VideoCapture", fake)
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(camera, "_PAUSE", 0.001)
    for number, index, name in [
        (0, 0, "HD Webcam: HD Webcam"),
        (1, 1, "HD Webcam: metadata"),
        (2, 0, "Microscope"),
    ]:
        device = tmp_path / f"video{number}"
        device.mkdir()
        (device / "index").write_text(f"{index}\n")
        (device / "name").write_text(f"{name}\n")
    return fake


def test_frames_are_live_and_timed(capture: type[FakeCapture]) -> None:
    before = time.monotonic()
    with CameraSource(0) as source:
        assert (source.name, source.size) == ("camera 0 (HD Webcam)", (64, 48))
        assert source.live
        assert source.frames is None
        frames = [frame for frame, _ in zip(source, range(20), strict=False)]
    assert [frame.index for frame in frames] == list(range(20))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == list(range(1, 21))
    assert all(np.diff([frame.time for frame in frames]) > 0)
    assert before < frames[0].time < frames[-1].time < time.monotonic()
    assert capture.made[-1].released


def test_rate_is_measured(capture: type[FakeCapture]) -> None:
    capture.every = 0.01
    with CameraSource(0, fps=1000) as source:
        assert source.fps is None
        for _ in zip(source, range(30), strict=False):
            pass
        assert source.fps is not None
        assert 50 < source.fps < 110


def test_the_compressed_format_is_set_before_size_and_buffer(capture: type[FakeCapture]) -> None:
    CameraSource(0, size=(1280, 720), fps=60).close()
    settings = capture.made[-1].settings
    assert [key for key, _ in settings] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
        cv2.CAP_PROP_BUFFERSIZE,
    ]
    assert settings[0][1] == cv2.VideoWriter.fourcc(*"MJPG")
    assert capture.made[-1].backend == cv2.CAP_V4L2


def test_grey_cameras_yield_three_channels(capture: type[FakeCapture]) -> None:
    capture.channels = 1
    with CameraSource(0) as source:
        assert next(iter(source)).image.shape == (48, 64, 3)


def test_single_failures_are_skipped(capture: type[FakeCapture]) -> None:
    capture.bad = frozenset({0, 3, 4, 5, 9})
    with CameraSource(0) as source:
        frames = [frame for frame, _ in zip(source, range(10), strict=False)]
    assert [frame.index for frame in frames] == list(range(10))


def test_an_unplugged_camera_raises_source_lost(capture: type[FakeCapture]) -> None:
    capture.frames = 7
    seen: list[int] = []
    with (
        CameraSource(0) as source,
        pytest.raises(SourceLost, match=r"camera 0 \(HD Webcam\) is lost"),
    ):
        seen.extend(frame.index for frame in source)
    assert seen == list(range(7))


def test_missing_camera_lists_the_others(capture: type[FakeCapture]) -> None:
    with pytest.raises(SourceUnavailable, match=r"^cannot open camera 3 \(found: 0, 2\)$"):
        CameraSource(3)
    assert all(made.released for made in capture.made)


def test_a_camera_in_use_is_reported(capture: type[FakeCapture]) -> None:
    with pytest.raises(SourceUnavailable, match=r"cannot open camera 2: it is in use, or"):
        CameraSource(2)


def test_a_camera_without_pictures_is_refused(capture: type[FakeCapture]) -> None:
    capture.frames = 0
    with pytest.raises(SourceUnavailable, match="it returns no picture"):
        CameraSource(0)
    assert capture.made[-1].released


def test_no_camera_at_all(
    capture: type[FakeCapture], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    capture.present = ()
    monkeypatch.setattr(camera, "_DEVICES", tmp_path / "none")
    with pytest.raises(SourceUnavailable, match="no camera found; try: rtmag demo"):
        CameraSource(0)
    assert list_cameras() == []


def test_the_list_leaves_out_metadata_devices(capture: type[FakeCapture]) -> None:
    assert list_cameras() == [CameraInfo(0, "HD Webcam"), CameraInfo(2, "Microscope")]
    assert capture.made == []
    assert [str(info) for info in list_cameras()] == [
        "camera 0 (HD Webcam)",
        "camera 2 (Microscope)",
    ]


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_the_list_probes_indices_on_other_systems(
    capture: type[FakeCapture], monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    capture.present = (1, 4)
    monkeypatch.setattr(sys, "platform", platform)
    assert [str(info) for info in list_cameras()] == ["camera 1", "camera 4"]
    assert all(made.released for made in capture.made)


def test_closing_from_another_thread_ends_the_iteration(capture: type[FakeCapture]) -> None:
    source = CameraSource(0)
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.extend(frame.index for frame in source))
    thread.start()
    time.sleep(0.05)
    source.close()
    thread.join(2)
    assert not thread.is_alive()
    assert seen
    source.close()
    assert list(source) == []


def test_opencv_prints_nothing_and_keeps_its_log_level(capture: type[FakeCapture]) -> None:
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV 5, 4
    level = logging.getLogLevel()
    CameraSource(0).close()
    assert logging.getLogLevel() == level


def test_exposure_and_white_balance_are_locked(capture: type[FakeCapture]) -> None:
    with CameraSource(0, lock_exposure=True) as source:
        assert source.refused == ()
    settings = capture.made[-1].settings
    assert (cv2.CAP_PROP_AUTO_EXPOSURE, 1.0) in settings
    assert (cv2.CAP_PROP_AUTO_WB, 0.0) in settings


def test_settings_that_the_camera_refuses_are_listed(capture: type[FakeCapture]) -> None:
    capture.refuses = frozenset({cv2.CAP_PROP_AUTO_EXPOSURE})
    with CameraSource(0, lock_exposure=True) as source:
        assert source.refused == ("automatic exposure",)


def test_the_pixel_format_can_be_chosen(capture: type[FakeCapture]) -> None:
    CameraSource(0, pixel_format="yuyv").close()
    assert capture.made[-1].settings[0] == (
        cv2.CAP_PROP_FOURCC,
        cv2.VideoWriter.fourcc(*"YUYV"),
    )
    with pytest.raises(OptionError, match="four letters"):
        CameraSource(0, pixel_format="H.264")


def test_a_camera_with_another_index_is_found_by_its_name(
    capture: type[FakeCapture], tmp_path: Path
) -> None:
    assert current_index("Microscope", 2) == 2
    (tmp_path / "video2").rename(tmp_path / "video5")
    assert current_index("Microscope", 2) == 5
    assert current_index("", 2) == 2
