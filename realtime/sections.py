"""Second-order sections: the form of a filter that engines take, and operations on it.

The network's shape representation s(t) is linear in the image, so it can be filtered exactly. Every
filter is a cascade of second-order sections per element of s, in direct form II transposed:

    y = b0 s + z1 ;  z1' = b1 s - a1 y + z2 ;  z2' = b2 s - a2 y

The output y of one section is the input s of the next one. The first section of every filter blocks
a constant (b0 + b1 + b2 = 0). A reset therefore sets its state to z1 = -b0 s, z2 = b2 s, and y is 0
from the first frame on. The states of further sections start at 0.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Cascade = Sequence[tuple[float, float, float, float, float]]
"""b0, b1, b2, a1, a2 of each section in double precision, as filters compute them."""

Sections = NDArray[np.float32]
"""(S, 5): b0, b1, b2, a1, a2 of each second-order section; a0 = 1."""

State = NDArray[np.float32]
"""(1, 2 S C, h, w): z1 and z2 of the first section, then of the second, C channels each."""

PASS_THROUGH = np.array([[1, 0, 0, 0, 0]], np.float32)
"""A section whose output is its input. Its state stays 0."""


def negated(sections: Sections) -> Sections:
    """Return the same filter with negated output."""
    out = sections.copy()
    out[0, :3] *= -1
    return out


def padded(sections: Sections, count: int) -> Sections:
    """Return the same filter with `count` sections; `PASS_THROUGH` is appended."""
    return np.concatenate([sections, *[PASS_THROUGH] * (count - len(sections))]).astype(np.float32)


def advance(before: State, after: State, last: Cascade, steps: Sequence[Cascade]) -> State:
    """Convert the state of a band-pass into one for the next frame, by way of held frames.

    A held frame has the shape of the last frame. Each change of the coefficients keeps the input u
    and the output y of every section, and the content q of its second integrator, which is

        q = b0 u - z1 - (1 + a1 - a2) y / 2   in units of e = sqrt((1 + a2)^2 - a1^2).

    For a constant input, y is 0 and q is 2 b0 u; the rest of q is converted, so that a still
    picture never looks like motion. If the gain b0 / e of a section changes, so do y and q. The
    shape of the last frame follows from the states before and after it: z2' = b2 u - a2 (b0 u +
    z1). All of this is linear: the two states are multiplied by one small matrix.

    Args:
        before: state before the last frame; equal to `after` if the last frame was the first one.
        after: state after the last frame.
        last: coefficients of the last frame, with b2 != a2 b0 in the first section.
        steps: coefficients of each held frame, then of the next frame.
    """
    count = len(last)
    start, end = np.vsplit(np.eye(4 * count), 2)
    b0, _, b2, _, a2 = last[0]
    shape = (end[1] + a2 * start[0]) / (b2 - a2 * b0)
    signals, _ = _step(shape, start, last)
    for old, new in pairwise([last, *steps]):
        state = _converted(signals, end, old, new)
        signals, end = _step(shape, state, new)
    return _multiplied(state.astype(np.float32), before, after)


def noise_gain(sections: Sections) -> float:
    """Return the standard deviation of the output for white noise of deviation 1.

    This is the value long after a reset. If the reference is never replaced, as by `Static()`, its
    noise is a part of the output.
    """
    rows: Cascade = [(b0, b1, b2, a1, a2) for b0, b1, b2, a1, a2 in sections.tolist()]
    count = 2 * len(rows)
    eye = np.eye(count + 1)
    signals, following = _step(eye[0], eye[1:], rows)
    output, forcing, transition = signals[-1], following[:, :1], following[:, 1:]
    first = np.zeros((count, 1))
    first[:2, 0] = -rows[0][0], rows[0][2]  # the state after a reset by noise of 1
    power = forcing @ forcing.T
    for _ in range(_DOUBLINGS):
        power = power + transition @ power @ transition.T
        transition = transition @ transition
    kept = (output[1:] @ transition @ first).item()
    return math.sqrt(output[0] ** 2 + output[1:] @ power @ output[1:] + kept**2)


_DOUBLINGS = 30
"""Steps of `noise_gain` are doubled this number of times: more than any filter remembers."""

_BLOCK = 8192
"""Elements that are multiplied at once. They stay in the cache, and so few start no threads, which
would compete with those of the engine."""


def _multiplied(matrix: NDArray[np.float32], before: State, after: State) -> State:
    """Return a state whose elements are linear functions of those of two others."""
    # An engine may keep its states on a device.
    states = [np.asarray(each).reshape(len(matrix), -1) for each in (before, after)]
    out = np.empty_like(states[0])
    for start in range(0, out.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        out[:, block] = matrix @ np.concatenate([each[:, block] for each in states])
    return out.reshape(after.shape)


Vectors = NDArray[np.float64]
"""(N, K): N values of a filter as linear functions of K others."""


def _step(shape: Vectors, state: Vectors, rows: Cascade) -> tuple[Vectors, Vectors]:
    """Return the input of the first section and the output of each one, and the next state."""
    signals, after = [shape], []
    for (b0, b1, b2, a1, a2), z1, z2 in zip(rows, state[::2], state[1::2], strict=True):
        u = signals[-1]
        y = b0 * u + z1
        signals.append(y)
        after += [b1 * u - a1 * y + z2, b2 * u - a2 * y]
    return np.stack(signals), np.stack(after)


def _converted(signals: Vectors, state: Vectors, old: Cascade, new: Cascade) -> Vectors:
    """Return the state for other coefficients; `signals` are those of the last step."""
    converted, u_new = [], signals[0]
    kept = float(_falls(old) == _falls(new))  # 0: begin as after a reset
    for u, y, z1, before, after in zip(signals, signals[1:], state[::2], old, new, strict=False):
        b0, _, _, a1, a2 = before
        # q - 2 b0 u, the part of q that is not due to a constant input.
        moving = -b0 * u - z1 - (1 + a1 - a2) / 2 * y
        unit, gain = _unit(before), b0 / _unit(before)
        b0, _, b2, a1, a2 = after
        kept *= b0 / _unit(after) / gain
        y, moving = kept * y, kept * _unit(after) / unit * moving
        converted += [-b0 * u_new - moving - (1 + a1 - a2) / 2 * y, b2 * u_new - a2 * y]
        u_new = y
    return np.stack(converted)


def _unit(row: Sequence[float]) -> float:
    """Return the unit of the second integrator of a section."""
    *_, a1, a2 = row
    return math.sqrt((1 + a2) ** 2 - a1**2)


def _falls(rows: Cascade) -> bool:
    """True if the resonance of the first section is above that of the last one, or the same."""
    (*_, first1, first2), (*_, last1, last2) = rows[0], rows[-1]
    return (1 + first2) * last1 <= (1 + last2) * first1
