"""The band of what moves in a clip: `--band auto`."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.frame import Image
from rtmag.realtime.run.finding import find_band
from rtmag.realtime.run.provenance import read_settings
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import Clip
from tests.support.scenes import SIZE, filmed, shifted, texture

FPS = 30
HZ = 4.0


def clip(path: Path, px: float) -> Path:
    """A picture with a thing in its middle that sways by `px`."""
    still, other = shifted(texture(1), 0), texture(2)
    place = np.s_[40:84, 50:114]

    def picture(index: int) -> Image:
        made = still.copy()
        made[place] = shifted(other, px * np.sin(2 * np.pi * HZ * index / FPS))[place]
        return filmed([made])[0]

    pictures = [picture(index) for index in range(90)]
    made = Clip(frames=90, fps=Fraction(FPS), size=SIZE, picture=lambda index, _: pictures[index])
    return made.write(path)


def test_the_band_of_a_clip(tmp_path: Path) -> None:
    said: list[str] = []
    with VideoSource(clip(tmp_path / "clip.mp4", 0.3)) as source:
        band = find_band(source, said.append)
    assert band is not None
    assert band[0] < HZ < band[1]
    assert band == pytest.approx((HZ - 0.6, HZ + 0.6), abs=0.1)
    assert re.fullmatch(
        r"--band auto: (3\.9|4)\S* Hz with 0\.\S+ px at \d+,\d+; the band .*", said[0]
    )


def test_a_file_is_magnified_in_the_band_that_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = clip(tmp_path / "clip.mp4", 0.3), tmp_path / "out.mp4"
    assert execute(["file", str(path), "-o", str(out), "--band", "auto"]) == 0
    assert "; the band is 3.4" in capsys.readouterr().err.replace("3.39", "3.4")
    settings = read_settings(out)
    assert settings["fl"] < HZ < settings["fh"]


def test_nothing_is_found_in_a_still_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = clip(tmp_path / "clip.mp4", 0.0), tmp_path / "out.mp4"
    assert execute(["file", str(path), "-o", str(out), "--band", "auto"]) == 0
    assert "nothing stands above the noise" in capsys.readouterr().err
    assert read_settings(out)["mode"] == "static"


@pytest.mark.parametrize("option", ["--mode=dynamic", "--drift=0.1", "--fl=1"])
def test_other_choices_of_the_motion_are_refused(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["file", str(tmp_path / "no.mp4"), "--band", "auto", option]) == 2
    assert "--band auto" in capsys.readouterr().err
