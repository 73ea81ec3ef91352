"""The layout `map`: where the picture moves at one frequency, and by how much.

The frequency is given, or it is that of the strongest line in the fields of the last seconds. The
map is drawn over the original picture, never over a magnified one.
"""

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.analysis.lock_in import LockIn
from rtmag.realtime.controls import Layout
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Band
from rtmag.realtime.frame import Frame, Image, MotionField
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.motion_map import (
    PIXELS,
    AmplitudeScale,
    MapCells,
    MapKind,
    Unit,
    draw_map,
)
from rtmag.realtime.view.overlay import write

WINDOW = 8.0
"""Seconds in which the strongest line is looked for."""

WIDTH = 0.1
"""A line at this distance in Hz, times the seconds of the average, is measured fully."""

FOREVER = 1e9
"""Seconds over which an average decays that does not forget."""

_INTERVAL = 1.0  # seconds between two looks for the strongest line

_LEAST_SAMPLES = 24  # frames before the first look

_LEAST_PERIODS = 2.0  # of a line in the window

_MAX_SAMPLES = 2048  # frames that are kept

_BLOCKS = 20, 15  # columns and rows of the averages of a field that are searched

_BEST = 6  # blocks with the most motion, whose mean power counts

_REDRAW = 0.1  # seconds for which the colours of cells are used again

_TOP = 0.995  # quantile of the amplitudes that the scale holds; single cells may be wrong


class StrongestLine:
    """Frequency of the strongest periodic motion of the last seconds.

    Args:
        band: Edges in Hz; None: all frequencies.
    """

    def __init__(self, band: Band | None = None) -> None:
        self._band = band
        self._samples: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=_MAX_SAMPLES)
        self._looked = -math.inf
        self.hz: float | None = None
        """Frequency in Hz; None: not known yet."""

    def add(self, field: MotionField, time: float) -> None:
        """Add the field of a frame at a time in seconds."""
        weight = 1 / np.square(np.maximum(field.deviation, np.float32(1e-3)))  # 0 where unknown
        parts = [
            cv2.resize(each, _BLOCKS, interpolation=cv2.INTER_AREA)
            for each in (field.displacement * weight, weight)
        ]
        sample = np.asarray(parts[0] / np.maximum(parts[1], np.float32(1e-9)), np.float32)
        if self._samples and time <= self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((time, sample.ravel()))
        while time - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        if len(self._samples) >= _LEAST_SAMPLES and abs(time - self._looked) > _INTERVAL:
            self._looked, self.hz = time, self._strongest()

    def _strongest(self) -> float | None:
        """Frequency of the largest power of the blocks that move most; None if there is none."""
        times = np.array([time for time, _ in self._samples])
        values = np.stack([sample for _, sample in self._samples])
        step = float(np.median(np.diff(times)))
        regular = np.arange(times[0], times[-1] + step / 2, step)
        nearest = np.clip(np.searchsorted(times, regular), 0, len(times) - 1)
        count = len(regular)
        window = np.hanning(count).astype(np.float32)[:, None]
        centred = values[nearest] - values.mean(axis=0)
        points = 4 * count  # between whole periods of the window
        power = np.square(np.abs(np.fft.rfft(centred * window, points, axis=0)))
        both = power.reshape(len(power), -1, 2).sum(axis=2)
        best = np.sort(both, axis=1)[:, -_BEST:].mean(axis=1)
        hz = np.fft.rfftfreq(points, step)
        low, high = self._band or (0.0, math.inf)
        allowed = (hz >= max(low, _LEAST_PERIODS / (count * step))) & (hz <= high)
        if not allowed.any():
            return None
        top = int(np.where(allowed, best, 0).argmax())
        before, at, after = np.log(
            best[[max(top - 1, 0), top, min(top + 1, len(best) - 1)]] + 1e-30
        )
        bend = before - 2 * at + after
        offset = float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
        return float(hz[top] + offset * hz[1])


