"""stream(): frames in one line."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtmag.realtime import streaming
from rtmag.realtime.errors import ModelIncompatible, OptionError, SourceUnavailable
from rtmag.realtime.filters import Temporal
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.streaming import stream
from tests.support.clips import number
from tests.support.fakes import FakeSource, identity_model

MakeClip = Callable[..., Path]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return identity_model(tmp_path / "identity.onnx")


def test_a_clip_gives_every_frame_in_time(clip: MakeClip, model: Path) -> None:
    shown = list(stream(clip(frames=25), alpha=20, model=model))
    assert [frame.index for frame in shown] == list(range(25))
    assert [number(frame.image) for frame in shown] == [index % 12 for index in range(25)]
    assert [frame.time for frame in shown] == pytest.approx(np.arange(25) / 30, abs=1e-3)
    assert {frame.size for frame in shown} == {(64, 48)}


def test_a_folder_of_pictures_gives_every_picture(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(7):
        assert cv2.imwrite(
            str(folder / f"{index:03}.png"), np.full((33, 57, 3), 10 * index, np.uint8)
        )
    for source in (folder, str(folder / "*.png")):
        shown = list(stream(source, model=model, fps=10))
        assert [int(frame.image[0, 0, 0]) for frame in shown] == [10 * i for i in range(7)]
        assert shown[-1].time == pytest.approx(0.6)


@pytest.mark.parametrize("take", [0, 1, 5])
def test_a_stream_left_early_closes_its_source(
    take: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SceneSource] = []

    def open_source(spec: object, **options: object) -> SceneSource:
        opened.append(SceneSource((64, 48), live=True))
        return opened[0]

    monkeypatch.setattr(streaming, "open_source", open_source)
    before = threading.enumerate()
    frames = stream("test", model=model)
    shown = list(itertools.islice(frames, take))
    assert len(shown) == take
    frames.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= set(before)
    assert all(source._closed for source in opened)
    assert next(frames, None) is None


def test_the_built_in_scene_streams(model: Path) -> None:
    shown = list(itertools.islice(stream("test", model=model, size=(64, 48), fps=25), 4))
    assert [frame.size for frame in shown] == [(64, 48)] * 4
    assert shown[3].time == pytest.approx(3 / 25)


def test_a_live_source_gives_its_newest_frames_until_it_ends(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeSource(6, live=True, every=0.02)
    monkeypatch.setattr(streaming, "open_source", lambda spec, **options: source)
    used: list[Magnifier] = []

    def make(*rest: Any, **options: Any) -> Magnifier:
        used.append(Magnifier(*rest, **options))
        return used[0]

    monkeypatch.setattr(streaming, "Magnifier", make)
    indices = [frame.index for frame in stream(0, model=model)]
    assert (used[0].filter, used[0].alpha) == (Temporal(0.4, 3), 10)  # as `rtmag camera`
    assert indices == sorted(set(indices))
    assert indices[-1] == 5
    assert source.left


def test_invalid_arguments_raise_at_the_first_frame(
    clip: MakeClip, model: Path, tmp_path: Path
) -> None:
    path = clip()
    with pytest.raises(SourceUnavailable):
        next(stream(tmp_path / "none.mp4", model=model))
    with pytest.raises(OptionError, match="alpha"):
        next(stream(path, alpha=float("nan"), model=model))
    with pytest.raises(OptionError, match="needs more than 32 frames/s, and there are 30"):
        next(stream(path, filter=Temporal(2, 16), model=model))
    with pytest.raises(ModelIncompatible):
        next(stream(path, model=path))
    assert len(list(stream(path, filter=Temporal(2, 16), model=model, capture_fps=240))) == 30


def test_presets_and_bands_as_text(clip: MakeClip, model: Path) -> None:
    path = clip(frames=40)
    assert len(list(stream(path, model=model, preset="breath"))) == 40
    assert len(list(stream(path, model=model, filter="48-72bpm"))) == 40
    with pytest.raises(OptionError, match="the band 20-30 Hz needs more than 60 frames/s"):
        list(stream(path, model=model, filter="20-30Hz"))
