import os
import shutil
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.media.colour import UNSPECIFIED, Colour, Matrix
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import (
    BLUE,
    Clip,
    coloured_y4m,
    comb,
    fields,
    flat,
    number,
    packets,
    smooth,
)

MakeClip = Callable[..., Path]


def numbers(source: VideoSource) -> list[int]:
    return [number(frame.image) for frame in source]


def test_every_frame_is_read_once_in_order_and_again_in_a_second_iteration(clip: MakeClip) -> None:
    with VideoSource(clip(frames=25)) as source:
        assert (source.size, source.frames, source.live) == ((64, 48), 25, False)
        assert source.fps == pytest.approx(30)
        assert source.seconds == pytest.approx(25 / 30)
        assert numbers(source) == [i % 12 for i in range(25)]
        assert [frame.index for frame in source] == list(range(25))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.mov"])
def test_formats(clip: MakeClip, name: str) -> None:
    codec = "mpeg4" if name == "a.avi" else "libx264"
    with VideoSource(clip(name, frames=20, codec=codec)) as source:
        assert source.frames == 20
        assert numbers(source) == [i % 12 for i in range(20)]
        assert source.fps == pytest.approx(30, rel=2e-3)


@pytest.mark.parametrize(
    ("ticks", "base", "fps"),
    [
        ([1001 * i for i in range(30)], Fraction(1, 24000), 24000 / 1001),
        (list(range(30)), Fraction(1, 1000), 1000.0),
        ([0, 16, 49, 149, 199, 249, 299, 315], Fraction(1, 1000), 7 / 0.315),
        ([round(i * 1000 / 30) for i in range(60)], Fraction(1, 1000), 30.0),
        (list(range(4)), Fraction(1, 1), 1.0),
    ],
    ids=["23.976", "1000", "variable", "30 in milliseconds", "1"],
)
def test_rate_is_measured_from_timestamps(
    clip: MakeClip, ticks: list[int], base: Fraction, fps: float
) -> None:
    """I06."""
    for name in ("a.mp4", "a.mkv"):
        with VideoSource(clip(name, ticks=ticks, time_base=base)) as source:
            assert source.fps == pytest.approx(fps, rel=2e-3)
            times = [frame.time for frame in source]
        assert times == pytest.approx([float(tick * base) for tick in ticks], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "base", "ticks", "fps"),
    [
        ("phone.mov", "libx264", 600, [2, 3], 240.0),
        ("film.mp4", "libx264", 60, [3, 2], 24.0),
        ("webcam.mp4", "libx264", 90_000, [1800, 4200], 30.0),
        ("dropped.avi", "mpeg4", 30, [1, 1, 1, 2], 30.0),
        ("fast.mkv", "libx264", 1000, [2, 1, 2], 600.0),
        ("fast.flv", "flv1", 1000, [2, 3], 400.0),
    ],
)
def test_rate_is_that_of_many_steps(
    name: str, codec: str, base: int, ticks: list[int], fps: float, clip: MakeClip
) -> None:
    """Steps that the clock rounds, that alternate, or that miss frames."""
    stamps = np.cumsum([0, *np.resize(ticks, 96)]).tolist()
    path = clip(name, ticks=stamps, time_base=Fraction(1, base), codec=codec)
    with VideoSource(path) as source:
        assert source.fps == pytest.approx(fps, rel=0.005)
        assert source.highest_fps == source.fps


def test_frames_know_how_coarse_their_clock_is(clip: MakeClip) -> None:
    """A clock of one tick per frame does not round."""
    ticks = {"a.mkv": 0.001, "a.avi": 0.0}
    for name, tick in ticks.items():
        with VideoSource(clip(name, codec="mpeg4", frames=3)) as source:
            assert [frame.tick for frame in source] == [tick] * 3