class Mapper:
    """Map of one stream.

    Args:
        hz: Frequency in Hz; None: that of the strongest line.
        band: Edges in Hz within which the line is looked for; None: all frequencies.
        seconds: Time over which the average decays by the factor e; None: as `LockIn`.
        unit: Unit of the legend.
    """

    def __init__(
        self,
        hz: float | None = None,
        band: Band | None = None,
        seconds: float | None = None,
        unit: Unit = PIXELS,
    ) -> None:
        self._line = StrongestLine(band) if hz is None else None
        if hz is None and band is not None:
            hz = math.sqrt(band[0] * band[1])  # until the line is known
        self._seconds, self._unit = seconds, unit
        self._lock_in = None if hz is None else LockIn(hz, seconds)
        self._next: LockIn | None = None
        """At another frequency; it takes the place of the present one as soon as it is ready."""
        self._scale = AmplitudeScale()
        self._cells: MapCells | None = None
        self._drawn = -math.inf

    @property
    def hz(self) -> float | None:
        """Frequency of the map in Hz; None: not known yet."""
        return None if self._lock_in is None else self._lock_in.hz

    def add(self, field: MotionField, time: float) -> None:
        """Add the displacement of a frame at a time in seconds."""
        if self._line is not None:
            self._line.add(field, time)
            self._follow(self._line.hz)
        for lock_in in (self._lock_in, self._next):
            if lock_in is not None:
                lock_in.add(field, time)
        if self._next is not None and (self._next.ready or self._lock_in is None):
            self._lock_in, self._next, self._cells = self._next, None, None

    def _follow(self, hz: float | None) -> None:
        """Begin to average at another frequency, if the line has left the present one."""
        latest = self._next or self._lock_in
        if hz is not None and (latest is None or abs(hz - latest.hz) > WIDTH / latest.seconds):
            near = self._lock_in is not None and (
                abs(hz - self._lock_in.hz) <= WIDTH / self._lock_in.seconds
            )
            self._next = None if near else LockIn(hz, self._seconds)

    @property
    def ready(self) -> bool:
        """True if there is a map."""
        return self._lock_in is not None and self._lock_in.ready

    def draw(self, frame: Frame, kind: MapKind = "amplitude") -> Image:
        """Draw the map over the original frame, whose field was added last."""
        if self._lock_in is None or not self._lock_in.ready or frame.field is None:
            at = "" if self.hz is None else f" at {self.hz:.3g} Hz"
            return write(frame.image, [f"measuring motion{at}"], corner="bottom")
        if self._cells is None or not 0 <= frame.time - self._drawn < _REDRAW:
            self._cells, self._drawn = MapCells(*self._lock_in.cells()), frame.time
        shown = self._cells.size[self._cells.share > 0]
        largest = float(np.quantile(shown, _TOP)) if shown.size else 0.0
        end = self._scale.update(largest * self._unit.per_px, frame.time) / self._unit.per_px
        return draw_map(frame, self._cells, kind, end, self._lock_in.hz, self._unit)


class ClipMap:
    """The maps of a whole recording, from frames with their fields.

    Args:
        hz: Frequency in Hz; None: that of the strongest line.
        band: Edges in Hz within which the line is looked for; None: all frequencies.
        capture_fps: Rate in 1/s at which a slow-motion clip was filmed; None: the frames' times.
        unit: Unit of the legend.
    """

    def __init__(
        self,
        hz: float | None = None,
        band: Band | None = None,
        capture_fps: float | None = None,
        unit: Unit = PIXELS,
    ) -> None:
        # At a known frequency, all frames have about the same weight.
        self._mapper = Mapper(hz, band, None if hz is None else FOREVER, unit)
        self._capture_fps = capture_fps
        self._last: Frame | None = None

    def add(self, frame: Frame) -> None:
        """Add a frame that has a field."""
        if frame.field is not None:
            rate = self._capture_fps
            self._last = frame
            self._mapper.add(frame.field, frame.time if rate is None else frame.index / rate)

    def draw(self, kind: MapKind) -> Image:
        """Draw a map over the last frame.

        Raises:
            OptionError: there is no map, because the recording is too short, or nothing moves.
        """
        if self._last is None or not self._mapper.ready:
            raise OptionError(
                "cannot draw a map: the recording is shorter than two periods of the motion; "
                "measure for longer, or give --hz"
            )
        return self._mapper.draw(self._last, kind)


class LiveMap:
    """The map of a run, which begins again when the band changes."""

    def __init__(self) -> None:
        self._mapper: Mapper | None = None
        self._band: Band | None = None
        self._epoch = 0

    def draw(self, original: Frame, magnified: Frame, band: Band | None) -> Frame:
        """Return the original frame with the map of the motion that was measured in it.

        Args:
            original: The frame as the source gave it.
            magnified: The same frame from a magnifier that measures.
            band: Edges of the filter in Hz, if it has a band.
        """
        if self._mapper is None or (band, original.epoch) != (self._band, self._epoch):
            self._mapper, self._band, self._epoch = Mapper(band=band), band, original.epoch
        if magnified.field is None:
            return original
        self._mapper.add(magnified.field, original.time)
        picture = self._mapper.draw(replace(original, field=magnified.field))
        return magnified.with_image(picture)


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame in all forms that layouts show."""

    original: Frame
    magnified: Frame
    mapped: Frame
    """With the map of the motion, if a layout in use shows it."""

    def of(self, layout: Layout) -> Frame:
        """The frame that this layout shows, alone or together with the original."""
        return self.mapped if layout == "map" else self.magnified
