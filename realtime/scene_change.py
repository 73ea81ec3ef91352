"""Scene changes: the moments from which earlier frames are no reference for the motion any more.

A magnifier compares each picture with a reference. After a cut, a black beginning, a fade or a step
of the exposure the reference shows something else, and every difference would count as motion.

    change                                   found by                            from then on
    cut, first light after black             structure of the last picture       magnified again
    fade, exposure by a factor above 1.5     light of the reference              held until steady
    cross-fade, camera that was turned       nothing of the reference is found   held until steady
    exposure by a factor from 1.15           light, steady for a quarter second  magnified again
    most of the scene is another one         structure, steady for a second      magnified again

While pictures are held, each is a new reference, so that they are shown unmagnified. The earlier
reference is kept until then, and for half a second after a change: after a flash, or when a person
has passed close to the camera, it is valid again.

Noise, flicker and motion are no changes: light is the median over the picture and has to be steady
before a small difference counts, structure is searched for nearby, and a picture counts as a cut
only if the two before it resembled each other. Two uniform pictures always resemble each other.
"""

import math
from collections import deque
from typing import Literal, NamedTuple

import numpy as np

from rtmag.realtime.frame import Image
from rtmag.realtime.thumbnail import Cells, Thumbnail

Verdict = Literal["same", "new", "back"]
"""`same`: the reference is valid. `new`: this picture is the reference from now on. `back`: the
reference before the last change is valid again."""

RETURN = 0.5
"""Seconds after a change within which the earlier reference may become valid again."""

HOLD = 3.0
"""Seconds after which held pictures are magnified again although the scene is not steady."""

_LARGE, _SMALL, _YOUNG = float(np.log(1.5)), float(np.log(1.15)), float(np.log(1.04))
"""Changes of the light: one that is held, one that is renewed when it is steady, and one that is
renewed within `_SETTLING` seconds after a change, because automatic exposure ends slowly. Mains
flicker of 10 % reaches 1.22 between two frames, but is not steady."""

_STEADY_LIGHT = 0.02
"""Largest change of the light within `_STEADY_SECONDS` that counts as steady."""

_STEADY_SECONDS, _STEADY_FRAMES = 0.12, 3

_LIGHT_LASTS, _STRUCTURE_LASTS = 0.25, 1.0
"""Seconds for which another light or structure has to last."""

_SETTLING = 4.0

_SAME_SCENE, _STEADY_SCENE = 0.5, 0.75
"""Share that is found again in the same scene, and in one that has come to rest."""

_TREND = 0.005
"""Loss of correlation within `_STEADY_SECONDS` from which a cross-fade goes on."""

_SEARCH_SECONDS = 0.1
"""Seconds between two searches for the structure of the reference."""

_KEPT = 1000
"""Number of times that are kept."""


class _Moment(NamedTuple):
    """One of the last pictures."""

    time: float
    thumbnail: Thumbnail


