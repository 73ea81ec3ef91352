"""The magnifier: an engine with the clock, the filter and the state of one stream."""

import math
from dataclasses import replace
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.controls import alpha_notes, checked_alpha
from rtmag.realtime.duplicates import DuplicateDetector
from rtmag.realtime.engines.contract import CELL
from rtmag.realtime.engines.engine import MEASURING_ALPHA, Displacement, Engine
from rtmag.realtime.engines.uncertainty import Uncertainty
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Coefficients, Filter, as_filter
from rtmag.realtime.flicker import FLICKER_NOTE, LEAST, Flicker
from rtmag.realtime.frame import Frame, Image, MotionField, Region, as_bgr, clipped
from rtmag.realtime.log import logger
from rtmag.realtime.presets import PresetName, preset_of
from rtmag.realtime.rate import GAP, RATE_TOLERANCE, RateMeter
from rtmag.realtime.scene_change import SceneChange
from rtmag.realtime.sections import Sections, State, advance

MIN_INTERVALS = 8  # number of intervals that are measured before the rate is used

EVEN_TOLERANCE = 0.001  # relative difference of equal intervals of a stream with unequal ones

FADE = 0.5  # seconds over which alpha rises after an interruption


class _Memory(NamedTuple):
    """The memory before a change of the scene, which is valid again if the scene returns."""

    state: State | None
    before: State | None
    last: list[Coefficients]
    shown: tuple[float, int]
    """Time and index of the frame before the change."""


