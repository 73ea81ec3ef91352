"""Second-order sections: the form of a filter that engines take, and operations on it.

The network's shape representation s(t) is linear in the image, so it can be filtered exactly. Every
filter is a cascade of second-order sections per element of s, in direct form II transposed:

    y = b0 s + z1 ;  z1' = b1 s - a1 y + z2 ;  z2' = b2 s - a2 y

The output y of one section is the input s of the next one. The first section of every filter blocks
a constant (b0 + b1 + b2 = 0). A reset therefore sets its state to z1 = -b0 s, z2 = b2 s, and y is 0
from the first frame on. The states of further sections start at 0.
"""

import numpy as np
from numpy.typing import NDArray

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


def rescale_state(state: State, old: Sections, new: Sections) -> State:
    """Convert the state of `old` into one of `new` that gives the same output for a constant input.

    For a constant input s the state of the first section is z1 = -b0 s, z2 = b2 s. It depends on
    the coefficients: kept unchanged, it would make the whole image look like motion.

    Args:
        state: state of the filter so far.
        old: its coefficients so far.
        new: its coefficients from now on, as many sections as `old`.
    """
    if old[0, 0] == new[0, 0]:
        return state
    out = np.array(state)
    out[:, : state.shape[1] // len(new)] *= new[0, 0] / old[0, 0]
    return out


def advance(before: State, after: State, sections: Sections, frames: int) -> State:
    """Predict the state of a band-pass after dropped frames, as if each had repeated the last one.

    The last shape s follows from the states before and after it: z2' = b2 s - a2 (b0 s + z1).

    Args:
        before: state before the last frame; equal to `after` if the last frame was the first one.
        after: state after the last frame.
        sections: coefficients, (S, 5), with b2 != a2 b0 in the first section.
        frames: number of dropped frames.
    """
    count = len(sections)
    b0, _, b2, _, a2 = sections[0]
    before, after = np.asarray(before), np.asarray(after)  # an engine may keep them on a device
    z1, z2 = before.reshape(2 * count, -1)[0], after.reshape(2 * count, -1)[1]
    shape = (z2 + a2 * z1) / (b2 - a2 * b0)
    power = np.linalg.matrix_power(_transition(sections), frames)[1:].astype(np.float32)
    state = power @ np.concatenate([shape[None], after.reshape(2 * count, -1)])
    return np.asarray(state.reshape(after.shape), np.float32)


def _transition(sections: Sections) -> NDArray[np.float64]:
    """Return the matrix that advances (s, z1, z2, ...) by one frame with a constant input s."""
    units = np.eye(1 + 2 * len(sections))
    rows, x = [units[0]], units[0]
    for (b0, b1, b2, a1, a2), z1, z2 in zip(sections, units[1::2], units[2::2], strict=True):
        y = b0 * x + z1
        rows += [b1 * x - a1 * y + z2, b2 * x - a2 * y]
        x = y
    return np.stack(rows)
