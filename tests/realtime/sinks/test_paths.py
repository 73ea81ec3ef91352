"""Names of outputs, and protection of existing files."""

from pathlib import Path

import pytest

from rtmag.realtime.errors import OptionError, SinkUnavailable
from rtmag.realtime.sinks.paths import check_free, make_folder, output_path, unused_prefix


@pytest.mark.parametrize(
    ("name", "alpha", "expected"),
    [
        ("clip.mp4", 20, "clip.mag20.mp4"),
        ("clip.MOV", 7.5, "clip.mag7.5.MOV"),
        ("clip.mkv", 0.5, "clip.mag0.5.mkv"),
        ("clip.y4m", 20, "clip.mag20.mp4"),
        ("a.b.gif", 20, "a.b.mag20.mp4"),
        ("noending", 20, "noending.mag20.mp4"),
    ],
)
def test_outputs_are_named_after_their_inputs(name: str, alpha: float, expected: str) -> None:
    assert output_path(Path("x") / name, alpha) == Path("x") / expected
    assert output_path(Path("x") / name, alpha, Path("y")) == Path("y") / expected


def test_a_folder_of_images_becomes_a_video(tmp_path: Path) -> None:
    folder = tmp_path / "shots.v2"
    folder.mkdir()
    assert output_path(folder, 20) == tmp_path / "shots.v2.mag20.mp4"


def test_patterns_and_dots_are_named_after_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    assert output_path(folder / "*.png", 20) == tmp_path / "shots.mag20.mp4"
    monkeypatch.chdir(folder)
    assert output_path(Path(), 20) == tmp_path / "shots.mag20.mp4"


def test_numbers_avoid_all_suffixes(tmp_path: Path) -> None:
    prefix = tmp_path / "v1.demo"
    assert unused_prefix(prefix, (".mp4", ".png")) == prefix
    (tmp_path / "v1.demo.mp4").touch()
    (tmp_path / "v1.demo-2.png").touch()
    assert unused_prefix(prefix, (".mp4", ".png")) == tmp_path / "v1.demo-3"


def test_existing_files_are_refused(tmp_path: Path) -> None:
    source, there = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.touch()
    there.touch()
    with pytest.raises(SinkUnavailable, match="--overwrite"):
        check_free(there, overwrite=False, source=source)
    check_free(there, overwrite=True, source=source)
    check_free(tmp_path / "new.mp4", overwrite=False, source=source)


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    source, link = tmp_path / "in.mp4", tmp_path / "link.mp4"
    source.touch()
    link.symlink_to(source)
    for output in (source, link):
        with pytest.raises(OptionError, match="it is the input"):
            check_free(output, overwrite=True, source=source)


def test_a_folder_is_refused_as_output(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="is a folder"):
        check_free(tmp_path, overwrite=True)
    with pytest.raises(SinkUnavailable, match="no such folder"):
        check_free(tmp_path / "none" / "out.mp4", overwrite=False)


def test_folders_are_created_or_refused_in_one_line(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(SinkUnavailable, match="cannot create the folder"):
        make_folder(tmp_path / "file" / "c")
