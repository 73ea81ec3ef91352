"""Measurement of the regions of a recording, frame by frame.

meter = Meter({"motor": (300, 200, 64, 64), "all": None})
for frame in source:
    meter.add(frame)
result = meter.result()
result.region("motor").peaks
"""

import math
from array import array
from collections.abc import Mapping

import numpy as np

from rtmag.realtime.analysis.following import Follower
from rtmag.realtime.analysis.measurement import LEAST_REPEATED, Measurement, RegionMotion
from rtmag.realtime.analysis.spectra import MIN_SAMPLES, Samples, usual_step
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Band
from rtmag.realtime.frame import Frame, Region, clipped

MAX_SAMPLES = 8_000_000
"""Largest number of kept samples of all regions together: 200 MB. Of a longer recording, the later
part is kept: 74 hours of one region at 30 frames per second, 44 minutes of a grid of 10 x 10."""


def grid(size: tuple[int, int], columns: int, rows: int) -> dict[str, Region]:
    """Divide a picture into regions of equal size, named A1, B1 ... by column and row.

    Args:
        size: (width, height) of the picture in pixels.
        columns: number of regions from left to right.
        rows: number of regions from top to bottom.

    Raises:
        OptionError: regions would be smaller than 8 pixels.
    """
    width, height = size[0] // columns, size[1] // rows
    if min(width, height) < 8:
        raise OptionError(
            f"a grid of {columns} x {rows} divides {size[0]} x {size[1]} pixels into regions of "
            f"{width} x {height}: they need at least 8 x 8, choose fewer"
        )
    return {
        f"{_letters(column)}{row + 1}": (column * width, row * height, width, height)
        for row in range(rows)
        for column in range(columns)
    }


def _letters(number: int) -> str:
    """A to Z, then AA, AB and so on, from 0."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)


class Meter:
    """Measures the motion of regions.

    Args:
        regions: x, y, width, height in pixels by name; None: the whole picture.
        band: edges in Hz of peaks and levels; None: all that the frame rate can hold.
        capture_fps: for slow-motion files: the rate at which the scene was filmed. The times of the
            frames are then ignored.
        scale: units per pixel.
        unit: unit of `scale` times pixels, such as mm.

    Raises:
        OptionError: there is no region.
    """

    def __init__(
        self,
        regions: Mapping[str, Region | None],
        *,
        band: Band | None = None,
        capture_fps: float | None = None,
        scale: float = 1.0,
        unit: str = "px",
    ) -> None:
        if not regions:
            raise OptionError("nothing to measure: give at least one region")
        self._regions = dict(regions)
        self._band, self._capture_fps = band, capture_fps
        self._scale, self._unit = scale, unit
        self._size: tuple[int, int] | None = None
        self._followed: list[_Followed] = []
        self._last: Frame | None = None
        self._frames = 0
        self._most = MAX_SAMPLES // len(regions)

    def add(self, frame: Frame) -> None:
        """Measure one frame; a repetition of the last frame is ignored.

        Raises:
            OptionError: the size of the picture changed, or a region is outside the picture.
        """
        if self._size is None:
            self._size = frame.size
            self._followed = [
                _Followed(name, _inside(name, region, frame.size), self._most)
                for name, region in self._regions.items()
            ]
        if frame.size != self._size:
            raise OptionError(
                f"the picture changed from {self._size[0]}x{self._size[1]} to "
                f"{frame.size[0]}x{frame.size[1]} while it was measured; measure the parts by "
                "themselves, with --start and --end"
            )
        last, self._last = self._last, frame
        if last is not None and frame.epoch == last.epoch and frame.time <= last.time:
            return
        if last is not None and frame.epoch != last.epoch:
            for each in self._followed:
                each.restart()
        time = frame.time if self._capture_fps is None else frame.index / self._capture_fps
        for each in self._followed:
            each.add(frame, time)

    def result(self) -> Measurement:
        """Return the measurement of all frames so far."""
        regions = [each.motion(self._band) for each in self._followed]
        longest = max((region.times for region in regions), key=len, default=np.zeros(0))
        step = usual_step(longest)
        return Measurement(
            regions=regions,
            size=self._size or (0, 0),
            fps=1 / step if step else 0.0,
            scale=self._scale,
            unit=self._unit,
            band=self._band,
            notes=self._notes(),
        )

    def _notes(self) -> list[str]:
        """Each reason to doubt the numbers once, with the regions that it is about."""
        names: dict[str, list[str]] = {}
        lost = {each.name: each.lost for each in self._followed if each.lost}
        if lost:
            most = f"{'up to ' if len(lost) > 1 else ''}{max(lost.values())}"
            names[f"{most} frames show something else and are left out"] = [*lost]
        for each in self._followed:
            for note in each.notes():
                names.setdefault(note, []).append(each.name)
        return [f"{_named(regions)}: {note}" for note, regions in names.items()]


def _named(names: list[str]) -> str:
    """Return the names of regions as the beginning of a sentence."""
    return f"region {names[0]}" if len(names) == 1 else f"regions {', '.join(names)}"


def _inside(name: str, region: Region | None, size: tuple[int, int]) -> Region:
    """The part of a region inside the picture."""
    x, y, w, h = region or (0, 0, *size)
    if x >= size[0] or y >= size[1] or x + w <= 0 or y + h <= 0:
        raise OptionError(
            f"region {name} at {x},{y},{w},{h} is outside the picture of {size[0]}x{size[1]}"
        )
    return clipped(region, size)


class _Followed:
    """One region and its samples."""

    def __init__(self, name: str, box: Region, most: int) -> None:
        self.name, self._box, self._most = name, box, most
        self._follower = Follower(box)
        self._times = array("d")
        self._values = array("f")  # four for each time: displacement and deviation
        self.lost = 0
        """Number of frames that are left out."""
        self._dropped = False

    def restart(self) -> None:
        """Continue from the last displacement with a new reference."""
        self._follower.restart()

    def add(self, frame: Frame, time: float) -> None:
        result = self._follower.add(frame, time)
        if result is None:
            self.lost += 1
            return
        self._times.append(time)
        self._values.extend((*result.displacement, *result.deviation))
        if len(self._times) > self._most:
            half = self._most // 2
            del self._times[:half], self._values[: 4 * half]
            self._dropped = True

    def motion(self, band: Band | None) -> RegionMotion:
        values = np.array(self._values, np.float64).reshape(-1, 4)
        times: Samples = np.array(self._times)
        return RegionMotion(
            self.name,
            self._box,
            times,
            values[:, :2],
            values[:, 2:],
            band,
            self._follower.repeated,
        )

    def notes(self) -> list[str]:
        """Reasons to doubt the numbers of this region."""
        notes = []
        if self._values and math.isinf(self._values[-1]):
            return ["no texture whose motion could be measured"]
        if self._follower.repeated > LEAST_REPEATED:
            notes.append(
                "compression makes small motion smaller; the deviations of amplitudes are larger "
                "for it"
            )
        if self._dropped:
            notes.append("only the later part of the recording is kept")
        if len(self._times) < MIN_SAMPLES:
            notes.append("too few frames for a spectrum")
        return notes
