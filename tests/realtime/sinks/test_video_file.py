import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import rtmag.realtime
from rtmag.realtime.errors import OptionError, SinkError, SinkUnavailable, SourceLost
from rtmag.realtime.frame import Frame
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sinks.paths import made_by_rtmag
from rtmag.realtime.sinks.video_file import PartialFile, VideoSink
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import flat, number, packets, smooth
from tests.support.fakes import ENVIRONMENT, identity_model, run_python

MakeClip = Callable[..., Path]
MakeFrames = Callable[..., list[Frame]]
KINDS = ["mp4", "mov", "m4v", "mkv", "webm", "avi"]


def record(path: Path, frames: list[Frame], **options: Any) -> VideoSink:
    sink = VideoSink(path, **options)
    for frame in frames:
        sink.write(frame)
    sink.close()
    return sink


def copy(source: Path, target: Path, **options: Any) -> VideoSource:
    """Copy a file as `rtmag file` does with alpha = 1."""
    with VideoSource(source) as video:
        record(target, list(video), like=video, **options)
    return VideoSource(target)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_every_frame(tmp_path: Path, frames: MakeFrames, kind: str) -> None:
    path = tmp_path / f"out.{kind}"
    sink = record(path, frames(25))
    assert sink.path_written == path
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]
    with VideoSource(path) as video:
        assert [number(frame.image) for frame in video] == [i % 12 for i in range(25)]
        assert video.fps == pytest.approx(30, rel=2e-3)
        assert video.seconds == pytest.approx(25 / 30, abs=2e-3)


@pytest.mark.parametrize("size", [(321, 241), (17, 3), (1, 1), (2, 2), (64, 47), (4096, 16)])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi"])
def test_sizes_are_kept(
    tmp_path: Path, frames: MakeFrames, kind: str, size: tuple[int, int]
) -> None:
    """I04."""
    record(tmp_path / f"out.{kind}", frames(3, size=size))
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    with VideoSource(tmp_path / f"out.{kind}") as video:
        assert [frame.size for frame in video] == [even if kind == "mp4" else size] * 3


@pytest.mark.parametrize(
    ("ticks", "base"),
    [
        (list(range(12)), Fraction(1, 30)),
        ([1001 * i for i in range(12)], Fraction(1, 24000)),
        ([0, 16, 49, 149, 199, 249, 299, 315], Fraction(1, 1000)),
        (list(range(12)), Fraction(1, 1000)),
        (list(range(30, 42)), Fraction(1, 30)),
        ([90_000 + 3003 * i + 100 * (i % 3) for i in range(12)], Fraction(1, 90_000)),
        (list(range(4)), Fraction(1, 1)),
    ],
    ids=["30", "23.976", "variable", "1000", "late", "late and variable", "1"],
)
@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
def test_timestamps_survive(
    clip: MakeClip, tmp_path: Path, kind: str, ticks: list[int], base: Fraction
) -> None:
    """I06."""
    source = clip("in.mp4", ticks=ticks, time_base=base)
    with copy(source, tmp_path / f"out.{kind}") as video, VideoSource(source) as original:
        assert video.frames == len(ticks)
        expected = [float((tick - ticks[0]) * base) for tick in ticks]
        assert [frame.time for frame in video] == pytest.approx(expected, abs=1e-3)
        assert video.seconds == pytest.approx(original.seconds, abs=1 / (original.fps or 1))


_HURRIED = [*range(0, 12_000, 3000), *range(12_000, 24_000, 375)]
"""Ticks of 1/90 000 s of a clip whose rate rises from 30 to 240 frames per second."""


@pytest.mark.parametrize("kind", ["avi"])
def test_a_kind_without_times_keeps_frames_in_time(
    clip: MakeClip, tmp_path: Path, kind: str
) -> None:
    source = clip("in.mp4", ticks=_HURRIED, time_base=Fraction(1, 90_000))
    with copy(source, tmp_path / f"out.{kind}") as video:
        times = [frame.time for frame in video]
    expected = [tick / 90_000 for tick in _HURRIED]
    assert times == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("kind", ["mkv", "webm", "avi"])
def test_rates_that_a_kind_cannot_hold_are_refused(
    clip: MakeClip, tmp_path: Path, kind: str
) -> None:
    source = clip("in.mp4", fps=Fraction(2000))
    said = rf"\.{kind} holds at most 1000 frames per second, got 2000; use \.mp4 or \.mov"
    with pytest.raises(OptionError, match=said):
        VideoSink(tmp_path / f"out.{kind}", like=VideoSource(source))
    sink = VideoSink(tmp_path / f"array.{kind}", fps=2000)
    with pytest.raises(OptionError, match=said):
        sink.write(flat(0, (64, 48)))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_high_rates_are_exact(clip: MakeClip, tmp_path: Path, kind: str) -> None:
    with copy(clip("in.mp4", fps=Fraction(2000)), tmp_path / f"out.{kind}") as video:
        assert [frame.time for frame in video] == pytest.approx(np.arange(30) / 2000, abs=1e-6)