def test_a_late_first_timestamp_is_kept(clip: MakeClip) -> None:
    with VideoSource(clip(ticks=range(30, 40))) as source:
        assert [f.time for f in source] == pytest.approx([i / 30 for i in range(30, 40)])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_b_frames_are_read_in_display_order(clip: MakeClip, codec: str) -> None:
    with VideoSource(clip(frames=24, codec=codec, options={"bf": "2", "b": "4000000"})) as source:
        assert numbers(source) == [i % 12 for i in range(24)]
        assert source.frames == 24


def in_order_of_decoding(source: Path, target: Path) -> Path:
    """Copy the packets of a file at 30 fps; the times of display become those of decoding."""
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        first = given.streams.video[0]
        stream = output.add_stream_from_template(first)
        # AVI holds H.264 with start codes.
        start_codes = BitStreamFilterContext("h264_mp4toannexb", first)
        for index, packet in enumerate(p for p in given.demux(first) if p.size):
            filtered = start_codes.filter(packet) if target.suffix == ".avi" else [packet]
            for each in filtered:
                each.pts, each.dts, each.duration = index, index, 1
                each.time_base, each.stream = Fraction(1, 30), stream
            output.mux(filtered)
    return target


@pytest.mark.parametrize("kind", ["avi", "mp4", "mkv", "flv"])
def test_times_of_decoding_are_put_in_order(kind: str, clip: MakeClip, tmp_path: Path) -> None:
    """B-frames without times of display, as OpenCV writes them and as AVI stores them."""
    options = {"bf": "3", "b_strategy": "0", "sc_threshold": "0", "g": "12"}
    given = clip("in.mp4", frames=40, options=options, picture=_noise)
    with VideoSource(in_order_of_decoding(given, tmp_path / f"out.{kind}")) as source:
        frames = list(source)
        assert source.fps == pytest.approx(30, rel=5e-3)
    assert [number(frame.image) for frame in frames] == [i % 12 for i in range(40)]
    assert [frame.time for frame in frames] == pytest.approx(np.arange(40) / 30, abs=2e-3)


def test_damage_does_not_shift_times_of_decoding_beyond_a_key_picture(
    clip: MakeClip, tmp_path: Path
) -> None:
    options = {
        "bf": "2",
        "b_strategy": "0",
        "g": "12",
        "sc_threshold": "0",
        "x264-params": "open-gop=0",
    }
    given = clip("in.mp4", frames=48, options=options, picture=_noise)
    path = in_order_of_decoding(given, tmp_path / "a.avi")
    seventh = packets(path, "video")[6][1]
    path.write_bytes(path.read_bytes().replace(seventh, bytes(len(seventh))))
    with VideoSource(path) as source:
        times = [frame.time for frame in source if number(frame.image) == 0]
    assert times[1:] == pytest.approx([0.4, 0.8, 1.2], abs=2e-3)


def test_packets_without_data_repeat_a_picture(clip: MakeClip, tmp_path: Path) -> None:
    """Theora writes them for pictures that do not change; they are no damage."""
    path = tmp_path / "out.nut"
    with av.open(str(clip("in.mp4", frames=9))) as given, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(p for p in given.demux(video=0) if p.size):
            empty = av.Packet()
            for each, tick in ((packet, 2 * index), (empty, 2 * index + 1)):
                each.pts = each.dts = tick
                each.time_base, each.stream = Fraction(1, 60), stream
                output.mux(each)
    with VideoSource(path) as source:
        frames = list(source)
        assert source.damaged == 0
    assert [number(frame.image) for frame in frames] == list(range(9))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(9) / 30, abs=2e-3)


def test_one_frame(clip: MakeClip) -> None:
    with VideoSource(clip(frames=1)) as source:
        assert (source.frames, numbers(source)) == (1, [0])


@pytest.mark.parametrize("size", [(321, 241), (17, 3), (2, 2), (1, 1), (4096, 16), (48, 64)])
def test_sizes(clip: MakeClip, size: tuple[int, int]) -> None:
    """I04."""
    path = clip(frames=3, size=size, pixel_format="yuv444p")
    with VideoSource(path) as source:
        assert [frame.size for frame in source] == [size] * 3


