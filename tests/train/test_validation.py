"""Validation on real clips during training, and the filter cascade."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import sosfilt

from rtmag.realtime.errors import OptionError, SinkError, SourceLost, SourceUnavailable
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.opencv import cv2
from rtmag.train.network.config import Config
from rtmag.train.network.recurrence import Cascade
from rtmag.train.validation import magnify_clip
from tests.support import small

MakeClip = Callable[..., Path]


def swaying(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A texture that moves by half a pixel at 1.5 Hz, at 30 frames per second."""
    return small.textured(size[1], size[0], 0.5 * np.sin(2 * np.pi * 1.5 * index / 30))


def pictures(path: Path) -> NDArray[np.float64]:
    """Brightness of all frames, (T, H, W); codecs keep it better than colour."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]).astype(float)


@pytest.mark.parametrize(
    "filter", [Static(), Static(drift=0.5), Dynamic(), Temporal(0.4, 3), Temporal(0.4, 3, order=2)]
)
def test_the_cascade_is_the_filter(filter: Filter) -> None:
    sections = filter.sections(30).astype(np.float64)
    shape = np.random.default_rng(0).normal(3, 1, (40, 2, 3, 4))
    cascade = Cascade(sections)  # type: ignore[arg-type]
    found = np.stack([cascade(torch.from_numpy(s)).numpy() for s in shape])
    sos = np.insert(sections, 3, 1, axis=1)
    expected = sosfilt(sos, shape - shape[0], axis=0)
    assert not found[0].any()
    assert np.allclose(found, expected, atol=1e-9)


def test_another_size_resets_the_cascade() -> None:
    cascade = Cascade(Static().sections(30))
    cascade(torch.ones(1, 2, 4, 4))
    assert cascade(torch.full((1, 2, 4, 4), 3.0)).eq(2).all()
    assert cascade(torch.full((1, 2, 5, 4), 9.0)).eq(0).all()


@pytest.mark.parametrize("config", [small.MAGNET, small.OH2018])
def test_validation_writes_a_video_and_slices(
    config: Config, clip: MakeClip, tmp_path: Path
) -> None:
    film = clip(frames=12, size=(66, 50), picture=swaying)
    out = tmp_path / "new" / "film.v1-0000012"
    magnify_clip(small.net(config), film, out, frames=8)
    assert {p.name for p in out.parent.iterdir()} == {f"{out.name}.mp4", f"{out.name}.png"}
    shown = pictures(out.with_name(out.name + ".mp4"))
    assert shown.shape == (8, 48, 128)
    sheet = cv2.imread(str(out.with_name(out.name + ".png")))
    assert sheet is not None
    assert sheet.std() > 10


def test_the_left_half_is_the_clip_and_the_right_half_is_magnified(
    clip: MakeClip, tmp_path: Path
) -> None:
    film = clip(frames=12, picture=swaying)
    halves: dict[float, Any] = {}
    for alpha in (1.0, 20.0):
        magnify_clip(small.net(), film, tmp_path / f"a{alpha:g}", alpha=alpha)
        halves[alpha] = np.split(pictures(tmp_path / f"a{alpha:g}.mp4"), 2, axis=2)
    original = pictures(film)
    for left, _ in halves.values():
        assert np.abs(left - original).mean() < 4
    left, right = halves[1.0]
    assert np.abs(left - right).mean() < 4
    left, right = halves[20.0]
    assert np.abs(left - right)[0].mean() < 4  # the first picture is the reference
    assert np.abs(left - right)[6:].mean() > 6


def test_results_of_the_same_step_replace_each_other(clip: MakeClip, tmp_path: Path) -> None:
    film = clip(frames=2)
    magnify_clip(small.net(), film, tmp_path / "out")
    magnify_clip(small.net(), film, tmp_path / "out")
    assert len(pictures(tmp_path / "out.mp4")) == 2


def test_a_clip_that_cannot_be_read_raises_an_rtmag_error(clip: MakeClip, tmp_path: Path) -> None:
    net = small.net()
    (tmp_path / "text.mp4").write_text("hello")
    for name in ("text.mp4", "gone.mp4"):
        with pytest.raises(SourceUnavailable):
            magnify_clip(net, tmp_path / name, tmp_path / "out")
    with pytest.raises(SourceUnavailable, match="smaller than 16 px"):
        magnify_clip(net, clip("tiny.mp4", frames=2, size=(64, 8)), tmp_path / "out")
    with pytest.raises(OptionError, match=r"needs more than .* frames/s, and there are 5"):
        magnify_clip(net, clip("slow.mp4", frames=4, fps=Fraction(5)), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_damaged_clip_leaves_no_finished_video(clip: MakeClip, tmp_path: Path) -> None:
    film = clip("film.mp4", frames=60, container={"movflags": "faststart"}, picture=swaying)
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    with pytest.raises(SourceLost):
        magnify_clip(small.net(), film, tmp_path / "out")
    assert not (tmp_path / "out.mp4").exists()
    assert not (tmp_path / "out.png").exists()


def test_an_output_that_cannot_be_written_raises_an_rtmag_error(
    clip: MakeClip, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkError, match="cannot make folder"):
        magnify_clip(small.net(), clip(frames=2), tmp_path / "file" / "out")
    (tmp_path / "out.png").mkdir()
    with pytest.raises(SinkError, match=r"out\.png"):
        magnify_clip(small.net(), clip(frames=2), tmp_path / "out")
