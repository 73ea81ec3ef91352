"""Frequencies at which something in a clip moves, with the place, and with what else they may be.

finder = Finder()
for frame in rtmag.motion("clip.mp4", filter=FINDING):
    finder.add(frame)
for line in finder.lines():
    print(line.hz, line.px, line.at, line.note)

The field of each frame is averaged to a coarse grid. Spectra of segments are averaged as in Welch's
method, so the memory is bounded for any length. See `line_spectrum` for the statistics and
`line_causes` for false lines.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.analysis.field_record import SEGMENT, EvenRecord, FieldRecord, Floats, Grid
from rtmag.realtime.analysis.line_causes import (
    ALONE,
    EXPOSURE_HZ,
    LIGHT_PX,
    Map,
    Rhythm,
    amplitudes,
    beat,
    folded,
    mains,
    rigid,
)
from rtmag.realtime.analysis.line_spectrum import (
    COMMON,
    LEAST_FRAMES,
    Cells,
    LineSpectrum,
    Standout,
    detrended,
)
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Band, Static
from rtmag.realtime.frame import Frame
from rtmag.realtime.opencv import cv2

FINDING = Static(drift=0.1)
"""Filter of the fields: all motion but the slowest, whose size would exceed the network's range."""

_HALF_BAND = 0.15
"""Half the width of the band of a line, relative to its frequency."""

_FOLLOWS = 0.25
"""Amplitude relative to the largest one from which a cell counts as moving at a frequency."""

_STEADY = 0.65
"""Least participation of the parts of a clip in a line: a step happens in one part only."""

_HARMONICS = 8
"""Highest multiple of a line that is sought."""

_SIGNIFICANT = 12.0
"""Power relative to the noise, both axes together, from which a cell moves: noise exceeds it in one
of 10 000 cells."""

_APART = 0.5
"""Motion relative to the camera's from which a thing moves by itself."""

_PART_PERIODS = 1.25
"""Least periods of a part of a clip."""

_PARTS = 8
"""Largest number of parts."""

_COMPARED = 8
"""Number of other frequencies of a rhythm that a line is compared with."""

_SAME = 0.6
"""Difference in bins up to which a line has the frequency of a rhythm."""

_SIDEBAND = 0.8
"""Amplitude relative to a line below which the codec may have made another one from it."""

_MOST = 24
"""Largest number of lines."""

_BESIDE = 0.1
"""Amplitude relative to that of another line at the same place below which the measurement itself,
which is not exactly linear, may have added a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One frequency at which something moves, or seems to."""

    hz: float
    """Frequency in Hz."""
    px: float
    """Largest amplitude in px: half of the full swing."""
    share: float
    """Share of the picture that moves at this frequency, 0 to 1."""
    at: tuple[float, float]
    """Position (x, y) of the largest motion in px of the frame."""
    real: bool
    """False if it is more likely an artefact than motion in the scene; `note` names it."""
    note: str = ""
    """What it is, or may be instead; empty if nothing else is known."""
    strength: float = 0.0
    """Level above the noise, relative to the smallest that is shown."""

    def data(self) -> dict[str, object]:
        """Return the line as JSON data."""
        return {
            "hz": round(self.hz, 4),
            "px": round(self.px, 5),
            "share": round(self.share, 4),
            "at": [round(self.at[0], 1), round(self.at[1], 1)],
            "real": self.real,
            "note": self.note,
        }


def band_around(line: Line, seconds: float) -> Band:
    """Return the edges in Hz of a band for a line: 15 % to both sides, or more if it is short.

    Args:
        line: a line of a clip.
        seconds: length of the clip, which limits the resolution.
    """
    half = max(_HALF_BAND * line.hz, 1.5 / seconds)
    return max(line.hz - half, line.hz / 2), line.hz + half


