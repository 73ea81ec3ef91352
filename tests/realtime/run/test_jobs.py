"""Arguments of `rtmag file`: inputs, outputs, folders and patterns."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import pytest

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.run.jobs import Job, plan

MakeClip = Callable[..., Path]


def sources(
    paths: Sequence[str | Path], output: Path | None = None, notes: list[str] | None = None
) -> list[str]:
    """The names of the inputs of a plan."""
    notice = print if notes is None else notes.append
    target = None if output is None else str(output)
    jobs = plan([str(path) for path in paths], target, 20, notice)
    return [job.source.name for job in jobs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of videos, with other files; their content is not read."""
    path = tmp_path / "clips"
    path.mkdir()
    for name in ("b10.mp4", "b9.MOV", "c.gif", ".hidden.mp4", "._b9.MOV", "notes.txt", "b9.json"):
        (path / name).touch()
    (path / "folder.mp4").mkdir()
    return path


def magnified(path: Path, comment: str = "rtmag 0.1.0: alpha 20") -> Path:
    """Write a video with the comment of an output of rtmag."""
    with av.open(str(path), "w") as output:
        output.metadata["comment"] = comment
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame(32, 32, "yuv420p")
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_plan_of_one_input() -> None:
    assert plan(["a/b.mp4"], None, 20, print) == [Job(Path("a/b.mp4"), Path("a/b.mag20.mp4"))]
    assert plan(["a.mp4"], "c.mkv", 20, print)[0].output == Path("c.mkv")
    assert plan(["a.mp4"], "folder", 20, print)[0].output == Path("folder/a.mag20.mp4")
    assert plan(["a.mp4"], "dotted.folder/", 20, print)[0].output == Path(
        "dotted.folder/a.mag20.mp4"
    )


def test_plan_of_input_and_output(tmp_path: Path) -> None:
    assert plan(["a.mp4", "b.mp4"], None, 20, print) == [Job(Path("a.mp4"), Path("b.mp4"))]
    there = tmp_path / "b.mp4"
    there.touch()
    with pytest.raises(OptionError, match="exists"):
        plan(["a.mp4", str(there)], None, 20, print)
    assert len(plan(["a.mp4", str(there)], str(tmp_path), 20, print)) == 2


def test_plan_of_several_inputs(tmp_path: Path) -> None:
    jobs = plan(["a.mp4", "x/b.mov", "c.gif"], str(tmp_path), 5, print)
    assert [job.output.name for job in jobs] == ["a.mag5.mp4", "b.mag5.mov", "c.mag5.mp4"]
    assert {job.output.parent for job in jobs} == {tmp_path}
    with pytest.raises(OptionError, match="both"):
        plan(["x/a.mp4", "y/a.mp4"], str(tmp_path), 5, print)
    (tmp_path / "file.mp4").touch()
    with pytest.raises(OptionError, match="folder"):
        plan(["a.mp4", "b.mp4"], str(tmp_path / "file.mp4"), 5, print)


def test_a_folder_of_videos_is_a_batch_in_natural_order(folder: Path, tmp_path: Path) -> None:
    assert sources([folder]) == ["b9.MOV", "b10.mp4", "c.gif"]
    assert sources([f"{folder}/"], tmp_path / "out") == ["b9.MOV", "b10.mp4", "c.gif"]
    jobs = plan([str(folder)], None, 20, print)
    assert [job.output for job in jobs][1] == folder / "b10.mag20.mp4"


def test_a_pattern_of_videos_is_a_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shells of Windows pass patterns on."""
    monkeypatch.chdir(folder)
    (folder / "b11.mp4").touch()
    assert sources(["*.mp4"]) == ["b10.mp4", "b11.mp4"]
    assert sources(["b%d.mp4", "c.gif"], tmp_path / "out") == ["b10.mp4", "b11.mp4", "c.gif"]
    assert sources(["*.gif", "*.mp4"]) == ["c.gif", "b10.mp4", "b11.mp4"]
    assert sources(["*.mkv"]) == ["*.mkv"]
    assert sources(["b9.MOV", "new.mp4"]) == ["b9.MOV"]
    assert plan(["b9.MOV", "100%done.mp4"], None, 20, print)[0].output == Path("100%done.mp4")


def test_a_batch_cannot_be_one_output(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="got 3 inputs"):
        plan([str(folder)], "-", 20, print)
    with pytest.raises(OptionError, match="need a folder"):
        (tmp_path / "out.mp4").touch()
        plan([str(folder)], str(tmp_path / "out.mp4"), 20, print)


def test_pictures_of_a_folder_are_one_input(folder: Path) -> None:
    (folder / "f1.png").touch()
    notes: list[str] = []
    assert sources([folder], notes=notes) == ["clips"]
    assert len(notes) == 1
    assert "contains pictures and videos; the pictures are magnified" in notes[0]
    assert sources([folder / "*.png"], notes=notes) == ["*.png"]
    assert sources([folder / "f%d.png"], notes=notes) == ["f%d.png"]
    assert len(notes) == 1


def test_a_folder_without_pictures_and_videos_is_left_as_it_is(tmp_path: Path) -> None:
    assert sources([tmp_path]) == [tmp_path.name]


def test_outputs_of_rtmag_are_not_magnified_again(clip: MakeClip, tmp_path: Path) -> None:
    """As `rtmag file *.mp4` does when it is run twice."""
    paths = [clip("a.mp4", frames=1), clip("b.mp4", frames=1)]
    made = [magnified(tmp_path / "a.mag20.mp4"), magnified(tmp_path / "other.mkv")]
    foreign = magnified(tmp_path / "c.mag20.mp4", "not of rtmag")
    notes: list[str] = []
    assert sources([*paths, *made, foreign], notes=notes) == ["a.mp4", "b.mp4", "c.mag20.mp4"]
    assert notes == [f"skipped: {str(path)!r} is an output of rtmag" for path in made]
    assert sources([tmp_path / "*.mp4"], notes=notes) == ["a.mp4", "b.mp4", "c.mag20.mp4"]
    assert sources([tmp_path], notes=notes) == ["a.mp4", "b.mp4", "c.mag20.mp4"]


def test_outputs_alone_are_magnified(tmp_path: Path) -> None:
    made = [magnified(tmp_path / f"{name}.mag20.mp4") for name in "abc"]
    assert sources(made[:1]) == ["a.mag20.mp4"]
    assert sources(made) == ["a.mag20.mp4", "b.mag20.mp4", "c.mag20.mp4"]


@pytest.mark.parametrize(
    "address",
    [
        "http://h/x.mp4?x=SECRET",
        "rtsp://user:SECRET SECRET@127.0.0.1:9/x",
        "rtsp://user:SECRET@ho/st/SECRET",
        "HTTPS://SECRET@h/*.mp4",
    ],
)
def test_an_address_is_refused_without_repeating_it(address: str, tmp_path: Path) -> None:
    for paths in ([address], [address, "out.mp4"], ["a.mp4", address, "b.mp4"]):
        with pytest.raises(SourceUnavailable, match="is an address; use rtmag stream") as caught:
            plan(paths, None, 20, print)
        assert "SECRET" not in str(caught.value)
    with pytest.raises(OptionError, match="the output must be a file") as refused:
        plan(["a.mp4", address], None, 20, print)
    assert "SECRET" not in str(refused.value)


@pytest.mark.skipif(os.name == "nt", reason="'*' is not allowed in names there")
def test_a_file_whose_name_is_a_pattern(clip: MakeClip) -> None:
    path = clip("a*%03d.mp4", frames=1)
    assert sources([path]) == ["a*%03d.mp4"]
