"""Copies of frames in a stream, equal ones and those that a codec has changed."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.duplicates import DuplicateDetector
from rtmag.realtime.frame import Image
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import Clip
from tests.support.scenes import SIZE, filmed, shifted, sway, texture

SETTLING = 50
"""Frames after which a sequence is known."""


def found(pictures: Sequence[Image]) -> list[bool]:
    detector = DuplicateDetector()
    return [detector.is_copy(picture) for picture in pictures]


def repeated(counts: Sequence[int], pixels: float = 1.0) -> tuple[list[Image], list[bool]]:
    """A swaying texture whose frame k is shown counts[k] times, and which frames are copies."""
    frames = filmed(sway(len(counts), pixels=pixels))
    copies = [number > 0 for count in counts for number in range(count)]
    return [frame for frame, n in zip(frames, counts, strict=True) for _ in range(n)], copies


@pytest.mark.parametrize("counts", [[2] * 60, [3] * 50, [3, 2] * 30], ids=["30", "20", "24"])
def test_copies_that_a_codec_has_changed_are_recognised(counts: list[int], tmp_path: Path) -> None:
    frames, copies = repeated(counts)
    clip = Clip(size=SIZE, frames=len(frames), picture=lambda index, _: frames[index])
    clip.options = {"preset": "medium"}
    decoded = [frame.image for frame in VideoSource(clip.write(tmp_path / "clip.mp4"))]
    changed = [not np.array_equal(a, b) for a, b in pairwise(decoded)]
    assert sum(changed[k - 1] for k, copy in enumerate(copies) if copy) > 10
    result = np.array(found(decoded))[SETTLING:]
    wanted = np.array(copies)[SETTLING:]
    assert result[wanted].mean() > 0.9
    assert result[~wanted].mean() < 0.05


@pytest.mark.parametrize("hz", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("pixels", [0.2, 2.0])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_motion_that_turns_does_not_look_like_copies(
    hz: float, pixels: float, noise: float
) -> None:
    pictures = filmed(sway(90, pixels=pixels, hz=hz), noise)
    equal = [False] + [np.array_equal(a, b) for a, b in pairwise(pictures)]
    assert all(equal[k] for k, copy in enumerate(found(pictures)) if copy)


def test_bursts_of_motion_are_not_copies() -> None:
    base = texture()
    burst = [shifted(base, x) for x in (0, 0.5, 1, 1.5, 1, 0.5)] + [shifted(base, 0)] * 6
    detected = np.array(found(filmed(burst * 12))).reshape(-1, 12)
    assert not detected.any()


def test_a_change_of_size_begins_again() -> None:
    frames, _ = repeated([2] * 20)
    detector = DuplicateDetector()
    for frame in frames:
        detector.is_copy(frame)
    assert not detector.is_copy(frames[-1][:60])
    assert detector.is_copy(frames[-1][:60].copy())