class Magnifier:
    """A callable with memory: Frame -> Frame, or array -> array.

    `alpha`, `filter` and `region` may change between frames. The frame rate is measured from the
    times of the frames, so that band edges are in hertz. Where intervals are uneven or frames are
    missing, the filter takes steps of the true length. The memory, which is the state of the
    filter, is reset by a time that decreases, by a new epoch, size or region, and in a band by a
    gap of more than half a second (three frame intervals, if that is longer). Alpha then rises from
    1 to its value within half a second.

    The memory is also reset when the scene as a whole changes: by a cut, a black beginning, a fade,
    or another exposure, see `SceneChange`. One frame, or those until the light is steady, are then
    shown unmagnified.

    magnifier = Magnifier(alpha=20)
    shown = magnifier(image)               # (H, W, 3) BGR or (H, W) grey, uint8
    shown = magnifier(image, time=0.033)   # with its time in seconds
    frame = magnifier(frame)               # a Frame has its own time

    Args:
        engine: Engine that runs the model; None loads the default model.
        alpha: Total magnification factor: 1 leaves motion unchanged, 20 shows it 20 times larger,
            0 to 1 attenuates, 0 freezes, and a negative value reverses motion. Values beyond 1000
            are reduced to it, with a warning in the log. None: that of the preset, or 20.
        filter: Filter that selects the motion, or its text such as "48-72bpm"; None: that of the
            preset, or Static().
        preset: Name of a preset: `pulse`, `breath`, `machine`, `building` or `micro`. Its band is
            cut to what the frame rate can hold.
        fps: Frames per second, if known. Otherwise the rate is measured, and a temporal filter
            starts after a few frames.
        capture_fps: For slow-motion files: the rate at which the scene was filmed. The interval
            between two frames is then 1/capture_fps, and the times of the frames are ignored.

    Raises:
        OptionError: alpha is not finite, or the band does not fit `fps` or `capture_fps`.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        alpha: float | None = None,
        filter: Filter | str | None = None,
        preset: PresetName | None = None,
        fps: float | None = None,
        capture_fps: float | None = None,
    ) -> None:
        for name, value in (("fps", fps), ("capture_fps", capture_fps)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(f"{name} must be a positive number, got {name} = {value}")
        self.engine = _default_engine() if engine is None else engine
        self.capture_fps = capture_fps
        self.region: Region | None = None
        """Part of the picture to magnify; None: the whole picture."""
        self.measures = False
        """True to give each returned `Frame` its `field`, from the same run of the network."""
        self.warning: str | None = None
        """Reason why frames are returned unmagnified at present; None if they are magnified."""
        self.filter_in_use: Filter
        """The filter with the part of its band that the measured rate can hold."""
        by_hand = filter is not None
        if preset is not None:
            chosen = preset_of(preset)
            alpha = chosen.alpha if alpha is None else alpha
            filter = chosen.filter if filter is None else filter
        self.alpha = 20.0 if alpha is None else alpha
        self._hint = fps
        self._filter = as_filter(filter)
        self.reset()
        if self.fps is not None:
            (self._filter.check if by_hand else self._filter.fitted)(self.fps)

    def reset(self) -> None:
        """Reset the memory and the measured rate: the next frame is the new reference."""
        self.memory: State | None = None
        """State of the engine after the last frame; None if the next frame is a new reference."""
        self._before: State | None = None
        self._uncertainty = Uncertainty()
        self._rate: float | None = None
        self._even: list[list[Coefficients]] = []
        self._last: list[Coefficients] = []
        self._time: float | None = None
        self._index = 0
        self._fade_from: float | None = None
        self._duplicates = DuplicateDetector()
        self._epoch = 0
        self._place: tuple[Region | None, tuple[int, ...]] | None = None
        self._box: Region = (0, 0, 0, 0)
        """The part of the picture that is magnified, clipped to it."""
        self._meter = RateMeter(least=MIN_INTERVALS, expected=self._hint)
        self._untimed = 0
        self._scene = SceneChange()
        self._earlier: _Memory | None = None
        self._start: float | None = None
        self._shown = 0.0, 0
        """Time and index of the last frame that was magnified."""
        self._share = 0.0
        """Share by which the reference becomes each frame."""
        self._flicker: Flicker | None = None
        self._notes: dict[str, str] = {}
        self.filter_in_use, self.warning = self._filter, None

    # ---- settings, which may change between frames ---------------------------------------------

    @property
    def alpha(self) -> float:
        """Total magnification factor."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        self._alpha = checked_alpha(value)
        if self._alpha != value:
            logger().warning("%s", alpha_notes(value)[0])

    @property
    def filter(self) -> Filter:
        """Filter that selects the motion. A new band keeps the memory, a new mode resets it.

        A band that does not fit a rate that was passed in is refused. If the measured rate is too
        low for a band, the band is cut, see `filter_in_use`.
        """
        return self._filter

    @filter.setter
    def filter(self, value: Filter | str | None) -> None:
        value = as_filter(value)
        if self.fps is not None and self.rate_given:
            value.check(self.fps)
        if value.state_key != self._filter.state_key:
            self._interrupt()
        self._filter = self.filter_in_use = value
        self._rate = None

    @property
    def described(self) -> str:
        """Name of the model and of the runtime, for display."""
        return f"{self.engine.described} on {self.engine.runtime}"

    @property
    def motion_scale(self) -> float:
        """Size at which motion is estimated, relative to the picture: 1, 1/2 or 1/4.

        Setting another value resets the memory.
        """
        return self.engine.motion_scale

    @motion_scale.setter
    def motion_scale(self, value: float) -> None:
        if value != self.motion_scale:
            self.engine = self.engine.at(value)
            self._interrupt()

    @property
    def fps(self) -> float | None:
        """Frames per second: `capture_fps`, or the measured rate, or `fps`; None if unknown."""
        if self.capture_fps is not None:
            return self.capture_fps
        if self._hint is None and self._meter.step is not None:
            return 1 / self._meter.step
        return self._meter.fps or self._hint

    @property
    def _rate_known(self) -> bool:
        """True if the rate was passed in, or measured over enough intervals."""
        return self.rate_given or self._meter.fps is not None

    @property
    def rate_given(self) -> bool:
        """True if the rate was passed in."""
        return self.capture_fps is not None or self._hint is not None

    @property
    def scene_changes(self) -> list[float]:
        """Times at which the scene as a whole changed, in seconds after the first frame."""
        return [time - (self._start or 0.0) for time in self._scene.times]

    @property
    def notes(self) -> list[str]:
        """Sentences for the user about the frames so far, one of each kind."""
        return list(self._notes.values())

    # ---- the step -----------------------------------------------------------------------------

    @overload
    def __call__(self, frame: Frame) -> Frame: ...

    @overload
    def __call__(self, frame: NDArray[Any], *, time: float | None = None) -> Image: ...

    def __call__(self, frame: Frame | NDArray[Any], *, time: float | None = None) -> Frame | Image:
        """Magnify the motion in one frame.

        Args:
            frame: A Frame, or an image (H, W, 3) BGR or (H, W) grey, uint8.
            time: Time of an image in seconds. None: the interval between two images is 1/fps, with
                `capture_fps` or `fps` of the constructor. A band needs one of these; for other
                filters the default is 30 per second.

        Returns:
            A Frame if `frame` is a Frame, else an image of the same shape.

        Raises:
            OptionError: another type or shape of image, or a band without a known rate.
        """
        if isinstance(frame, np.ndarray):
            shown = self.magnify(Frame(as_bgr(frame), self._time_of(time), self._untimed))
            return _shaped(shown.image, frame)
        image = as_bgr(frame.image)
        if image is frame.image:
            return self.magnify(frame)
        shown = self.magnify(frame.with_image(image))
        return shown.with_image(_shaped(shown.image, frame.image))

    def _time_of(self, time: float | None) -> float:
        """Return the time of an image in seconds; None: 1/fps after the last image."""
        if time is not None:
            return time
        rate = self.capture_fps or self._hint
        if rate is None and self._filter.needs_rate:
            raise OptionError(
                "a band needs the time of each image: pass time= in seconds, or fps= to Magnifier"
            )
        self._untimed += 1
        return self._untimed / (rate or 30.0)

    def magnify(self, frame: Frame) -> Frame:
        """Magnify the motion in one frame whose image is (H, W, 3) uint8.

        Raises:
            OptionError: the time of the frame is not finite.
            ModelError: as `Engine.step`; ModelIncompatible if `measures` is set, but the model
                returns no displacement.
        """
        step = self._next_step(frame)
        if step is None:
            return replace(frame, field=self._unknown_field(frame)) if self.measures else frame
        image, coefficients, before = step
        sections, alpha = np.array(coefficients, np.float32), self._faded(frame.time)
        field = frame.field
        if self.measures:
            out, state, displacement = self.engine.measure(image, alpha, sections, before)
            field = self._field(image, displacement, sections, before)
        else:
            out, state = self.engine.step(image, alpha, sections, before)
        self._keep(state, before, coefficients)
        return replace(frame, image=_pasted(frame.image, out, self._box), field=field)

    def motion(self, frame: Frame | NDArray[Any], *, time: float | None = None) -> MotionField:
        """Measure the motion in one frame, and draw nothing.

        The rules for times, gaps, changes of the scene and `region` are those of a call, and the
        memory is the same: each frame is passed either to this method or to a call.

        Args:
            frame: a Frame, or an image (H, W, 3) BGR or (H, W) grey, uint8.
            time: time of an image in seconds, as for a call.

        Returns:
            The displacement that `filter` passes, in pixels. While the rate that a band needs is
            unknown, it is zero with an infinite deviation.

        Raises:
            OptionError: another type or shape of image, or a band without a known rate.
            ModelIncompatible: the model returns no displacement.
            ModelError: as `Engine.step`.
        """
        if isinstance(frame, np.ndarray):
            frame = Frame(as_bgr(frame), self._time_of(time), self._untimed)
        frame = frame.with_image(as_bgr(frame.image))
        step = self._next_step(frame)
        if step is None:
            return self._unknown_field(frame)
        image, coefficients, before = step
        sections = np.array(coefficients, np.float32)
        _, state, displacement = self.engine.measure(
            image, MEASURING_ALPHA, sections, before, draw=False
        )
        self._keep(state, before, coefficients)
        return self._field(image, displacement, sections, before)

    def _next_step(self, frame: Frame) -> tuple[Image, list[Coefficients], State | None] | None:
        """Part of the picture, filter and state of the next step; None without a rate.

        Raises:
            OptionError: the time of the frame is not finite.
        """
        if not math.isfinite(frame.time):
            raise OptionError(f"the time of a frame must be finite, got time = {frame.time}")
        uneven = self._follow(frame)
        steps = self._current_steps(uneven)
        if steps is None:
            return None
        if self._place != (self.region, frame.image.shape):
            self._set_place(frame)
        x, y, w, h = self._box
        image = frame.image[y : y + h, x : x + w]
        away = self._check_scene(image, frame)
        if away is not None and self._rate is not None:
            steps = self.filter_in_use.steps(self._rate, away)
        before = self._state_before(image, steps)
        return image, steps[-1], before

    def _keep(self, state: State, before: State | None, coefficients: list[Coefficients]) -> None:
        """Keep the state after a step that has succeeded."""
        self.memory = state
        self._before = state if before is None else before
        self._last = coefficients

    def _field(
        self,
        image: Image,
        displacement: Displacement,
        sections: Sections,
        before: State | None,
    ) -> MotionField:
        """Displacement of the present region with its deviation."""
        if before is None:
            self._uncertainty = Uncertainty()
        scale = self.engine.motion_scale
        deviation = self._uncertainty.add(image, displacement, sections, scale)
        return MotionField(displacement, deviation, CELL / scale, self._box[:2])

    def _unknown_field(self, frame: Frame) -> MotionField:
        """A field of a frame that cannot be measured yet."""
        x, y, w, h = clipped(self.region, frame.size)
        cell = CELL / self.engine.motion_scale
        nothing = np.zeros((math.ceil(h / cell), math.ceil(w / cell), 2), np.float32)
        return MotionField(nothing, np.full_like(nothing, np.inf), cell, (x, y))

    def _set_place(self, frame: Frame) -> None:
        """Take over another size of the picture, or another region if it covers another part."""
        box, shape = clipped(self.region, frame.size), frame.image.shape
        if self._place is None or (box, shape) != (self._box, self._place[1]):
            self._interrupt()
        self._place, self._box = (self.region, shape), box

    def _state_before(self, image: Image, steps: list[list[Coefficients]]) -> State | None:
        """State for the next step of the engine: the last one, or what follows from it."""
        state, before = self.memory, self._before
        copied = self._filter.per_frame and self._duplicates.is_copy(image)
        if copied and state is not None:
            return before
        if state is None or before is None or not self._filter.needs_rate:
            return state
        return state if steps == [self._last] else advance(before, state, self._last, steps)

    def _follow(self, frame: Frame) -> float | None:
        """Update the time and the rate; return the seconds since the last frame if uneven.

        An interval is even if the clock of the source may have rounded it, or if all intervals
        differ little. In an uneven stream, small differences would add up.
        """
        last, self._time = self._time, frame.time
        if self._start is None:
            self._start = frame.time
        passed, self._index = frame.index - self._index, frame.index
        if frame.epoch != self._epoch:
            self._epoch, last = frame.epoch, None
            self._meter.restart()
            self._interrupt()
        fps = self.fps
        self._meter.add(frame.time, tick=frame.tick)  # also after a gap: it may have become slower
        if last is None:
            return None
        dt = frame.time - last
        usual = 1 / fps if fps else dt
        if dt <= 0 or self._is_pause(dt, usual):
            self._interrupt()
            return None
        if self.capture_fps is not None:
            return passed / self.capture_fps if passed > 1 else None
        tolerance = RATE_TOLERANCE if self._meter.steady else EVEN_TOLERANCE
        even = abs(dt - usual) < max(0.98 * frame.tick, tolerance * usual)
        return None if even else dt

    def _is_pause(self, dt: float, usual: float) -> bool:
        """True if a band cannot continue after an interval of `dt` seconds; notes the first one."""
        # A pause changes neither the first nor the previous frame, the references of other modes.
        if not self._filter.needs_rate or self.capture_fps is not None or dt <= max(GAP, 3 * usual):
            return False
        if self.memory is not None:
            note = f"no frames for {dt:.2g} s: the band starts again after such a pause"
            self._notes.setdefault("pause", note)
        return True

    def _check_scene(self, image: Image, frame: Frame) -> float | None:
        """Reset or restore the memory if the scene has changed.

        Returns:
            Seconds since the last frame of a restored memory; None if none was restored.
        """
        if self.memory is None:
            self._scene.restart()
            self._earlier = None
        verdict = self._scene.look(image, frame.time, self._share)
        away = None
        if verdict == "new" and self._earlier is None:
            self._earlier = _Memory(self.memory, self._before, self._last, self._shown)
        if verdict != "same":
            self.memory = None
        if verdict == "back" and self._earlier is not None:
            self.memory, self._before, self._last, (time, index) = self._earlier
            rate = self.capture_fps
            away = frame.time - time if rate is None else (frame.index - index) / rate
        if self._scene.pending is None:
            self._earlier = None
        self._shown = frame.time, frame.index
        if self._scene.changes:
            note = f"the scene changed after {self.scene_changes[0]:.2f} s: "
            note += "motion is measured from a new reference since"
            self._notes.setdefault("scene", note)
        # Light before a change of the scene says nothing about the light after it.
        if verdict != "same":
            self._flicker = self._new_flicker()
        if self._flicker is not None:
            self._flicker.add(self._scene.light)
            if self._flicker.amplitude > LEAST:
                self._notes["light"], self._flicker = FLICKER_NOTE, None
        return away

    def _new_flicker(self) -> Flicker | None:
        """Return a measurement of light that beats within the band, if there is a band."""
        band, rate = self.filter_in_use.band, self._rate
        if band is None or rate is None or "light" in self._notes:
            return None
        return Flicker(np.array(self._even[0], np.float32), rate, band[0])

    def _interrupt(self) -> None:
        """Reset the memory of the filter; from the next frame on, alpha rises from 1 again."""
        if self.memory is not None:
            self._fade_from = math.inf
        self.memory = None

    def _current_steps(self, uneven: float | None) -> list[list[Coefficients]] | None:
        """Coefficients of the steps to this frame; None if no rate is known that fits the band.

        Args:
            uneven: seconds since the last frame; None: one usual interval.
        """
        if self._filter.needs_rate and not self._rate_known:
            return None
        rate = self.fps or 1.0  # the first frame is the reference at any rate
        if self._rate is None or abs(rate / self._rate - 1) > self._meter.tolerance:
            try:
                used = self._filter.fitted(rate)
            except OptionError as error:
                self.warning, self.filter_in_use = str(error), self._filter
                self._rate = None
                self._interrupt()
                return None
            self.warning, self.filter_in_use = None, used
            self._rate, self._share = rate, used.follow(rate)
            self._even = [used.coefficients(rate)]
            self._flicker = self._new_flicker()
        return self._even if uneven is None else self.filter_in_use.steps(self._rate, uneven)

    def _faded(self, time: float) -> float:
        """Alpha at this time: after an interruption it rises from 1 within FADE seconds."""
        if self._fade_from is None:
            return self._alpha
        if self._fade_from == math.inf:
            self._fade_from = time
        share = (time - self._fade_from) / FADE
        if share >= 1:
            self._fade_from = None
            return self._alpha
        return 1 + (self._alpha - 1) * share


def _default_engine() -> Engine:
    from rtmag.realtime.engines.loading import load_engine

    return load_engine()


def _shaped(image: Image, original: NDArray[Any]) -> Image:
    """Return an image (H, W, 3) in the shape of the original: one channel if that was grey."""
    if image.shape == original.shape:
        return image
    return np.ascontiguousarray(image[..., 0]).reshape(original.shape)


def _pasted(image: Image, part: Image, box: Region) -> Image:
    """Paste `part` into the picture; return `part` itself if it covers the picture."""
    if part.shape == image.shape:
        return part
    x, y, w, h = box
    out = np.array(image)
    out[y : y + h, x : x + w] = part
    return out
