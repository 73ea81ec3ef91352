"""Regions of runs that magnify: --roi of camera, stream and file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.cli.options import MotionOptions
from rtmag.realtime.controls import Controls
from rtmag.realtime.errors import OptionError

MakeClip = Callable[..., Path]


def test_a_live_run_magnifies_one_region_and_measures_named_ones() -> None:
    options = MotionOptions(roi=["10,20,64,48", "shaft=0,0,32,32", "table = 40,0,32,32"])
    controls = options.controls(live=True)
    assert controls.region == (10, 20, 64, 48)
    assert controls.regions == (("shaft", (0, 0, 32, 32)), ("table", (40, 0, 32, 32)))


@pytest.mark.parametrize("text", ["10,20,64,48", "shaft=10,20,64,48"])
def test_the_region_of_a_file_is_magnified(text: str) -> None:
    controls = MotionOptions(roi=[text]).controls()
    assert (controls.region, controls.regions) == ((10, 20, 64, 48), ())


@pytest.mark.parametrize(
    ("texts", "live", "reason"),
    [
        (["1,2,3,4"], True, "at least 16x16 pixels"),
        (["1,2,30"], True, "X,Y,W,H"),
        (["0,0,32,32", "40,0,32,32"], True, "give it a name to measure it"),
        (["a=0,0,32,32", "b=40,0,32,32"], False, "rtmag measure takes several"),
        (["a=0,0,32,32", "a=40,0,32,32"], True, "each of another name"),
        ([f"{k}=0,0,32,32" for k in range(9)], True, "at most 8 regions"),
    ],
)
def test_other_regions_are_refused(texts: list[str], live: bool, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        MotionOptions(roi=texts).controls(live=live)


@pytest.mark.parametrize("region", [(60, 0, 32, 32), (0, 40, 32, 32), (500, 500, 32, 32)])
def test_a_region_outside_the_picture_is_refused(region: tuple[int, int, int, int]) -> None:
    Controls(region=(48, 32, 32, 32)).check_regions((64, 48))
    with pytest.raises(OptionError, match="outside the picture of 64x48"):
        Controls(region=region).check_regions((64, 48))


def vibrating(
    index: int, size: tuple[int, int]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
    grey = 128 + 60 * np.sin((x - 0.5 * np.sin(index)) / 3) + 50 * np.sin(y / 4 + x / 9)
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def test_a_file_is_magnified_in_the_region_only_and_again_with_its_settings(
    clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtmag.realtime.sources.video_file import VideoSource

    monkeypatch.chdir(tmp_path)
    path = clip("in.mp4", frames=12, size=(96, 64), picture=vibrating)
    assert execute(["file", str(path), "out.mkv", "--roi", "16,16,32,32"]) == 0
    assert json.loads(Path("out.mkv.json").read_text())["roi"] == ["16,16,32,32"]
    assert execute(["file", str(path), "again.mkv", "--like", "out.mkv"]) == 0
    given = [frame.image.astype(int) for frame in VideoSource(path)]
    for name in ("out.mkv", "again.mkv"):
        changes = [
            np.abs(frame.image.astype(int) - before)
            for frame, before in zip(VideoSource(name), given, strict=True)
        ]
        inside = np.mean([change[20:44, 20:44].mean() for change in changes])
        outside = np.mean([change[:, 60:].mean() for change in changes])
        assert inside > 3 * outside
    assert execute(["file", str(path), "bad.mkv", "--roi", "90,0,32,32"]) == 2
