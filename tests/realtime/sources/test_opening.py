"""open_source(), image folders, and the contract of all sources."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources import camera
from rtmag.realtime.sources.camera import CameraSource
from rtmag.realtime.sources.image_folder import ImageFolderSource
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.reconnecting import ReconnectingSource
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.sources.source import FrameSource
from rtmag.realtime.sources.video_file import VideoSource
from tests.realtime.sources.test_camera import FakeCapture

MakeClip = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1 to 12; the alphabetical order of their names differs from the numerical one."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(1, 13):
        cv2.imwrite(str(pictures / f"b{number}.png"), np.full((48, 64, 3), 10 * number, np.uint8))
    (pictures / "notes.txt").write_text("no picture")
    return pictures


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Camera 0, 'HD Webcam', and camera 2, 'Microscope'."""
    fake = type("Fake", (FakeCapture,), {"made": [], "present": (0, 2)})
    monkeypatch.setattr(cv2, "VideoCapture", fake)
    monkeypatch.setattr(camera, "_DEVICES", tmp_path / "devices")
    monkeypatch.setattr(sys, "platform", "linux")
    for number, name in [(0, "HD Webcam"), (2, "Microscope")]:
        device = tmp_path / "devices" / f"video{number}"
        device.mkdir(parents=True)
        (device / "index").write_text("0")
        (device / "name").write_text(name)


class TestSpecs:
    @pytest.mark.parametrize("spec", [0, "0", "webcam", "HD WEB"])
    def test_camera(self, cameras: None, spec: str | int) -> None:
        with open_source(spec) as source:
            assert isinstance(source, ReconnectingSource)
            assert source.name == "camera 0 (HD Webcam)"

    def test_camera_by_a_part_of_its_name(self, cameras: None) -> None:
        with open_source("micro") as source:
            assert source.name == "camera 2 (Microscope)"

    def test_video(self, clip: MakeClip) -> None:
        path = clip(frames=2)
        for spec in (path, str(path)):
            with open_source(spec) as source:
                assert isinstance(source, VideoSource)

    def test_folder(self, folder: Path) -> None:
        with open_source(folder, fps=25) as source:
            assert isinstance(source, ImageFolderSource)
            assert (source.fps, source.frames, source.size) == (25, 12, (64, 48))

    def test_glob(self, folder: Path) -> None:
        with open_source(str(folder / "b1?.png")) as source:
            assert [int(frame.image[0, 0, 0]) for frame in source] == [100, 110, 120]

    def test_brackets_in_a_name(self, clip: MakeClip) -> None:
        assert open_source(clip("a[1].mp4")).name == "a[1].mp4"

    def test_scene(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "test").mkdir()
        monkeypatch.chdir(tmp_path)
        with open_source("test", size=(320, 240), fps=60) as source:
            assert isinstance(source, SceneSource)
            assert (source.size, source.fps) == ((320, 240), 60)

    @pytest.mark.parametrize("spec", ["nowhere", "", "a\nb", "\0", "1234"])
    def test_unknown_names_list_the_cameras(self, cameras: None, spec: str) -> None:
        with pytest.raises(SourceUnavailable) as caught:
            open_source(spec)
        assert str(caught.value) == (
            f"cannot open {spec!r}: no such file, folder or camera "
            "(cameras: camera 0 (HD Webcam), camera 2 (Microscope)); "
            "a network address begins with rtsp://, http:// or the like"
        )

    @pytest.mark.parametrize("spec", ["nowhere.mp4", str(Path("no") / "where"), "*.png"])
    def test_missing_paths(
        self, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SourceUnavailable, match="cannot open"):
            open_source(spec)

    @pytest.mark.parametrize(
        "address",
        [
            "concat:a.mp4|b.mp4",
            "subfile,,start,0,end,9,,:a.mp4",
            "file:a.mp4",
            "pipe:0",
            "lavfi:testsrc",
        ],
    )
    def test_ffmpeg_protocols_are_refused(self, address: str) -> None:
        """S08: text that FFmpeg would read as a protocol is the name of a missing file."""
        with pytest.raises(SourceUnavailable, match="no such file"):
            open_source(address)

    def test_a_broken_link(self, tmp_path: Path) -> None:
        (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
        with pytest.raises(SourceUnavailable, match="no such file"):
            open_source(tmp_path / "link.mp4")


class TestImages:
    def test_natural_order_and_constant_rate(self, folder: Path) -> None:
        with ImageFolderSource(folder, fps=10) as source:
            frames = list(source)
        assert [int(frame.image[0, 0, 0]) for frame in frames] == [10 * n for n in range(1, 13)]
        assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(12)])

    def test_deep_and_transparent_pictures_become_8_bit_bgr(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 4), 30_000, np.uint16))
        image = next(iter(ImageFolderSource(tmp_path))).image
        assert image.shape == (4, 6, 3)
        assert image.dtype == np.dtype(np.uint8)

    def test_broken_pictures_do_not_shift_the_others(self, folder: Path) -> None:
        (folder / "b3.png").write_bytes(b"\x89PNG broken")
        (folder / "b4.png").write_bytes(b"")
        with ImageFolderSource(folder) as source:
            assert [frame.index for frame in source] == [0, 1, *range(4, 12)]
            assert source.damaged == 2

    def test_folders_without_readable_pictures_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceUnavailable, match="it contains no pictures"):
            ImageFolderSource(tmp_path)
        (tmp_path / "a.png").write_bytes(b"no")
        with pytest.raises(SourceUnavailable, match="none of its pictures can be read"):
            ImageFolderSource(tmp_path)
        with pytest.raises(SourceUnavailable, match="it is not a readable folder"):
            ImageFolderSource(tmp_path / "gone")
        with pytest.raises(OptionError, match="fps = 0"):
            ImageFolderSource(tmp_path, fps=0)