def _corner(index: int, size: tuple[int, int]) -> Any:
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[: size[1] // 2, : size[0] // 2] = 240
    picture[: size[1] // 2, size[0] // 2 :] = 120
    return picture


@pytest.mark.parametrize(
    ("rotation", "size", "quarters"),
    [
        ((0, False, False), (96, 64), "WG..".replace("W", "2").replace("G", "1")),
        ((90, False, False), (64, 96), "1.2."),
        ((180, False, False), (96, 64), "..12"),
        ((270, False, False), (64, 96), ".2.1"),
        ((0, True, False), (96, 64), "12.."),
        ((0, False, True), (96, 64), "..21"),
        ((90, True, False), (64, 96), ".1.2"),
    ],
)
def test_pictures_are_upright(
    clip: MakeClip, rotation: Any, size: tuple[int, int], quarters: str
) -> None:
    """I08."""
    with VideoSource(clip(frames=2, size=(96, 64), rotation=rotation, picture=_corner)) as source:
        image = next(iter(source)).image
        assert source.size == size
        assert image.shape[1::-1] == size
        assert image.flags.c_contiguous
    half = image.shape[0] // 2, image.shape[1] // 2
    parts = [
        image[half[0] * y :, half[1] * x :][: half[0], : half[1]] for y in (0, 1) for x in (0, 1)
    ]
    assert "".join(".12"[round(float(part.mean()) / 120)] for part in parts) == quarters


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12"],
)
def test_pixel_formats(clip: MakeClip, pixel_format: str) -> None:
    """I07."""
    with VideoSource(clip(frames=3, pixel_format=pixel_format)) as source:
        for index, frame in enumerate(source):
            assert frame.image.dtype == np.uint8
            assert number(frame.image) == index


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [("gif", "rgb8", "a.gif"), ("ffv1", "bgra", "a.mkv"), ("ffv1", "gray", "a.mkv")],
)
def test_rgb_and_gray_count_as_bt709(
    clip: MakeClip, codec: str, pixel_format: str, name: str
) -> None:
    path = clip(name, frames=4, fps=Fraction(10), codec=codec, pixel_format=pixel_format)
    with VideoSource(path) as source:
        assert source.colour == Colour()
        assert numbers(source) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "tags", [(1, 1, 1, 1), (2, 1, 1, 13), (1, 5, 5, 6), (2, 6, 6, 6), (1, 9, 9, 16)]
)
def test_colours_follow_the_tags(clip: MakeClip, tags: tuple[int, int, int, int]) -> None:
    """I07."""
    path = clip(frames=2, size=(160, 120), tags=tags, picture=smooth, options={"crf": "4"})
    with VideoSource(path) as source:
        assert source.colour == Colour(*tags)
        assert source.colour.hdr == (tags[3] == 16)
        image = next(iter(source)).image
    difference = image.astype(int) - smooth(0, (160, 120))
    assert np.abs(difference).mean() < 1.5


def test_an_unknown_matrix_is_read_as_bt601(clip: MakeClip) -> None:
    path = clip(frames=2, tags=(1, 8, 1, 1))
    with VideoSource(path) as source:
        assert len(list(source)) == 2
        assert source.colour.writable == Colour()