class SceneChange:
    """Watches the pictures of one stream for changes of the whole scene.

    scenes = SceneChange()
    if scenes.look(image, time) == "new":
        state = None  # for Engine.step: this picture becomes the reference
    """

    def __init__(self) -> None:
        self.changes: deque[float] = deque(maxlen=_KEPT)
        """Times of the last changes from which the scene did not return, in seconds."""
        self.light: Cells = np.zeros((0, 0), np.float32)
        """Logarithm of the light of each cell of the last picture, see `Thumbnail.cell_light`."""
        self.restart()

    @property
    def times(self) -> list[float]:
        """Times of all changes, with the one from which the scene may still return."""
        return [*self.changes, *([] if self.pending is None else [self.pending])]

    def restart(self) -> None:
        """Take the next picture as the reference, without counting it as a change."""
        self.pending: float | None = None
        """Time of a change from which the scene may still return, in seconds; else None."""
        self._reference: Thumbnail | None = None
        self._earlier: Thumbnail | None = None
        self._recent: deque[_Moment] = deque()
        self._alike = False
        """True if the last two pictures resembled each other."""
        self._held_from: float | None = None
        self._light_from: float | None = None
        self._changed_at = self._renewed_at = self._search_at = -math.inf
        self._found = 1.0
        """Share of the reference that was last found again."""
        self._other: _Moment | None = None
        """The picture since which the structure has been another one, and at rest."""

    def look(self, image: Image, time: float, follow: float = 0.0) -> Verdict:
        """Compare a picture with the reference.

        Args:
            image: (H, W, 3) uint8, at least one pixel; any size.
            time: seconds, increasing.
            follow: share by which the reference becomes this picture: 0 for the first frame as the
                reference, 1 for the previous frame, between them for an average.
        """
        now = Thumbnail.of(image)
        self.light = now.cell_light()
        last, reference = (self._recent[-1].thumbnail if self._recent else None), self._reference
        self._remember(now, time)
        if last is None or reference is None:
            self._reference = now
            return "same"
        if self._is_back(now):
            return self._return()
        alike = last.found(now) >= _SAME_SCENE
        cut, self._alike = not alike and (self._alike or last.uniform), alike
        if self._held_from is not None:
            return self._hold(now, time)
        if self.pending is not None and time - self._renewed_at > RETURN:
            self.changes.append(self.pending)
            self.pending = self._earlier = None
        if cut:
            return self._change(now, time, reference)
        light = 0.0 if reference.uniform and now.uniform else _most(reference.exposure(now))
        if time >= self._search_at:
            self._found, self._search_at = reference.found(now), time + _SEARCH_SECONDS
        if light > _LARGE or (self._found == 0 and alike):
            self._held_from = time
            return self._change(now, time, reference)
        if self._structure_lasts(now, time):
            return self._change(now, time)
        if self._light_lasts(light, time):
            # Light that settles after a change belongs to that change.
            return self._renew(now, time) if light < _SMALL else self._change(now, time)
        self._reference = reference.mixed(now, follow)
        return "same"

    def _remember(self, now: Thumbnail, time: float) -> None:
        self._recent.append(_Moment(time, now))
        while len(self._recent) > _STEADY_FRAMES and self._recent[1].time < time - _STEADY_SECONDS:
            self._recent.popleft()

    def _change(self, now: Thumbnail, time: float, earlier: Thumbnail | None = None) -> Verdict:
        """Begin a change, or continue the present one; the scene may return to `earlier`."""
        if self.pending is None:
            self.pending = self._changed_at = time
            self._earlier = earlier
        return self._renew(now, time)

    def _renew(self, now: Thumbnail, time: float) -> Verdict:
        self._reference, self._light_from, self._other = now, None, None
        self._found, self._renewed_at = 1.0, time
        return "new"

    def _young(self, time: float) -> bool:
        """True if the light may still settle after the last change."""
        return time - self._changed_at < _SETTLING

    def _is_back(self, now: Thumbnail) -> bool:
        """True if the picture shows the scene before the last change, in the same light."""
        earlier = self._earlier
        if earlier is None or _most(earlier.exposure(now)) > _SMALL:
            return False
        return earlier.uniform == now.uniform and earlier.found(now) >= _SAME_SCENE

    def _return(self) -> Verdict:
        self._reference, self._alike, self._found = self._earlier, True, 1.0
        self.pending = self._earlier = self._held_from = self._light_from = self._other = None
        return "back"

    # ---- duration ------------------------------------------------------------------------------

    def _steady_light(self) -> bool:
        """True if the light has hardly changed for a moment."""
        count, now = len(self._recent), self._recent[-1].thumbnail
        if count < _STEADY_FRAMES:
            return False
        earlier = (self._recent[at].thumbnail for at in (0, count // 2, count - 2))
        return all(_most(each.exposure(now)) < _STEADY_LIGHT for each in earlier)

    def _still(self) -> bool:
        """True if the picture differs no more from the one a moment ago than from the last one."""
        earlier, last, now = (self._recent[at].thumbnail for at in (0, -2, -1))
        return now.uniform or last.correlation(now) - earlier.correlation(now) < _TREND

    def _hold(self, now: Thumbnail, time: float) -> Verdict:
        """Take every picture as the reference until the scene is steady."""
        assert self._held_from is not None
        if (self._steady_light() and self._still()) or time - self._held_from > HOLD:
            self._held_from = None
        return self._renew(now, time)

    def _light_lasts(self, light: float, time: float) -> bool:
        """True if the light differs from that of the reference, and has been steady."""
        least = _YOUNG if self._young(time) else _SMALL
        # What covers most of the scene changes the median too, but not as light does.
        if light < least or self._found < _SAME_SCENE or not self._steady_light():
            self._light_from = None
            return False
        self._light_from = time if self._light_from is None else self._light_from
        return time - self._light_from >= _LIGHT_LASTS

    def _structure_lasts(self, now: Thumbnail, time: float) -> bool:
        """True if most of the reference is not found any more, and the scene is at rest."""
        if self._found >= _SAME_SCENE or not self._alike:
            self._other = None
            return False
        if self._other is None or self._other.thumbnail.found(now) < _STEADY_SCENE:
            self._other = self._recent[-1]
        return time - self._other.time >= _STRUCTURE_LASTS


def _most(light: Cells) -> float:
    return float(np.abs(light).max())