def test_times_before_zero_are_moved_to_zero(tmp_path: Path, clip: MakeClip) -> None:
    like = VideoSource(clip("in.mp4"))
    early = [Frame(flat(i, (64, 48)), (i - 3) / 30, i) for i in range(9)]
    record(tmp_path / "out.mp4", early, like=like)
    with VideoSource(tmp_path / "out.mp4") as video:
        assert [frame.time for frame in video] == pytest.approx([i / 30 for i in range(9)])


@pytest.mark.parametrize("fps", [1e-6, 1e9])
@pytest.mark.parametrize("kind", ["mp4", "avi", "webm"])
def test_extreme_rates_are_accepted(
    tmp_path: Path, frames: MakeFrames, kind: str, fps: float
) -> None:
    record(tmp_path / f"out.{kind}", frames(5), fps=fps)
    assert VideoSource(tmp_path / f"out.{kind}").frames == 5


def test_frames_with_equal_times_are_kept(tmp_path: Path) -> None:
    frames = [Frame(flat(i, (64, 48)), 5.0, i) for i in range(5)]
    record(tmp_path / "out.mp4", frames)
    with VideoSource(tmp_path / "out.mp4") as video:
        assert [number(frame.image) for frame in video] == list(range(5))


def test_arrays_are_written_at_the_frame_rate(tmp_path: Path) -> None:
    """The example of the docstring, with arrays in place of frames."""
    with rtmag.realtime.VideoSink(tmp_path / "out.mp4", fps=25) as sink:
        sink.write(flat(0, (64, 48)))
        sink.write(flat(1, (64, 48))[..., 0])
        sink.write(Frame(flat(2, (64, 48)), 0.1, 2))
        sink.write(flat(3, (64, 48)))
        with pytest.raises(OptionError, match="images must be uint8"):
            sink.write(np.zeros((48, 64, 3)))
    assert sink.path_written == tmp_path / "out.mp4"
    with VideoSource(tmp_path / "out.mp4") as video:
        shown = [(number(frame.image), frame.time) for frame in video]
    assert [index for index, _ in shown] == [0, 1, 2, 3]
    assert [time for _, time in shown] == pytest.approx([0.0, 0.04, 0.1, 0.14], abs=1e-3)


def test_frames_of_a_stream_are_written(tmp_path: Path, clip: MakeClip) -> None:
    """The example of the docstring."""
    model = identity_model(tmp_path / "identity.onnx")
    with rtmag.realtime.VideoSink(tmp_path / "out.mp4") as sink:
        for frame in rtmag.realtime.stream(clip("clip.mp4", frames=7), alpha=20, model=model):
            sink.write(frame)
    with VideoSource(tmp_path / "out.mp4") as video:
        assert [number(frame.image) for frame in video] == list(range(7))


def test_an_error_in_the_with_block_keeps_the_temporary_name(
    tmp_path: Path, frames: MakeFrames
) -> None:
    with pytest.raises(ZeroDivisionError), VideoSink(tmp_path / "out.mp4") as sink:
        for frame in frames(5):
            sink.write(frame)
        raise ZeroDivisionError
    assert sink.path_written == tmp_path / "out.part.mp4"
    assert VideoSource(tmp_path / "out.part.mp4").frames == 5
    assert not (tmp_path / "out.mp4").exists()


_GAP = """
import sys
from tests.support.fakes import blank
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.video_file import VideoSource

times = [index * 0.04 + (39600.0 if index >= 8 else 0.0) for index in range(24)]
with VideoSource(sys.argv[1]) as like:
    sink = VideoSink(sys.argv[2], like=like)
    for index, time in enumerate(times):
        sink.write(Frame(blank(index), time, index))
    sink.close()
print(VideoSource(sys.argv[2]).frames)
"""


def test_a_gap_of_hours_does_not_abort_the_process(clip: MakeClip, tmp_path: Path) -> None:
    """I06: FFmpeg aborts on steps that do not fit into MP4."""
    source = clip("in.ts", frames=24, audio=["mp2"])
    run = [sys.executable, "-c", _GAP, str(source), str(tmp_path / "out.mp4")]
    done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "24\n"), done.stderr


def test_a_pause_that_a_container_cannot_hold_is_reported(clip: MakeClip, tmp_path: Path) -> None:
    """The clock of 1/90 000 s is that of broadcasts; MP4 has 31 bits for a step."""
    notes: list[str] = []
    source = clip("in.mp4", ticks=[0, 3000, 6000], time_base=Fraction(1, 90_000))
    with VideoSource(source) as like:
        late = [Frame(flat(i, (64, 48)), 30_000.0 * i, i) for i in range(2)]
        record(tmp_path / "out.mp4", late, like=like, notice=notes.append)
    assert notes == [
        "'out.mp4' has pauses of at most 6.17 h: longer ones of the input were shortened"
    ]