class Finder:
    """Finds the frequencies of a clip or stream from the fields of its frames.

    A frame that does not continue the last one, by its size, its region, its time or its epoch,
    starts a new record; what was found before stays only if it filled a segment.

    Args:
        drift: cut-off in Hz of the filter `Static` that the fields have passed; None: no drift.
        capture_fps: for slow-motion files: the rate at which the scene was filmed. The times of the
            frames are then ignored.
    """

    def __init__(
        self, drift: float | None = FINDING.drift, *, capture_fps: float | None = None
    ) -> None:
        self._drift, self._capture_fps = drift, capture_fps
        self._record = FieldRecord(drift, capture_fps)
        self._spectrum: LineSpectrum | None = None

    def add(self, frame: Frame) -> None:
        """Add a frame with its field.

        Raises:
            OptionError: the frame has no field.
        """
        if frame.field is None:
            raise OptionError("finding needs frames with .field, as rtmag.motion yields them")
        if not self._record.continues(frame, frame.field):
            self._record = FieldRecord(self._drift, self._capture_fps)
            self._spectrum = None
        self._record.add(frame, frame.field)
        if len(self._record) == SEGMENT and self._record.grid is not None:
            timeline = self._record.timeline()
            cells = Cells(self._record.grid.weights)
            spectrum = self._spectrum or LineSpectrum(cells, SEGMENT)
            spectrum.add(timeline.field[:SEGMENT])
            self._spectrum = spectrum
            self._record.drop(SEGMENT // 2)

    @property
    def seconds(self) -> float:
        """Length of the present record in seconds."""
        return self._record.seconds

    def lines(self) -> list[Line]:
        """Return the lines, best first; those that are not real follow the real ones."""
        grid = self._record.grid
        if grid is None or len(self._record) < LEAST_FRAMES or not grid.weights.any():
            return []
        timeline = self._record.timeline()
        spectrum = self._spectrum
        if spectrum is None:
            spectrum = LineSpectrum(Cells(grid.weights), len(timeline.field))
            spectrum.add(timeline.field)
        return _Search(timeline, grid, spectrum).lines()


class _Search:
    """The lines of one record."""

    def __init__(self, timeline: EvenRecord, grid: Grid, spectrum: LineSpectrum) -> None:
        self._timeline, self._grid, self._spectrum = timeline, grid, spectrum
        self._cells = spectrum.cells
        self._field = detrended(timeline.field)
        self._common = self._cells.common(self._field)
        self._fps = timeline.fps
        self._step = timeline.fps / spectrum.count
        """Distance of two bins in Hz."""
        self._codecs = [Rhythm(marks, self._fps) for marks in timeline.codings.T]
        self._repeats = Rhythm(timeline.repeats, self._fps)

    def lines(self) -> list[Line]:
        """Return the lines in order."""
        found: list[Line] = []
        for candidate in self._spectrum.candidates()[:_MOST]:
            found += self._judged(candidate)
        return _ordered(self._related(found))

    def _judged(self, candidate: Standout) -> list[Line]:
        """Return a candidate as a line; two, if the camera shakes and a thing moves as well."""
        hz = (candidate.bin + self._spectrum.offset(candidate)) * self._step
        if not _lasts(self._series(candidate), hz / self._fps):
            return []
        motion = amplitudes(self._field, hz / self._fps)
        noise = self._spectrum.noise(candidate.bin)
        line = self._line(candidate, hz, motion, noise)
        artefact = self._artefact(candidate, line)
        if artefact is not None:
            return [replace(line, real=False, note=artefact)]
        shake = rigid(motion, self._grid.weights, self._cells.textured)
        if not shake.is_camera:
            return [line]
        own = _size(motion - shake.motion)
        size = _size(shake.motion)
        px = float(np.median(size.ravel()[self._cells.textured]))
        whole = replace(line, px=px, share=shake.share, real=False, note=_SHAKE)
        apart = _moving(motion - shake.motion, noise) & (own > _APART * size + 4 * shake.doubt)
        apart &= _size(motion) > _APART * size  # what has no texture seems to be still
        if cv2.erode(apart.astype(np.uint8), np.ones((2, 2), np.uint8)).max() == 0:
            return [whole]
        thing = self._line(candidate, hz, (motion - shake.motion) * apart[..., None], noise)
        return [replace(thing, note="apart from the camera, which shakes at it too"), whole]

    def _series(self, candidate: Standout) -> Floats:
        """Return the displacement (T, 2) that shows a candidate best."""
        if candidate.level == COMMON:
            return self._common
        return self._cells.series(self._field, candidate) - self._common

    def _line(self, candidate: Standout, hz: float, motion: Map, noise: Floats) -> Line:
        """Return a line with its place, its amplitude and its share of the picture."""
        moving = _moving(motion, noise)
        if not moving.any():
            return self._faint(candidate, hz)
        power = np.maximum((np.abs(motion) ** 2 - noise).sum(axis=2), 0)
        size = np.where(moving, np.sqrt(power), 0)
        best = np.unravel_index(np.argmax(size - 2 * np.sqrt(noise.sum(axis=2))), size.shape)
        row, column = (int(each) for each in best)
        near = size[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        px = float(np.median(near[near >= 0.7 * size[row, column]]))
        follows = size >= _FOLLOWS * px
        labels = cv2.connectedComponents(follows.astype(np.uint8))[1]
        rows, columns = np.nonzero(labels == labels[row, column])
        weights = size[rows, columns]
        at = np.average(rows, weights=weights), np.average(columns, weights=weights)
        share = float(follows.mean())
        return Line(hz, px, share, self._grid.position(*at), True, "", candidate.strength)

    def _faint(self, candidate: Standout, hz: float) -> Line:
        """Return a line that no single cell shows, but the mean of several."""
        px = math.sqrt(float(self._spectrum.power(candidate)[candidate.bin]))
        h, w = self._grid.shape
        if candidate.level == COMMON:
            return Line(
                hz, px, 1.0, self._grid.position((h - 1) / 2, (w - 1) / 2), True, "",
                candidate.strength,
            )  # fmt: skip
        row, column, side = self._cells.place(candidate)
        middle = (side - 1) / 2
        place = self._grid.position(min(row + middle, h - 1), min(column + middle, w - 1))
        return Line(hz, px, min(side**2 / (h * w), 1.0), place, True, "", candidate.strength)

    def _artefact(self, candidate: Standout, line: Line) -> str | None:
        """Return the note of a line that is no motion; None if nothing is known against it."""
        place = line.hz / self._step
        for codec in self._codecs:
            # Some codecs change between two qualities, at half the rate.
            bins = next((each for each in (codec.bins, codec.halves) if _has(each, place)), None)
            if bins is not None and not self._stands_out(candidate, bins):
                return (
                    f"the codec: its pictures repeat {codec.hz:.4g} times a second, and so does "
                    "their noise"
                )
        if _has(self._repeats.bins, place):
            return f"the recording repeats frames {self._repeats.hz:.4g} times a second"
        light = beat(self._timeline, line.hz)
        if light.is_light and line.px < LIGHT_PX * light.amplitude:
            return self._light_note(line.hz, light.amplitude)
        return None

    def _stands_out(self, candidate: Standout, bins: NDArray[np.intp]) -> bool:
        """True if a line is much stronger than others of the same rhythm."""
        others = bins[np.abs(bins - candidate.bin) > 2]
        power = self._spectrum.power(candidate)
        near = others[np.abs(others - candidate.bin).argsort()[:_COMPARED]]
        return len(near) >= 2 and bool(power[candidate.bin] > ALONE * np.median(power[near]))

    def _light_note(self, hz: float, amplitude: float) -> str:
        """Return the note of a line by light."""
        change = f"the brightness of the picture changes by {100 * amplitude:.2g} %"
        if hz < EXPOSURE_HZ:
            return f"the exposure of the camera: {change} at this frequency"
        source = mains(hz, self._fps, self._step)
        if source is None:
            return f"light: {change} at this frequency"
        return f"light of the mains of {source:g} Hz: {change} at this frequency"

    def _related(self, lines: list[Line]) -> list[Line]:
        """Name harmonics, images by repeated frames, and possible aliases."""
        by_size = sorted(lines, key=lambda line: -line.px)
        related = []
        for line in lines:
            bases = [each for each in by_size if each.px > line.px] if line.real else []
            notes = (self._relation(line, base) for base in bases)
            real, note = next((each for each in notes if each is not None), (line.real, line.note))
            if real:
                note = "; ".join(filter(None, (note, self._alias_note(line.hz))))
            related.append(replace(line, real=real, note=note))
        return related

    def _relation(self, line: Line, base: Line) -> tuple[bool, str] | None:
        """Return if a line is real, and a note, if it follows from a larger one; else None."""
        images = [(self._repeats, "the recording repeats frames")]
        if line.px < _SIDEBAND * base.px:
            images += [(codec, "the codec changes its noise") for codec in self._codecs]
        for rhythm, cause in images:
            if rhythm.mixes(line.hz / self._step, base.hz / self._step):
                return (
                    False,
                    f"an image of {base.hz:.4g} Hz: {cause} {rhythm.hz:.4g} times a second",
                )
        if line.px < _BESIDE * self._size_at(base.hz, line.at):
            return False, f"small next to {base.hz:.4g} Hz: its measurement may have added it"
        for times in range(2, _HARMONICS + 1):
            distance = abs(folded(times * base.hz, self._fps) - line.hz)
            if base.real and distance < (0.2 + 0.1 * times) * self._step:
                return True, f"{_HARMONIC} {times} of {base.hz:.4g} Hz"
        return None

    def _size_at(self, hz: float, at: tuple[float, float]) -> float:
        """Return the amplitude at a frequency in Hz and a position in px of the frame."""
        row, column = self._grid.cell_of(at)
        near = np.s_[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        return float(_size(amplitudes(self._field[near], hz / self._fps)).max())

    def _alias_note(self, hz: float) -> str:
        """Return the next frequencies that would look the same."""
        return (
            f"{self._fps - hz:.4g} or {self._fps + hz:.4g} Hz would look the same at "
            f"{self._fps:.4g} frames/s"
        )


_HARMONIC = "harmonic"

_SHAKE = (
    "shake of the camera: the whole picture moves as one; if it is still, a thing that fills the "
    "picture"
)


def _has(bins: NDArray[np.intp], place: float) -> bool:
    """True if a frequency, in bins, is one of a rhythm."""
    return len(bins) > 0 and float(np.abs(bins - place).min()) <= _SAME


def _size(motion: Map) -> Floats:
    """Return the amplitude of both axes together, (h, w)."""
    return np.asarray(np.sqrt((np.abs(motion) ** 2).sum(axis=-1)), np.float32)


def _moving(motion: Map, noise: Floats) -> NDArray[np.bool_]:
    """Return the cells that move more than noise does, (h, w)."""
    score = (np.abs(motion) ** 2 / np.maximum(noise, 1e-30)).sum(axis=2)
    return np.asarray(score > _SIGNIFICANT)


def _lasts(series: Floats, turns: float) -> bool:
    """True if a frequency is present all the time, unlike a step or a drift.

    A sinusoid and a straight line are fitted to each part of the series.

    Args:
        series: (T, 2) displacement.
        turns: frequency in periods per sample.
    """
    count = int(np.clip(len(series) * turns / _PART_PERIODS, 3, _PARTS))
    amplitude = []
    for part in np.array_split(series, count):
        at = np.arange(len(part))
        angle = 2 * np.pi * turns * at
        basis = np.stack([np.ones(len(at)), at, np.cos(angle), np.sin(angle)], axis=1)
        fitted = np.linalg.lstsq(basis, part, rcond=None)[0]
        amplitude.append(float(np.sqrt((fitted[2:] ** 2).sum())))
    total = np.array(amplitude)
    return bool(total.sum() ** 2 >= _STEADY * count * (total**2).sum())


def _ordered(lines: list[Line]) -> list[Line]:
    """Sort by strength, harmonics after their fundamentals, and what is not real at the end."""
    real = sorted((each for each in lines if each.real), key=lambda each: -each.strength)
    bases = [each for each in real if not each.note.startswith(_HARMONIC)]
    ordered = []
    for base in bases:
        mark = f"of {base.hz:.4g} Hz;"
        ordered += [base, *(each for each in real if each not in bases and mark in each.note)]
    ordered += [each for each in real if each not in ordered]
    false = sorted((each for each in lines if not each.real), key=lambda each: -each.strength)
    return ordered + false
