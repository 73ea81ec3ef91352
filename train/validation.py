"""Validation on real clips: a magnified video and slices over time, to look at during training.

The network runs as it does live: frame by frame, with a temporal filter of its shape
(train/network/recurrence.py).
"""

from itertools import islice
from pathlib import Path

import numpy as np
import torch

from rtmag.realtime.analysis.slices import Line, figure, line_samples
from rtmag.realtime.engines.contract import SIDE_MULTIPLE
from rtmag.realtime.errors import SinkError, SourceUnavailable
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.video_file import VideoSource
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018
from rtmag.train.network.recurrence import Cascade

BAND = Temporal(0.4, 3)  # Hz: breathing, pulse, swaying


def magnify_clip(
    net: MagNet | Oh2018, clip: Path, out: Path, *, alpha: float = 20.0, frames: int = 150
) -> None:
    """Magnify the beginning of a clip into `out`.mp4 and `out`.png.

    The video shows original and magnified side by side. The picture shows the middle row and the
    middle column over time, the original above the magnified one. Sides are cropped to multiples
    of 16 px.

    Args:
        net: The network, on its device.
        clip: A video file.
        out: Path of both outputs without their suffix; its folder is made if missing.
        alpha: Total magnification factor.
        frames: Largest number of frames to magnify.

    Raises:
        SourceUnavailable: the clip cannot be read, or its pictures are smaller than 16 px.
        SourceLost: the clip is damaged after its beginning.
        OptionError: the clip has too few frames per second for `BAND`.
        SinkError: an output cannot be written.
    """
    with VideoSource(clip) as source:
        if min(source.size) < SIDE_MULTIPLE:
            raise SourceUnavailable(
                f"cannot magnify {str(clip)!r}: smaller than {SIDE_MULTIPLE} px"
            )
        cascade = Cascade(BAND.sections(source.fps or 30.0))
        _make_folder(out.parent)
        video = out.with_name(out.name + ".mp4")
        sink = VideoSink(video, fps=source.fps or 30.0, overwrite=True)
        slices = _Slices(source.size)
        finished = False
        try:
            for frame in islice(source, frames):
                before = _cropped(frame.image)
                after = _step(net, before, alpha, cascade)
                sink.write(Frame(np.hstack([before, after]), frame.time, frame.index))
                slices.add(before, after)
            finished = True
        finally:
            sink.close(finished=finished)
    slices.write(out.with_name(out.name + ".png"))


@torch.no_grad()
def _step(net: MagNet | Oh2018, image: Image, alpha: float, cascade: Cascade) -> Image:
    device = next(net.parameters()).device
    x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
    texture, shape = net.encode(x)
    difference = cascade(shape)
    out = net.decode(x, texture, shape, difference, torch.tensor([alpha], device=device))
    levels = (out[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)  # (H, W, 3)
    return np.ascontiguousarray(levels.cpu().numpy())


def _cropped(image: Image) -> Image:
    height, width = (side // SIDE_MULTIPLE * SIDE_MULTIPLE for side in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


class _Slices:
    """Middle row and middle column of each picture, before and after magnification."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = (side // 4 * 4 - 1 for side in size)
        row: Line = (0, height // 2, width, height // 2)
        column: Line = (width // 2, 0, width // 2, height)
        self._lines = {"row": row, "column": column}
        self._seen: dict[tuple[str, str], list[Image]] = {}

    def add(self, before: Image, after: Image) -> None:
        for name, line in self._lines.items():
            for moment, image in (("before", before), ("after", after)):
                self._seen.setdefault((name, moment), []).append(line_samples(image, line))

    def write(self, path: Path) -> None:
        columns = [
            [
                (f"{moment}, middle {name}", np.stack(self._seen[name, moment], axis=1))
                for moment in ("before", "after")
            ]
            for name in self._lines
        ]
        _, data = cv2.imencode(".png", figure(columns))
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise SinkError(f"cannot write {str(path)!r}: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make folder {str(folder)!r}: {error.strerror}") from error