class TestContract:
    """Properties of all sources."""

    @pytest.fixture(params=["video", "images", "scene", "camera"])
    def source(
        self, request: pytest.FixtureRequest, clip: MakeClip, folder: Path, cameras: None
    ) -> Iterator[FrameSource]:
        make: dict[str, Callable[[], Any]] = {
            "video": lambda: VideoSource(clip(frames=12)),
            "images": lambda: ImageFolderSource(folder),
            "scene": lambda: SceneSource(size=(64, 48), frames=12),
            "camera": lambda: CameraSource(0),
        }
        with make[request.param]() as source:
            yield source

    def test_time_and_index_increase(self, source: FrameSource) -> None:
        frames = [frame for frame, _ in zip(source, range(12), strict=False)]
        assert len(frames) == 12
        assert frames[0].index == 0
        assert all(np.diff([frame.index for frame in frames]) > 0)
        assert all(np.diff([frame.time for frame in frames]) > 0)

    def test_frames_have_the_promised_format(self, source: FrameSource) -> None:
        frame = next(iter(source))
        assert frame.size == source.size == (64, 48)
        assert frame.image.dtype == np.dtype(np.uint8)
        assert frame.image.shape[2] == 3
        assert frame.image.flags.c_contiguous
        assert frame.image.flags.writeable
        assert source.name
        assert source.live == (source.frames is None)

    def test_image_memory_is_not_reused(self, source: FrameSource) -> None:
        first, second = (frame for frame, _ in zip(source, range(2), strict=False))
        assert not np.shares_memory(first.image, second.image)

    def test_closing_twice_and_reading_after(self, source: FrameSource) -> None:
        next(iter(source))
        source.close()
        source.close()
        assert list(source) == []

    def test_closing_while_reading(self, source: FrameSource) -> None:
        seen = 0
        for frame in source:
            seen += 1
            if frame.index == 3:
                source.close()
        assert seen == 4
