"""What describes a file: title, date, place, chapters, languages, flags."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from rtmag.realtime.media.metadata import left_out
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import Clip

_TITLES = {
    "title": "Bridge",
    "creation_time": "2020-05-06T07:08:09.000000Z",
    "location": "+48.1000-011.5000/",
}


def described(path: Path, *, first: int = 0) -> Path:
    """A clip of two seconds with two languages, of which the second is the default, and chapters.

    Args:
        path: of the file.
        first: number of frames by which pictures and chapters start late.
    """
    clip = Clip(ticks=range(first, first + 60), time_base=Fraction(1, 30))
    with av.open(str(path), "w") as output:
        output.metadata.update(_TITLES)
        output.set_chapters(
            [
                {"id": n, "start": start, "end": start + 30, "time_base": Fraction(1, 30),
                 "metadata": {"title": title}}
                for n, start, title in ((0, first, "Rest"), (1, first + 30, "Load"))
            ]
        )  # fmt: skip
        stream = clip._video(output, Fraction(1, 30))
        sounds = [clip._sound(output, "aac") for _ in range(2)]
        for sound, language in zip(sounds, ("fra", "eng"), strict=True):
            sound.metadata["language"] = language
            sound.disposition = Disposition.default if language == "eng" else 0
        for index in range(60):
            frame = clip._frame(index)
            frame.pts, frame.time_base = first + index, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for sound in sounds:
            Clip(audio_start=first / 30)._play(output, sound, 2.0)
    return path


def copy(source: Path, target: Path) -> None:
    with VideoSource(source) as video, VideoSink(target, like=video, comment="rtmag") as sink:
        for frame in video:
            sink.write(frame)


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_descriptions_survive(tmp_path: Path, kind: str, suffix: str) -> None:
    source = described(tmp_path / f"in.{suffix}", first=15)
    copy(source, tmp_path / f"out.{kind}")
    with av.open(str(tmp_path / f"out.{kind}")) as output:
        tags = {key.lower(): value for key, value in output.metadata.items()}
        assert tags["comment"] == "rtmag"
        assert tags["title"] == "Bridge"
        assert tags["creation_time"].startswith("2020-05-06T07:08:09")
        assert tags["location"].startswith("+48.1")
        sounds = output.streams.audio
        assert [sound.metadata.get("language") for sound in sounds] == ["fra", "eng"]
        assert [bool(s.disposition & Disposition.default) for s in sounds] == [False, True]
        chapters = [
            (each["start"] * float(each["time_base"] or 1), each["metadata"]["title"])
            for each in output.chapters()
        ]
    assert [title for _, title in chapters] == ["Rest", "Load"]
    assert [start for start, _ in chapters] == pytest.approx([0, 1], abs=0.03)


def test_a_kind_that_holds_less_keeps_the_title(tmp_path: Path) -> None:
    copy(described(tmp_path / "in.mkv"), tmp_path / "out.avi")
    with av.open(str(tmp_path / "out.avi")) as output:
        assert output.metadata["title"] == "Bridge"


def test_subtitles_and_timecodes_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    clip = Clip(frames=3)
    with av.open(str(path), "w") as output:
        stream = clip._video(output, Fraction(1, 30))
        stream.metadata["timecode"] = "01:00:00:00"
        output.add_mux_stream("subrip")
        for index in range(3):
            frame = clip._frame(index)
            frame.pts, frame.time_base = index, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    said = [
        "has 1 subtitle track, which the output does not have",
        "has a timecode, which the output does not have",
    ]
    with av.open(str(path)) as container:
        assert left_out(container) == said
    with VideoSource(path) as video:
        assert list(video.notes) == said
    with av.open(str(described(tmp_path / "plain.mkv"))) as container:
        assert left_out(container) == []