def test_live_recordings_start_at_zero(tmp_path: Path, frames: MakeFrames) -> None:
    late = [Frame(f.image, f.time + 123_456.789, f.index) for f in frames(10)]
    record(tmp_path / "out.mp4", late)
    with VideoSource(tmp_path / "out.mp4") as video:
        expected = [i / 30 for i in range(10)]
        assert [frame.time for frame in video] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "tags",
    [
        (1, 1, 1, 1),
        (2, 1, 1, 1),
        (1, 5, 5, 6),
        (2, 6, 6, 6),
        (1, 9, 9, 16),
        (0, 2, 2, 2),
        (2, 2, 2, 2),
    ],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "webm"])
def test_colours_survive(
    clip: MakeClip, tmp_path: Path, kind: str, tags: tuple[int, int, int, int]
) -> None:
    options = {"size": (160, 120), "tags": tags, "picture": smooth, "options": {"crf": "4"}}
    source = clip("in.mp4", frames=3, **options)
    with VideoSource(source) as original, copy(source, tmp_path / f"out.{kind}") as video:
        if kind in ("mp4", "mkv"):
            assert video.colour == original.colour
        for a, b in zip(original, video, strict=True):
            difference = np.abs(a.image.astype(int) - b.image)
            assert difference.mean() < 1.5


def test_live_colours_are_tagged_bt709(tmp_path: Path) -> None:
    pictures = [Frame(smooth(i, (160, 120)), i / 30, i) for i in range(3)]
    record(tmp_path / "out.mp4", pictures)
    with VideoSource(tmp_path / "out.mp4") as video:
        colour = video.colour
        assert (colour.color_range, colour.colorspace) == (1, 1)
        assert (colour.color_primaries, colour.color_trc) == (1, 1)
        for a, b in zip(pictures, video, strict=True):
            assert np.abs(a.image.astype(int) - b.image).mean() < 1.5


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_odd_sizes_play_in_browsers(tmp_path: Path, kind: str) -> None:
    """Browsers show H.264 with an even size only: the last column and row are repeated."""
    pictures = [Frame(smooth(i, (161, 121)), i / 30, i) for i in range(3)]
    notes: list[str] = []
    record(tmp_path / f"out.{kind}", pictures, notice=notes.append)
    with av.open(str(tmp_path / f"out.{kind}")) as container:
        assert container.streams.video[0].profile == "High"
    for a, b in zip(pictures, VideoSource(tmp_path / f"out.{kind}"), strict=True):
        assert b.size == (162, 122)
        filled = np.pad(a.image.astype(int), ((0, 1), (0, 1), (0, 0)), "edge")
        assert np.abs(filled - b.image).mean() < 1.5
        assert np.abs(filled[:, -1] - b.image[:, -1]).mean() < 3
    assert len(notes) == 1
    assert "is stored with 162x122 pixels" in notes[0]


@pytest.mark.parametrize("kind", ["mkv", "avi", "webm"])
def test_odd_sizes_need_no_change_elsewhere(tmp_path: Path, kind: str) -> None:
    pictures = [Frame(smooth(i, (161, 121)), i / 30, i) for i in range(3)]
    notes: list[str] = []
    record(tmp_path / f"out.{kind}", pictures, notice=notes.append)
    assert notes == []
    for a, b in zip(pictures, VideoSource(tmp_path / f"out.{kind}"), strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() < 1.5


def _photograph(index: int, size: tuple[int, int]) -> Any:
    """Detail of all sizes and colours, as in photographs, that moves by a pixel a picture."""
    rng, out = np.random.default_rng(1), np.zeros((size[1], size[0], 3), np.float32)
    for cell in (64, 32, 16, 8, 4, 2):
        noise = rng.standard_normal((size[1] // cell + 3, size[0] // cell + 3, 3), np.float32)
        noise = 0.35 * noise + noise.mean(2, keepdims=True)
        out += cell**0.5 * 3.5 * cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return np.roll(np.clip(128 + out, 0, 255).astype(np.uint8), index, 1)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "webm"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "bgr0"])
def test_a_photograph_is_hardly_changed(
    clip: MakeClip, tmp_path: Path, kind: str, pixel_format: str
) -> None:
    """I07. Where colours are stored for four pixels only, that is said."""
    codec = {"codec": "ffv1"} if pixel_format == "bgr0" else {"options": {"crf": "8"}}
    look = {"size": (256, 192), "picture": _photograph, "pixel_format": pixel_format}
    tags = None if pixel_format == "bgr0" else (1, 1, 1, 1)
    source = clip("in.mkv", frames=8, tags=tags, **look, **codec)
    notes: list[str] = []
    with copy(source, tmp_path / f"out.{kind}", notice=notes.append) as video:
        pairs = zip(VideoSource(source), video, strict=True)
        error = np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in pairs])
    halved = pixel_format != "yuv420p" and kind in ("mp4", "webm")
    assert error < (2.5 if halved else 1.5)
    assert ["colour for each pixel" in note for note in notes] == [True] * halved