@pytest.mark.parametrize(("matrix", "tag"), [(None, 6), ("bt709", 1), ("bt2020", 9)])
def test_the_matrix_of_a_y4m_file_can_be_given(
    matrix: Matrix | None, tag: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(coloured_y4m(tag))
    with VideoSource(path, matrix=matrix) as source:
        assert source.notes == ()
        assert source.colour.colorspace == (tag if matrix else UNSPECIFIED)
        for frame in source:
            assert frame.image[24, 32].astype(int) == pytest.approx(BLUE, abs=3)


def test_a_stated_matrix_has_priority_over_a_given_one(clip: MakeClip) -> None:
    path = clip(frames=2, size=(160, 120), tags=(1, 1, 1, 1), picture=smooth)
    rgb = clip("rgb.mkv", frames=2, codec="ffv1", pixel_format="bgr0", picture=smooth)
    for each, tags in ((path, Colour()), (rgb, Colour())):
        with VideoSource(each, matrix="bt601") as source, VideoSource(each) as usual:
            assert source.notes == (
                "states the matrix of its colours, so it is not set by --matrix",
            )
            assert source.colour == tags
            assert np.array_equal(next(iter(source)).image, next(iter(usual)).image)


@pytest.mark.parametrize("deinterlace", [True, False])
def test_interlaced_frames_are_deinterlaced_unless_refused(
    deinterlace: bool, clip: MakeClip
) -> None:
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1", "crf": "4"}
    path = clip("a.mkv", frames=12, size=(160, 128), picture=fields, options=options)
    with VideoSource(path, deinterlace=deinterlace) as source:
        frames = list(source)
    assert source.damaged == 0
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 30, abs=1e-3)
    said = "deinterlaced" if deinterlace else "looks like motion"
    assert len(source.notes) == 1
    assert said in source.notes[0]
    combed = comb(frames[6].image)
    assert combed < 3 if deinterlace else combed > 10


def test_frames_before_a_damaged_end_are_not_lost_by_deinterlacing(clip: MakeClip) -> None:
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1"}
    path = clip("a.mkv", frames=12, size=(160, 128), options=options)
    path.write_bytes(path.read_bytes()[:-40])
    counts = []
    for deinterlace in (True, False):
        with VideoSource(path, deinterlace=deinterlace) as source:
            frames = iter(source)
            count = 0
            with pytest.raises(SourceLost):
                for _ in frames:
                    count += 1
            counts.append(count)
    assert counts[0] == counts[1] > 5


def test_audio_is_detected(clip: MakeClip) -> None:
    assert VideoSource(clip("a.mp4", audio=["aac"])).has_audio
    assert not VideoSource(clip("b.mp4")).has_audio


def test_size_changes_are_delivered(clip: MakeClip, tmp_path: Path) -> None:
    small = clip("a.ts", frames=5)
    large = clip("b.ts", ticks=range(5, 10), size=(128, 96))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with VideoSource(joined) as source:
        sizes = [frame.size for frame in source]
    assert sizes == [(64, 48)] * 5 + [(128, 96)] * 5


def test_time_increases_across_a_discontinuity(clip: MakeClip, tmp_path: Path) -> None:
    late, early = clip("a.ts", ticks=range(3000, 3010)), clip("b.ts", frames=10)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(late.read_bytes() + early.read_bytes())
    with VideoSource(joined) as source:
        times = [frame.time for frame in source]
    assert len(times) == 20
    assert np.diff(times) == pytest.approx(np.full(19, 1 / 30), abs=1e-3)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_closing_ends_the_iteration_and_frees_the_file(clip: MakeClip) -> None:
    source = VideoSource(clip(frames=20))
    before = open_files()
    for frame in source:
        if frame.index == 3:
            break
    source.close()
    source.close()
    assert list(source) == []
    assert open_files() == before


