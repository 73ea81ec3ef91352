"""Display size in the header of WebM. Files that were cut off: tests of `VideoSource`."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from rtmag.realtime.media.matroska import set_display_size
from tests.support.clips import Clip


def set_aspect(path: Path, aspect: Fraction) -> bool:
    with path.open("r+b") as file:
        file.seek(3)
        done = set_display_size(file, (64, 48), aspect)
        assert file.tell() == 3, "the encoder goes on where it was"
    return done


@pytest.fixture
def webm(tmp_path: Path) -> Path:
    return Clip(frames=8, codec="libvpx-vp9").write(tmp_path / "a.webm")


def test_only_the_description_of_the_first_track_changes(webm: Path) -> None:
    before = webm.read_bytes()
    assert set_aspect(webm, Fraction(64, 45))
    after = webm.read_bytes()
    assert len(after) == len(before)
    changed = [at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert before.index(b"\x16\x54\xae\x6b", 100) < min(changed)
    assert max(changed) < before.index(b"\x1f\x43\xb6\x75")
    with av.open(str(webm)) as container:
        stream = container.streams.video[0]
        assert float(stream.sample_aspect_ratio or 0) == pytest.approx(64 / 45, abs=0.01)
        assert sum(1 for _ in container.decode(stream)) == 8


@pytest.mark.parametrize(
    "content", [b"", b"\x1a\x45\xdf\xa3" * 9, b"\x16\x54\xae\x6b\x85\xae\x83abc"]
)
def test_other_files_are_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(content)
    assert not set_aspect(path, Fraction(64, 45))
    assert path.read_bytes() == content


def test_a_second_call_finds_no_room(webm: Path) -> None:
    assert set_aspect(webm, Fraction(2))
    written = webm.read_bytes()
    assert not set_aspect(webm, Fraction(2))
    assert webm.read_bytes() == written