def test_upright_pictures_carry_no_rotation(clip: MakeClip, tmp_path: Path) -> None:
    source = clip("in.mp4", frames=4, size=(96, 64), rotation=(90, False, False))
    with copy(source, tmp_path / "out.mp4") as video:
        assert (video.rotation, video.size) == (0, (64, 96))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tags", [None, (1, 1, 1, 1)])
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(1, 2)])
def test_pixel_aspect_is_kept(
    clip: MakeClip, tmp_path: Path, kind: str, tags: Any, aspect: Fraction
) -> None:
    source = clip("in.mp4", size=(90, 72), tags=tags, sample_aspect=aspect, audio=["aac"])
    with copy(source, tmp_path / f"out.{kind}") as video:
        assert video.sample_aspect == aspect
        assert len(list(video)) == 30
        assert video.damaged == 0
    assert packets(tmp_path / f"out.{kind}", "audio")


class TestSound:
    @pytest.mark.parametrize(
        ("codec", "kind"),
        [
            ("aac", "mp4"),
            ("aac", "mkv"),
            ("libopus", "mp4"),
            ("libopus", "webm"),
            ("libmp3lame", "mov"),
        ],
    )
    def test_copied_bit_for_bit(
        self, clip: MakeClip, tmp_path: Path, codec: str, kind: str
    ) -> None:
        source = clip("in.mkv", audio=[codec], frames=60)
        copy(source, tmp_path / f"out.{kind}")
        before, after = packets(source, "audio"), packets(tmp_path / f"out.{kind}", "audio")
        assert [content for _, content in after] == [content for _, content in before]
        offsets = [a - b for (a, _), (b, _) in zip(after, before, strict=True)]
        assert np.abs(offsets).max() < 0.02

    @pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
    def test_broadcast_audio_is_copied_without_adts_headers(
        self, clip: MakeClip, tmp_path: Path, kind: str
    ) -> None:
        source = clip("in.ts", audio=["aac"], frames=60)
        copy(source, tmp_path / f"out.{kind}")
        before, after = packets(source, "audio"), packets(tmp_path / f"out.{kind}", "audio")
        assert [content for _, content in after] == [content[7:] for _, content in before]

    @pytest.mark.parametrize("name", ["in.mkv", "in.ts"])
    def test_damaged_audio_does_not_stop_the_video(
        self, clip: MakeClip, tmp_path: Path, name: str
    ) -> None:
        source = clip(name, audio=["aac"], frames=60)
        data = source.read_bytes()
        for _, content in packets(source, "audio")[20::3]:
            data = data.replace(content, content[:8] + b"\xff" * (len(content) - 8))
        source.write_bytes(data)
        copy(source, tmp_path / "out.mp4")
        assert len(packets(tmp_path / "out.mp4", "video")) == 60

    @pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("first", [0, 30])
    def test_offset_to_the_pictures(
        self, clip: MakeClip, tmp_path: Path, start: float, first: int
    ) -> None:
        ticks = range(first, first + 40)
        source = clip("in.mp4", audio=["aac"], ticks=ticks, audio_start=start)
        copy(source, tmp_path / "out.mp4")
        earliest = min(first / 30, start)
        for kind in ("video", "audio"):
            before, after = packets(source, kind), packets(tmp_path / "out.mp4", kind)
            assert min(after)[0] == pytest.approx(min(before)[0] - earliest, abs=0.025)

    @pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
    @pytest.mark.parametrize("start", [1.5, 40_000.0])
    def test_a_broadcast_begins_at_its_first_picture_or_sound(
        self, start: float, kind: str, clip: MakeClip, tmp_path: Path
    ) -> None:
        """The clock of a broadcast started long ago; players would show nothing until then."""
        ticks = [round(start * 90_000) + 3000 * index for index in range(30)]
        source = clip("in.ts", ticks=ticks, time_base=Fraction(1, 90_000), audio=["mp2"],
                      audio_start=start + 0.5)  # fmt: skip
        copy(source, tmp_path / f"out.{kind}")
        with av.open(str(tmp_path / f"out.{kind}")) as out:
            assert out.duration is not None
            assert out.duration / 1e6 < 2
        seen, heard = (
            min(packets(tmp_path / f"out.{kind}", each))[0] for each in ("video", "audio")
        )
        assert seen == pytest.approx(0, abs=0.002)
        assert heard == pytest.approx(0.5, abs=0.03)

    @pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0])
    def test_shorter_and_longer(self, clip: MakeClip, tmp_path: Path, seconds: float) -> None:
        """I09."""
        source = clip("in.mp4", audio=["aac"], audio_seconds=seconds)
        copy(source, tmp_path / "out.mp4")
        assert len(packets(tmp_path / "out.mp4", "audio")) == len(packets(source, "audio"))
        assert len(packets(tmp_path / "out.mp4", "video")) == 30

    def test_all_tracks(self, clip: MakeClip, tmp_path: Path) -> None:
        source = clip("in.mp4", audio=["aac", "libopus"])
        copy(source, tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert [s.codec_context.name for s in container.streams.audio] == ["aac", "opus"]

    @pytest.mark.parametrize(
        ("codec", "kind", "result"),
        [
            ("aac", "webm", "opus"),
            ("pcm_s16le", "webm", "opus"),
            ("libopus", "avi", "pcm_s16le"),
            ("pcm_u8", "mp4", "aac"),
        ],
    )
    def test_encoded_again_where_copying_is_impossible(
        self, clip: MakeClip, tmp_path: Path, codec: str, kind: str, result: str
    ) -> None:
        """I09."""
        source = clip("in.mkv", audio=[codec], frames=60)
        copy(source, tmp_path / f"out.{kind}")
        with av.open(str(tmp_path / f"out.{kind}")) as container:
            assert container.streams.audio[0].codec_context.name == result
        assert _clicks(tmp_path / f"out.{kind}") == pytest.approx(_clicks(source), abs=0.02)

    @pytest.mark.parametrize("kind", ["avi", "webm"])
    @pytest.mark.parametrize(("first", "start"), [(0, 0.3), (0, 0.0), (9, 0.0), (0, 0.02)])
    def test_encoded_audio_is_in_step_with_the_pictures(
        self, clip: MakeClip, tmp_path: Path, kind: str, first: int, start: float
    ) -> None:
        """AVI has no timestamps: audio is filled with silence, or cut, where they differ."""
        ticks = range(first, first + 60)
        source = clip("in.mp4", audio=["aac"], ticks=ticks, audio_start=start)
        copy(source, tmp_path / f"out.{kind}")
        before, after = (
            np.array(_clicks(path)) - min(packets(path, "video"))[0]
            for path in (source, tmp_path / f"out.{kind}")
        )
        before = before[before > 0] if kind == "avi" else before
        assert after[-len(before) :] == pytest.approx(before, abs=0.003)

    @pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi"])
    def test_rate_and_channels_may_change(self, clip: MakeClip, tmp_path: Path, kind: str) -> None:
        """As in broadcasts, between a programme and an advertisement."""
        joined = tmp_path / "joined.ts"
        for index, (rate, layout) in enumerate([(44_100, "stereo"), (48_000, "mono")]):
            ticks = range(30 * index + 30, 30 * index + 60)
            part = clip("part.ts", ticks=ticks, audio=["aac"], audio_start=index + 1.0,
                        audio_rate=rate, audio_layout=layout)  # fmt: skip
            with joined.open("ab") as file:
                file.write(part.read_bytes())
        copy(joined, tmp_path / f"out.{kind}")
        assert len(packets(tmp_path / f"out.{kind}", "video")) == 60
        clicks = np.array(_clicks(tmp_path / f"out.{kind}"))
        # The click at the very start of the second part is lost in its decoder.
        assert clicks - clicks[0] == pytest.approx([0, 0.5, 1.5], abs=0.01)

    @pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi"])
    def test_an_announced_track_without_audio_is_left_out(
        self, clip: MakeClip, tmp_path: Path, kind: str
    ) -> None:
        """Damaged broadcasts announce such tracks."""
        data = clip("whole.ts", audio=["libmp3lame"]).read_bytes()
        parts = [data[at : at + 188] for at in range(0, len(data), 188)]
        source, notes = tmp_path / "in.ts", list[str]()
        source.write_bytes(b"".join(p for p in parts if int.from_bytes(p[1:3]) & 0x1FFF != 257))
        copy(source, tmp_path / f"out.{kind}", notice=notes.append)
        assert len(packets(tmp_path / f"out.{kind}", "video")) == 30
        assert notes == ["1 audio track of the input cannot be read and is left out"]

    def test_a_rate_that_the_codec_refuses(self, clip: MakeClip, tmp_path: Path) -> None:
        source = clip("in.mkv", audio=["pcm_u8"], audio_rate=192_000)
        copy(source, tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert container.streams.audio[0].codec_context.sample_rate == 96_000

    def test_audio_can_be_left_out(self, clip: MakeClip, tmp_path: Path) -> None:
        source = clip("in.mp4", audio=["aac"])
        assert not copy(source, tmp_path / "out.mp4", audio=False).has_audio

    def test_ends_with_a_cancelled_part(self, clip: MakeClip, tmp_path: Path) -> None:
        video = VideoSource(clip("in.mp4", audio=["aac"], frames=120))
        sink = VideoSink(tmp_path / "out.mp4", like=video)
        for frame in list(video)[:30]:
            sink.write(frame)
        sink.close(finished=False)
        assert sink.path_written is not None
        assert max(packets(sink.path_written, "audio"))[0] < 1.1


def _clicks(path: Path) -> list[float]:
    """Times of the clicks in the audio, in seconds."""
    samples, start = [], None
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", 48_000)
        for frame in container.decode(audio=0):
            start = float(frame.time or 0) if start is None else start
            samples += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
    loud = np.abs(np.concatenate(samples)) > 0.25
    places = np.flatnonzero(loud)
    first = places[np.insert(np.diff(places) > 4800, 0, True)]
    return [float(start or 0) + float(place) / 48_000 for place in first]


class TestNames:
    def test_existing_files_are_refused_before_any_work(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("precious")
        with pytest.raises(SinkUnavailable, match=r"out\.mp4': it exists; use --overwrite"):
            VideoSink(path)
        assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]

    def test_overwriting_happens_at_the_end(self, tmp_path: Path, frames: MakeFrames) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("precious")
        sink = VideoSink(path, overwrite=True)
        for frame in frames(5):
            sink.write(frame)
            assert path.read_text() == "precious"
        sink.close()
        assert VideoSource(path).frames == 5

    def test_a_cancelled_overwrite_leaves_the_old_file(
        self, tmp_path: Path, frames: MakeFrames
    ) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("precious")
        sink = VideoSink(path, overwrite=True)
        for frame in frames(5):
            sink.write(frame)
        sink.close(finished=False)
        assert path.read_text() == "precious"
        assert VideoSource(tmp_path / "out.part.mp4").frames == 5

    def test_a_file_that_appears_during_the_recording_is_kept(
        self, tmp_path: Path, frames: MakeFrames
    ) -> None:
        path = tmp_path / "out.mp4"
        sink = VideoSink(path)
        sink.write(frames(1)[0])
        path.write_text("precious")
        with pytest.raises(SinkError, match="the file exists now; the video is"):
            sink.close()
        assert path.read_text() == "precious"
        assert sink.path_written == tmp_path / "out.part.mp4"

    def test_earlier_parts_are_kept(self, tmp_path: Path, frames: MakeFrames) -> None:
        (tmp_path / "out.part.mp4").write_text("old")
        (tmp_path / "out.part2.mp4").write_text("older")
        sink = VideoSink(tmp_path / "out.mp4")
        sink.write(frames(1)[0])
        sink.close(finished=False)
        assert sink.path_written == tmp_path / "out.part3.mp4"
        assert (tmp_path / "out.part.mp4").read_text() == "old"

    def test_a_part_may_be_the_input_of_the_recording_that_replaces_its_output(
        self, clip: MakeClip, tmp_path: Path, frames: MakeFrames
    ) -> None:
        (tmp_path / "out.mp4").write_text("old")
        part = clip("out.part.mp4")
        before = part.read_bytes()
        record(tmp_path / "out.mp4", frames(3), overwrite=True)
        assert part.read_bytes() == before
        assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "out.part.mp4"]

    def test_a_failure_of_the_first_frame_is_reported_once(
        self, tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr("rtmag.realtime.media.encoder.VideoEncoder.encode", full)
        sink = VideoSink(tmp_path / "out.mp4")
        with pytest.raises(SinkError, match=r"out\.mp4"):
            sink.write(frames(1)[0])
        sink.close(finished=False)

    def test_the_input_is_refused(self, clip: MakeClip, tmp_path: Path) -> None:
        """I10."""
        source = clip("in.mp4")
        (tmp_path / "link.mp4").symlink_to(source)
        for path in (source, tmp_path / "link.mp4", tmp_path / "." / "in.mp4"):
            with pytest.raises(OptionError, match="it is the input"):
                VideoSink(path, like=VideoSource(source), overwrite=True)

    def test_unknown_file_type(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match=r"must end in one of \.mp4"):
            VideoSink(tmp_path / "out.txt")

    def test_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SinkUnavailable, match="no such folder"):
            VideoSink(tmp_path / "no" / "out.mp4")

    def test_outputs_that_are_not_regular_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").mkdir()
        with pytest.raises(SinkUnavailable, match="is a folder"):
            VideoSink(tmp_path / "out.mp4", overwrite=True)
        (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
        with pytest.raises(SinkUnavailable, match="not a regular file"):
            VideoSink(tmp_path / "dangling.mp4", overwrite=True)

    def test_long_name(self, tmp_path: Path) -> None:
        with pytest.raises(SinkUnavailable, match="name is too long"):
            VideoSink(tmp_path / ("x" * 250 + ".mp4"))

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may all")
    def test_no_permission(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(SinkUnavailable, match="no permission"):
            VideoSink(tmp_path / "out.mp4")

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has fewer names")
    @pytest.mark.parametrize("name", ["a b.mp4", "ünï.mp4", "-x.mp4", "%03d.mp4", "http:x.mp4"])
    def test_odd_names(self, tmp_path: Path, frames: MakeFrames, name: str) -> None:
        """I10."""
        record(tmp_path / name, frames(2))
        assert VideoSource(tmp_path / name).frames == 2


class TestLife:
    def test_cancelled_parts_play(self, tmp_path: Path, frames: MakeFrames) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        for frame in frames(8):
            sink.write(frame)
        sink.close(finished=False)
        assert sink.path_written == tmp_path / "out.part.mp4"
        assert not (tmp_path / "out.mp4").exists()
        assert len(list(VideoSource(sink.path_written))) == 8

    @pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved on Windows")
    @pytest.mark.parametrize("swap", ["link", "file", "deleted", "folder"])
    @pytest.mark.parametrize("begun", [0, 5])
    def test_what_takes_the_place_of_the_part_is_not_touched(
        self, tmp_path: Path, frames: MakeFrames, swap: str, begun: int
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        precious = tmp_path / "precious.txt"
        precious.write_text("mine")
        sink = VideoSink(folder / "b.mp4")
        for frame in frames(begun):
            sink.write(frame)
        part = sink.partial_path
        if swap == "folder":
            folder.rename(tmp_path / "elsewhere")
        else:
            part.unlink()
        if swap == "link":
            part.symlink_to(precious)
        elif swap == "file":
            part.write_text("mine")
        with pytest.raises(SinkError, match="moved, deleted or replaced"):
            for frame in frames(20)[begun:]:
                sink.write(frame)
                sink._next_check = 0.0  # a second later
        sink.close()
        assert precious.read_text() == "mine"
        assert part.is_symlink() == (swap == "link")
        if swap == "file":
            assert part.read_text() == "mine"
        assert not (folder / "b.mp4").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved on Windows")
    def test_a_part_that_is_gone_at_the_end_is_an_error(
        self, tmp_path: Path, frames: MakeFrames
    ) -> None:
        sink = VideoSink(tmp_path / "b.mp4")
        for frame in frames(3):
            sink.write(frame)
        sink.partial_path.unlink()
        with pytest.raises(SinkError, match="moved, deleted or replaced"):
            sink.close()

    def test_no_frames_leave_no_file(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        sink.close()
        sink.close()
        assert sink.path_written is None
        assert list(tmp_path.iterdir()) == []

    def test_writing_after_the_end_is_refused(self, tmp_path: Path, frames: MakeFrames) -> None:
        sink = record(tmp_path / "out.mp4", frames(1))
        sink.close()
        with pytest.raises(SinkError, match="it is closed"):
            sink.write(frames(1)[0])

    def test_comment(self, tmp_path: Path, frames: MakeFrames) -> None:
        for kind in ("mp4", "mkv", "avi", "webm"):
            record(tmp_path / f"out.{kind}", frames(2), comment="rtmag 1, ünï")
            with av.open(str(tmp_path / f"out.{kind}")) as container:
                tags = {key.lower(): value for key, value in container.metadata.items()}
            assert tags["comment"] == "rtmag 1, ünï"
            assert made_by_rtmag(tmp_path / f"out.{kind}")

    @pytest.mark.parametrize("kind", ["mp4", "webm"])
    def test_audio_is_kept_across_a_discontinuity(
        self, kind: str, clip: MakeClip, tmp_path: Path
    ) -> None:
        joined = tmp_path / "joined.ts"
        for start in (3000, 0):  # 100 s, then 0 s, as in two concatenated recordings
            part = clip(
                f"{start}.ts",
                ticks=range(start, start + 30),
                audio=("aac",),
                audio_start=start / 30,
            )
            with joined.open("ab") as file:
                file.write(part.read_bytes())
        with VideoSource(joined) as source:
            sink = VideoSink(tmp_path / f"out.{kind}", like=source)
            for frame in source:
                sink.write(frame)
            sink.close()
        with av.open(str(tmp_path / f"out.{kind}")) as out:
            heard = [float(p.pts * p.time_base) for p in out.demux(audio=0) if p.pts is not None]
        assert heard[-1] - heard[0] == pytest.approx(2.0, abs=0.3)
        assert max(np.diff(heard)) < 0.3

    def test_frames_of_another_size_are_letterboxed(
        self, tmp_path: Path, frames: MakeFrames
    ) -> None:
        record(tmp_path / "out.mp4", [*frames(2), *frames(4, size=(96, 48))[2:]])
        with VideoSource(tmp_path / "out.mp4") as video:
            seen = list(video)
        assert [frame.size for frame in seen] == [(64, 48)] * 4
        assert seen[2].image[:4].mean() < 25
        assert seen[3].image[24].mean() == pytest.approx(20 + 17 * 3, abs=3)

    def test_a_given_size_applies_from_the_first_frame(
        self, tmp_path: Path, frames: MakeFrames
    ) -> None:
        record(tmp_path / "out.mp4", frames(2), size=(128, 96))
        assert VideoSource(tmp_path / "out.mp4").size == (128, 96)

    def test_mpeg4_where_h264_is_missing(
        self, tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
        record(tmp_path / "out.mp4", frames(20))
        monkeypatch.undo()
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert container.streams.video[0].codec_context.name == "mpeg4"
        with VideoSource(tmp_path / "out.mp4") as video:
            assert [number(frame.image) for frame in video] == [i % 12 for i in range(20)]

    def test_no_codec_at_all(
        self, tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(av, "codecs_available", set())
        sink = VideoSink(tmp_path / "out.webm")
        with pytest.raises(SinkUnavailable, match="this build of FFmpeg has no libvpx-vp9"):
            sink.write(frames(1)[0])
        sink.close(finished=False)
        assert list(tmp_path.iterdir()) == []

    def test_sizes_that_the_codec_refuses(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        with pytest.raises(SinkError, match=r"refused the size \(20000, 2\)"):
            sink.write(Frame(np.zeros((2, 20000, 3), np.uint8), 0.0, 0))
        sink.close()
        assert sink.path_written is None


_FULL = """
import resource, signal, sys
import numpy as np
from rtmag.realtime.errors import SinkError
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink

resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
rng = np.random.default_rng(0)
sink = VideoSink(sys.argv[1])
try:
    for index in range(1000):
        sink.write(Frame(rng.integers(0, 256, (96, 128, 3), np.uint8), index / 30, index))
except SinkError as error:
    sink.close(finished=True)
    print(index, sink.path_written)
    print(error)
"""

_ENDLESS = """
import sys, time
import numpy as np
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink

rng = np.random.default_rng(0)
sink = VideoSink(sys.argv[1])
for index in range(150):
    sink.write(Frame(rng.integers(0, 256, (96, 128, 3), np.uint8), index / 30, index))
print("there", flush=True)
time.sleep(60)
"""


def _run(script: str, path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_full_disk(tmp_path: Path, kind: str) -> None:
    """F11."""
    process = _run(_FULL, tmp_path / f"out.{kind}")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    first, error = said.splitlines()
    written, part = first.split()
    assert "would exceed the size limit; the part written so far is" in error
    assert part == str(tmp_path / f"out.part.{kind}")
    assert len(_readable(Path(part))) > int(written) - 60


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_killed(tmp_path: Path, kind: str) -> None:
    """F12."""
    process = _run(_ENDLESS, tmp_path / f"out.{kind}")
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(_readable(tmp_path / f"out.part.{kind}")) >= 150 - 60


def _readable(path: Path) -> list[Frame]:
    frames: list[Frame] = []
    with suppress(SourceLost):
        frames.extend(VideoSource(path))
    return frames


_SWEEP = """
import resource, signal, sys
from contextlib import suppress
from pathlib import Path
import numpy as np
from rtmag.realtime.errors import RtmagError
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
noise = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(8)]
flat = [np.full((48, 64, 3), 30 * level, np.uint8) for level in range(8)]
for pictures, limits in ((flat, range(2600, 7000, 190)), (noise, range(90_000, 200_000, 9001))):
    for limit in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        sink, given = VideoSink(Path(sys.argv[1]) / f"{limit}.{sys.argv[2]}"), 0
        with suppress(RtmagError):
            for index in range(150):
                sink.write(Frame(pictures[index % 8], index / 30, index))
                given += 1
        with suppress(RtmagError):
            sink.close(finished=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print(sink.path_written, given)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_recording_plays_wherever_its_disk_ended(kind: str, tmp_path: Path) -> None:
    """F11: except for the last second, also if the header of a fragment did not fit."""
    from tests.system.test_process import recorded

    said = run_python(f"import sys; sys.argv[1:] = [{str(tmp_path)!r}, {kind!r}]\n{_SWEEP}")
    rows = [line.split() for line in said.splitlines()]
    assert len(rows) > 30
    for path, given in rows:
        assert recorded(Path(path)) >= int(given) - 30, path


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_data_that_do_not_fit_are_left_out_and_so_are_all_later_ones(tmp_path: Path) -> None:
    code = f"""if True:
        import resource, signal
        from pathlib import Path
        from rtmag.realtime.sinks.video_file import PartialFile
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with PartialFile(Path({str(tmp_path / "file")!r})) as file:
            file.write(b"12345678")
            for piece in (b"abcd", b"e"):
                try:
                    file.write(piece)
                except OSError as error:
                    print(error.errno)
            file.seek(2)
    """
    first, second = run_python(code).split()
    assert first == second
    assert (tmp_path / "file").read_bytes() == b"12345678"


def test_earlier_positions_can_be_overwritten(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "file") as file:
        assert file.write(b"abcdef") == 6
        assert file.seek(1) == 1
        file.write(b"XY")
        assert file.tell() == 3
        file.close()
    assert (tmp_path / "file").read_bytes() == b"aXYdef"