class TestRefusals:
    def refusal(self, path: Path) -> str:
        start = time.monotonic()
        with pytest.raises(SourceUnavailable) as caught:
            VideoSource(path)
        assert time.monotonic() - start < 1
        message = str(caught.value)
        assert "\n" not in message
        return message

    def test_missing(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path / "no.mp4").endswith("no.mp4': no such file")

    def test_folder(self, tmp_path: Path) -> None:
        assert "is a folder" in self.refusal(tmp_path)

    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.touch()
        assert "is empty" in self.refusal(path)

    @pytest.mark.parametrize("text", ["hello\n" * 40, "#EXTM3U\nfile:///etc/passwd\n", "v=0\n"])
    def test_text(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "a.mp4"
        path.write_text(text)
        assert "not a video" in self.refusal(path)

    def test_playlist_in_disguise(self, clip: MakeClip, tmp_path: Path) -> None:
        """I01, S08."""
        clip("ok.mp4")
        path = tmp_path / "list.mp4"
        path.write_text("ffconcat version 1.0\nfile 'ok.mp4'\n")
        assert "not a video" in self.refusal(path)

    def test_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        assert "picture" in self.refusal(path)

    def test_an_mp4_without_index(self, clip: MakeClip) -> None:
        """I02."""
        path = clip()
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert "incomplete" in self.refusal(path)

    def test_audio_only(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w") as output:
            Clip()._play(output, Clip()._sound(output, "aac"), 1.0)
        assert "audio only" in self.refusal(path)

    def test_no_frames(self, clip: MakeClip) -> None:
        path = clip("a.mkv", frames=0, container={})
        assert self.refusal(path)

    def test_pictures_that_are_all_broken(self, clip: MakeClip) -> None:
        path = clip("a.avi", codec="mjpeg", pixel_format="yuvj420p", frames=5)
        for _, content in packets(path, "video"):
            path.write_bytes(path.read_bytes().replace(content, bytes(len(content))))
        assert "none of its frames can be read" in self.refusal(path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos here")
    def test_fifo_and_socket(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        assert "not a regular file" in self.refusal(tmp_path / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "s"))
            assert "not a regular file" in self.refusal(tmp_path / "s")

    def test_permission(self, clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
        path = clip()
        path.chmod(0)
        if os.access(path, os.R_OK):
            monkeypatch.setattr(os, "access", lambda *_: False)
        assert "permission" in self.refusal(path)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    def test_a_small_file_that_claims_many_pixels(self, tmp_path: Path) -> None:
        """I05."""
        path = tmp_path / "bomb.gif"
        screen = struct.pack("<HH", 16000, 16000)
        path.write_bytes(
            b"GIF89a"
            + screen
            + b"\x80\0\0"
            + b"\0\0\0\xff\xff\xff"
            + b","
            + bytes(4)
            + screen
            + b"\0"
            + b"\x02\x02\x4c\x01\0;"
        )
        assert "16000x16000 is too large" in self.refusal(path)

    def test_limit(self, clip: MakeClip) -> None:
        path = clip(size=(64, 48))
        VideoSource(path, max_pixels=64 * 48)
        with pytest.raises(SourceUnavailable, match="64x48 is too large"):
            VideoSource(path, max_pixels=64 * 48 - 1)


def _noise(index: int, size: tuple[int, int]) -> Any:
    return flat(index, size) + np.random.default_rng(index).integers(
        0, 8, (*size[::-1], 1), np.uint8
    )


class TestDamage:
    def test_truncated_fragments_keep_their_good_frames(self, clip: MakeClip) -> None:
        """I02."""
        flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        path = clip(frames=60, container=flags, options={"g": "15"}, picture=_noise)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        source = VideoSource(path)
        seen: list[int] = []
        with pytest.raises(SourceLost, match=r"'clip.mp4' is damaged after frame \d+"):
            seen.extend(number(frame.image) for frame in source)
        assert 15 <= len(seen) < 60
        assert seen == [i % 12 for i in range(len(seen))]

    def test_truncated_after_its_index(self, clip: MakeClip) -> None:
        path = clip(frames=60, container={"movflags": "faststart"}, picture=_noise)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        source = VideoSource(path)
        seen: list[int] = []
        with pytest.raises(SourceLost):
            seen.extend(frame.index for frame in source)
        assert 20 < len(seen) < 60

    @pytest.mark.parametrize("percent", [30, 60, 95])
    @pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx")])
    def test_truncated_matroska_plays_to_its_end(
        self, suffix: str, codec: str, percent: int, clip: MakeClip
    ) -> None:
        """I02: FFmpeg itself reports no error."""
        path = clip(f"a.{suffix}", frames=60, codec=codec, picture=_noise)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * percent // 100])
        seen: list[int] = []
        with pytest.raises(SourceLost, match=rf"'a.{suffix}' is damaged after frame \d+"):
            seen.extend(frame.index for frame in VideoSource(path))
        assert 10 < len(seen) < 60

    @pytest.mark.parametrize("whole", [True, False])
    def test_recordings_of_unknown_size_count_as_complete(
        self, whole: bool, clip: MakeClip
    ) -> None:
        """Recordings of a killed process do not state their size."""
        path = clip("a.mkv", frames=60, container={"live": "1"}, picture=_noise)
        if not whole:
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        seen = [frame.index for frame in VideoSource(path)]
        assert (len(seen) == 60) == whole

    @pytest.mark.parametrize(("rate", "share"), [(1e-4, 0.97), (1e-3, 0.85), (1e-2, 0.5)])
    def test_random_damage(self, clip: MakeClip, rate: float, share: float) -> None:
        """I11, in small."""
        # With threads x264 writes other files on busy machines, and other frames are damaged.
        options = {"g": "15", "threads": "1"}
        path = clip("a.ts", frames=150, options=options, picture=_noise)
        clean = path.read_bytes()
        for seed in range(4):
            rng = np.random.default_rng(seed)
            data = np.frombuffer(clean, np.uint8).copy()
            hits = rng.integers(2000, len(data), int(len(data) * rate))
            data[hits] = rng.integers(0, 256, len(hits))
            path.write_bytes(data.tobytes())
            frames: list[Frame] = []
            with suppress(SourceLost, SourceUnavailable):
                frames.extend(VideoSource(path))
            assert len(frames) >= 150 * share
            assert all(np.diff([frame.time for frame in frames]) > 0)

    def test_single_broken_packet_is_counted(self, clip: MakeClip) -> None:
        path = clip("a.avi", codec="mjpeg", pixel_format="yuvj420p", frames=9)
        fifth = packets(path, "video")[4][1]
        path.write_bytes(path.read_bytes().replace(fifth, bytes(len(fifth))))
        source = VideoSource(path)
        assert numbers(source) == [0, 1, 2, 3, 5, 6, 7, 8]
        assert source.damaged == 1

    def test_same_bytes_same_frames(self, clip: MakeClip, tmp_path: Path) -> None:
        path = clip(frames=10, picture=smooth)
        copy = tmp_path / "ünï cödé %03d -x.mp4"
        shutil.copy(path, copy)
        for a, b in zip(VideoSource(path), VideoSource(copy), strict=True):
            assert np.array_equal(a.image, b.image)


def flagged(path: Path, *parts: tuple[int, tuple[int, int], Disposition]) -> Path:
    """Write a file of several video streams: the number of pictures, size and flags of each."""
    with av.open(str(path), "w") as output:
        streams: list[Any] = []
        for count, size, flags in parts:
            stream: Any = output.add_stream("libx264", rate=30, options={"crf": "12", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = flags
            streams.append((stream, count, size))
        for index in range(max(count for count, _, _ in parts)):
            for stream, count, size in streams:
                if index < count:
                    frame = av.VideoFrame.from_ndarray(flat(index, size), "bgr24")
                    frame.pts, frame.time_base = index, Fraction(1, 30)
                    output.mux(stream.encode(frame))
        for stream, _, _ in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_trimmed_files_begin_and_end_where_they_were_cut(clip: MakeClip, tmp_path: Path) -> None:
    """An edit list hides the pictures between the key picture and the cut."""
    whole, cut = clip("a.mp4", frames=90, options={"g": "30"}), tmp_path / "cut.mp4"
    trim = ["ffmpeg", "-v", "error", "-ss", "0.5", "-i", str(whole), "-t", "1", "-c", "copy"]
    subprocess.run([*trim, str(cut)], check=True)
    with VideoSource(cut) as source:
        frames = list(source)
    assert number(frames[0].image) == 15 % 12
    assert frames[0].time == 0
    assert source.frames == len(frames)
    assert 30 <= len(frames) <= 33  # pictures for the last ones come along
    assert source.damaged == 0


class TestSeveralStreams:
    SMALL, LARGE = (64, 48), (96, 64)
    NONE, DEFAULT = Disposition(0), Disposition.default

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_the_one_with_the_default_flag_is_read(self, name: str, tmp_path: Path) -> None:
        parts = (20, self.LARGE, self.NONE), (10, self.SMALL, self.DEFAULT)
        with VideoSource(flagged(tmp_path / name, *parts)) as source:
            assert (source.size, source.frames) == (self.SMALL, 10)
            assert source.notes == ("has 2 video streams; number 2 (64x48) is read",)
            assert numbers(source) == list(range(10))

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
    @pytest.mark.parametrize("order", ["01", "10"])
    def test_a_cover_picture_is_passed_over(
        self, order: str, clip: MakeClip, tmp_path: Path
    ) -> None:
        cover, out = tmp_path / "cover.jpg", tmp_path / "out.mp4"
        cv2.imwrite(str(cover), np.full((96, 128, 3), 50, np.uint8))
        add = ["ffmpeg", "-v", "error", "-i", str(clip(frames=10)), "-i", str(cover)]
        add += ["-c", "copy"]
        for index in order:
            add += ["-map", index]
        add += [f"-disposition:v:{order.index('1')}", "attached_pic", str(out)]
        subprocess.run(add, check=True)
        with VideoSource(out) as source:
            assert (source.size, source.notes) == (self.SMALL, ())
            assert numbers(source) == list(range(10))

    @pytest.mark.parametrize("name", ["a.avi", "a.ts", "a.mkv"])
    def test_without_a_flag_the_longest_is_read(self, name: str, tmp_path: Path) -> None:
        parts = (5, self.LARGE, self.NONE), (24, self.SMALL, self.NONE)
        with VideoSource(flagged(tmp_path / name, *parts)) as source:
            assert (source.size, source.frames) == (self.SMALL, 24)
            assert len(list(source)) == 24

    @pytest.mark.parametrize("name", ["a.avi", "a.ts"])
    def test_of_equally_long_ones_the_largest_is_read(self, name: str, tmp_path: Path) -> None:
        parts = (21, self.SMALL, self.NONE), (20, self.LARGE, self.NONE)
        with VideoSource(flagged(tmp_path / name, *parts)) as source:
            assert source.size == self.LARGE

    def test_a_thumbnail_is_passed_over_even_with_the_default_flag(self, tmp_path: Path) -> None:
        parts = (1, self.LARGE, self.DEFAULT), (10, self.SMALL, self.NONE)
        with VideoSource(flagged(tmp_path / "a.mkv", *parts)) as source:
            assert (source.size, source.frames) == (self.SMALL, 10)

    def test_a_single_stream_has_no_note(self, clip: MakeClip) -> None:
        assert VideoSource(clip(frames=3)).notes == ()


class TestDepth:
    @pytest.mark.parametrize(("pixel_format", "colours"), [("gray16le", 1), ("rgb48le", 3)])
    @pytest.mark.parametrize("bits", [10, 12, 16])
    def test_16_bit_pictures_are_scaled_by_the_values_of_the_file(
        self, pixel_format: str, colours: int, bits: int, tmp_path: Path
    ) -> None:
        levels = [2] * 20 + [130, 200]
        with av.open(str(tmp_path / "a.mkv"), "w") as output:
            stream: Any = output.add_stream("ffv1", rate=30)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "gray16le" if colours == 1 else "gbrp16le"
            for index, level in enumerate(levels):
                value = round(level * ((1 << bits) - 1) / 255)
                pixels = np.full((48, 64, 3)[: 2 if colours == 1 else 3], value, np.uint16)
                frame = av.VideoFrame.from_ndarray(pixels, pixel_format)
                frame.pts, frame.time_base = index, Fraction(1, 30)
                output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            output.mux(stream.encode(None))
        with VideoSource(tmp_path / "a.mkv") as source:
            assert source.notes == (
                f"has 16 bits per channel; its values 0 to {(1 << bits) - 1} become 0 to 255 in "
                "the output, which has 8",
            )
            images = [frame.image for frame in source]
        assert [round(float(image.mean())) for image in images] == levels
        assert np.ptp(images[-1]) <= 1

    def test_others_keep_their_scale(self, clip: MakeClip) -> None:
        with VideoSource(clip(frames=2, pixel_format="yuv420p10le")) as source:
            assert source.notes == ("has 10 bits per channel; the output has 8",)


def bare(path: Path, source: Path, bitstream_filter: str | None = None) -> Path:
    """Write the packets of a video one after the other, without a container."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        filters = BitStreamFilterContext(bitstream_filter, stream) if bitstream_filter else None
        with path.open("wb") as output:
            for packet in container.demux(stream):
                for part in filters.filter(packet) if filters else [packet]:
                    output.write(bytes(part))
    return path


class TestWithoutTimestamps:
    def h264(self, clip: MakeClip, tmp_path: Path) -> Path:
        video = clip(frames=20, fps=Fraction(25), options={"bf": "2"})
        return bare(tmp_path / "a.h264", video, "h264_mp4toannexb")

    def mjpeg(self, clip: MakeClip, tmp_path: Path) -> Path:
        video = clip("a.avi", frames=12, codec="mjpeg", pixel_format="yuvj420p")
        return bare(tmp_path / "a.mjpeg", video)

    def test_the_rate_in_the_header_is_used(self, clip: MakeClip, tmp_path: Path) -> None:
        with VideoSource(self.h264(clip, tmp_path)) as source:
            assert (source.fps, source.frames, source.notes) == (25, 20, ())
            assert source.seconds == pytest.approx(0.8)
            frames = list(source)
        assert [number(frame.image) for frame in frames] == [i % 12 for i in range(20)]
        assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(20)])

    def test_an_assumed_rate_is_named(self, clip: MakeClip, tmp_path: Path) -> None:
        with VideoSource(self.mjpeg(clip, tmp_path)) as source:
            assert source.fps == 30
            assert source.notes == (
                "has no timestamps; 30 frames/s are assumed, --fps sets another",
            )
            assert numbers(source) == list(range(12))

    def test_a_given_rate_has_priority(self, clip: MakeClip, tmp_path: Path) -> None:
        for path in (self.h264(clip, tmp_path), self.mjpeg(clip, tmp_path)):
            with VideoSource(path, fps=240) as source:
                assert (source.fps, source.notes) == (240, ())
                assert [frame.time for frame in source][:3] == pytest.approx([0, 1 / 240, 2 / 240])

    def test_timestamps_have_priority_over_a_given_rate(self, clip: MakeClip) -> None:
        with VideoSource(clip(frames=3), fps=240) as source:
            assert source.fps == pytest.approx(30)
            assert source.notes == ("has timestamps, so its frame rate is not set by --fps",)

    @pytest.mark.parametrize(
        ("name", "codec"), [("a.m2v", "mpeg2video"), ("a.ivf", "libvpx"), ("a.hevc", "libx265")]
    )
    def test_other_kinds(self, name: str, codec: str, clip: MakeClip) -> None:
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {"b": "4000000"}
        with VideoSource(clip(name, frames=12, codec=codec, options=quiet)) as source:
            assert source.fps == pytest.approx(30)
            assert numbers(source) == list(range(12))

    def test_an_animated_png_has_timestamps(self, clip: MakeClip) -> None:
        path = clip("a.apng", frames=6, fps=Fraction(10), codec="apng", pixel_format="rgb24")
        path = path.rename(path.with_suffix(".png"))
        with VideoSource(path) as source:
            assert source.fps == pytest.approx(10)
            assert numbers(source) == list(range(6))

    @pytest.mark.parametrize("fps", [0.0, -1.0, float("nan")])
    def test_rates_that_are_not_positive_are_refused(self, fps: float, clip: MakeClip) -> None:
        with pytest.raises(OptionError, match="fps must be a positive number"):
            VideoSource(clip(frames=2), fps=fps)


def test_the_coding_of_each_picture_is_known(tmp_path: Path) -> None:
    options = {"g": "6", "bf": "0", "sc_threshold": "0"}
    path = Clip(frames=13, options=options).write(tmp_path / "clip.mp4")
    with VideoSource(path) as source:
        assert "".join(frame.coding for frame in source) == "IPPPPPIPPPPPI"
