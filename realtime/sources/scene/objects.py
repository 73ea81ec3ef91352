"""Objects of the built-in scene: a brick wall, a tank, a motor and a crate that hangs from a rail.

Each function paints one object on a `Canvas`, in units of 640 by 480. No image files are used.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rtmag.realtime.sources.scene.canvas import Canvas, Color, Field, box, disc, stroke

# Colours, BGR.

STEEL: Color = (96, 90, 84)

BRASS: Color = (58, 140, 190)

COPPER: Color = (62, 104, 178)

TEAL: Color = (118, 112, 34)

CREAM: Color = (196, 218, 228)

WOOD: Color = (72, 116, 166)

INK: Color = (30, 28, 30)

Box = tuple[float, float, float, float]
"""x, y, width, height in units."""

CRATE: Box = (262, 52, 116, 136)
"""Position of the crate at rest."""

_BENCH = 414.0
"""y of the upper edge of the bench, in units."""


def _light(canvas: Canvas) -> Field:
    """Return the light, per sample, of a lamp above and left of the centre."""
    far = np.hypot((canvas.x - 250) / 430, (canvas.y - 130) / 400)
    return np.asarray(1.12 - 0.5 * np.minimum(far, 1.4) ** 1.6, np.float32)


def _rough(canvas: Canvas, lamp: Field, wide: float, tall: float, depth: float) -> Field:
    """Return the light on a rough material: `lamp` times noise of relative deviation `depth`."""
    return np.asarray(lamp * (1 + depth * canvas.grain(wide, tall)), np.float32)


def paint_wall(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the bricks, the rail, a conduit, the bench and the shadows on it."""
    lamp = _light(canvas)
    _bricks(canvas, lamp, rng)
    rail = box(-400, 30, 1440, 13)
    canvas.shade(box(-400, 38, 1440, 16), 9, 0.45)
    canvas.paint(rail, STEEL, _rough(canvas, lamp, 60, 5, 0.07))
    canvas.paint(box(-400, 30, 1440, 3), (150, 146, 140), lamp)
    for x in range(-384, 1040, 64):
        canvas.paint(disc(x, 37.5, 2.4), (60, 56, 52))
    _conduit(canvas, lamp)
    canvas.shade(box(106, 146, 120, 278, 30), 16, 0.5)
    canvas.shade(box(402, 296, 174, 130, 20), 14, 0.5)
    _bench(canvas, lamp)


def _bricks(canvas: Canvas, lamp: Field, rng: np.random.Generator) -> None:
    """Paint bricks of varying colour over the whole canvas, with mortar between them."""
    tall, wide, gap = 17.0, 46.0, 1.5
    tints = rng.normal(1.0, 0.11, (64, 64)).astype(np.float32)
    warmth = rng.normal(0.0, 0.05, (64, 64)).astype(np.float32)
    wobble = 0.5 * canvas.grain(9, 9, 3)
    light = lamp * (1 + 0.10 * canvas.grain(120, 120, 8) + 0.05 * canvas.grain(7, 5, 4))
    for rows in canvas.bands():
        y = canvas.y[rows]
        row = np.floor(y / tall).astype(np.int64)
        shifted = canvas.x + wide / 2 * (row % 2)
        column = np.floor(shifted / wide).astype(np.int64)
        tint, warm = tints[row % 64, column % 64], warmth[row % 64, column % 64]
        across = wide / 2 - np.abs(shifted - (column + 0.5) * wide)
        down = tall / 2 - np.abs(y - (row + 0.5) * tall)
        inside = np.clip((np.minimum(across, down) - gap + wobble[rows]) / 1.3, 0, 1)
        above = np.clip(1 - (y - row * tall - gap) / 2.5, 0, 1)
        bright = (tint * (1 + 0.12 * above) * inside + 0.92 * (1 - inside)) * light[rows]
        for channel, (clay, mortar) in enumerate(((74.0, 118.0), (96.0, 132.0), (148.0, 140.0))):
            warmed = clay * (1 + (channel - 1.0) * warm)
            canvas.color[rows, :, channel] = (warmed * inside + mortar * (1 - inside)) * bright
    canvas.cover[:] = 1


def _conduit(canvas: Canvas, lamp: Field) -> None:
    """Paint a cable pipe with a switch box: still, but with edges like those of moving objects."""
    canvas.shade(box(607, 44, 10, 370), 6, 0.45)
    pipe = box(602, 44, 9, 370)
    round_light = 1.15 - 0.55 * np.abs((canvas.x - 605) / 6)
    canvas.paint(pipe, (132, 128, 120), np.asarray(round_light * lamp, np.float32))
    for y in (96.0, 380.0):
        canvas.paint(box(599, y, 15, 6, 2), STEEL, lamp)
    canvas.shade(box(590, 206, 44, 52, 3), 6, 0.5)
    canvas.paint(box(586, 202, 42, 50, 3), (120, 126, 128), _rough(canvas, lamp, 20, 20, 0.04))
    canvas.paint(disc(607, 220, 7), (44, 44, 190), lamp)
    canvas.paint(disc(605, 218, 2.2), (170, 170, 240))
    canvas.paint(box(598, 234, 18, 8, 1), INK)


def _bench(canvas: Canvas, lamp: Field) -> None:
    """Paint the wooden bench and the shadows of tank and motor on it."""
    light = _rough(canvas, lamp, 170, 3, 0.10)
    canvas.paint(box(-400, _BENCH, 1440, 400), (58, 92, 134), light)
    canvas.paint(box(-400, _BENCH, 1440, 5), (92, 136, 180), light)
    for y in (439.0, 462.0):
        canvas.paint(box(-400, y, 1440, 1.4), (28, 46, 70))
    canvas.shade(box(96, _BENCH + 8, 120, 5, 2), 10, 0.6)
    canvas.shade(box(376, _BENCH + 8, 206, 5, 2), 10, 0.6)


def paint_tank(canvas: Canvas) -> None:
    """Paint a riveted copper tank with a gauge."""
    lamp = _light(canvas)
    middle = 150.0
    bent = np.clip((canvas.x - middle) / 56, -1, 1)
    gleam = 0.32 + 0.85 * np.sqrt(1 - bent**2) + 0.55 * np.exp(-(((bent + 0.42) / 0.13) ** 2))
    light = np.asarray(gleam * _rough(canvas, lamp, 26, 40, 0.07), np.float32)
    for x in (108.0, 182.0):
        canvas.paint(box(x, 384, 10, 40, 2), STEEL, lamp)
    canvas.paint(box(142, 132, 16, 44, 2), BRASS, light)
    canvas.paint(box(134, 134, 32, 8, 3), BRASS, light)
    canvas.paint(box(96, 160, 108, 236, 40), COPPER, light)
    for y in (200.0, 346.0):
        canvas.paint(box(94, y, 112, 12, 2), STEEL, light)
        for x in np.linspace(102, 198, 9):
            canvas.paint(disc(float(x), y + 6, 2.2), (168, 164, 156), light)
            canvas.paint(disc(float(x) + 0.8, y + 6.8, 1.0), INK)
    canvas.paint(box(149, 212, 1.2, 134), (34, 52, 84))
    for y in np.arange(222.0, 344.0, 11.5):
        for x in (145.0, 155.0):
            canvas.paint(disc(x, float(y), 1.5), (120, 160, 214), light)
    _gauge(canvas, lamp, 150, 258, 27)
    canvas.paint(box(122, 308, 56, 25, 3), INK)
    canvas.paint(box(124, 310, 52, 21, 2), CREAM, lamp)
    canvas.write("2 Hz", 130, 327, 13, INK)


def _gauge(canvas: Canvas, lamp: Field, x: float, y: float, radius: float) -> None:
    """Paint a round gauge with ticks and a needle."""
    canvas.paint(disc(x + 1.5, y + 2, radius + 1), INK)
    canvas.paint(disc(x, y, radius), BRASS, lamp)
    canvas.paint(disc(x, y, radius - 4), CREAM, lamp)
    for turn in np.linspace(-2.3, 2.3, 11):
        far, near = radius - 6, radius - 11
        across, up = float(np.sin(turn)), float(-np.cos(turn))
        tick = stroke(x + across * near, y + up * near, x + across * far, y + up * far, 1.4)
        canvas.paint(tick, INK)
    canvas.paint(stroke(x - 4, y + 5, x + 10, y - 11, 2), (36, 36, 190))
    canvas.paint(disc(x, y, 3.2), INK)


def paint_motor(canvas: Canvas) -> None:
    """Paint an electric motor with cooling ribs, on a foot."""
    lamp = _light(canvas)
    middle = 344.0
    bent = np.clip((canvas.y - middle) / 56, -1, 1)
    gleam = 0.35 + 0.8 * np.sqrt(1 - bent**2) + 0.4 * np.exp(-(((bent + 0.5) / 0.16) ** 2))
    light = np.asarray(gleam * _rough(canvas, lamp, 30, 22, 0.06), np.float32)
    canvas.paint(box(392, 402, 168, 20, 3), STEEL, _rough(canvas, lamp, 40, 8, 0.06))
    for x in (404.0, 536.0):
        canvas.paint(disc(x + 6, 411, 4), (150, 148, 142), lamp)
        canvas.paint(disc(x + 6, 411, 1.8), INK)
    canvas.paint(box(552, 335, 26, 18, 2), (150, 148, 142), light)
    canvas.paint(box(380, 300, 30, 88, 10), (96, 92, 30), light)
    for y in np.arange(312.0, 380.0, 8.0):
        canvas.paint(box(385, float(y), 16, 3.4, 1.5), INK)
    canvas.paint(box(404, 290, 130, 108, 8), TEAL, light)
    canvas.paint(box(528, 298, 28, 92, 10), (128, 122, 44), light)
    for y in np.arange(298.0, 394.0, 9.0):
        canvas.paint(box(412, float(y) + 2.2, 112, 3.2, 1.2), (48, 44, 8), light)
        canvas.paint(box(412, float(y), 112, 2.2, 1), (176, 168, 78), light)
    canvas.paint(box(434, 268, 64, 28, 4), TEAL, _rough(canvas, lamp, 20, 14, 0.06))
    canvas.paint(box(434, 268, 64, 4, 2), (172, 166, 84), lamp)
    canvas.paint(box(437, 329, 62, 30, 3), INK)
    canvas.paint(box(439, 331, 58, 26, 2), CREAM, lamp)
    canvas.write("5 Hz", 447, 351, 14, INK)


def paint_crate(canvas: Canvas) -> None:
    """Paint a crate on a chain, which moves along the rail."""
    lamp = _light(canvas)
    for x in (304.0, 336.0):
        canvas.paint(disc(x, 58, 6.5), (52, 50, 48), lamp)
        canvas.paint(disc(x, 58, 2.5), (150, 148, 142))
    canvas.paint(box(294, 62, 52, 10, 3), (44, 130, 190), lamp)
    for y in np.arange(74.0, 98.0, 6.0):
        canvas.paint(disc(320, float(y), 2.6), (70, 68, 64), lamp)
    for x in (278.0, 362.0):
        canvas.paint(stroke(320, 94, x, 112, 2), (64, 60, 56))
    wood = _rough(canvas, lamp, 70, 3, 0.13)
    canvas.paint(box(266, 110, 108, 76, 2), (40, 66, 98), wood)
    for row in range(4):
        canvas.paint(box(267, 111 + row * 18.6, 106, 17.4, 1), WOOD, wood)
    for start, end in (((274.0, 118.0), (366.0, 178.0)), ((274.0, 178.0), (366.0, 118.0))):
        canvas.paint(stroke(*start, *end, 13), (40, 66, 98), lamp)
        canvas.paint(stroke(*start, *end, 11), (84, 132, 186), wood)
    for x, y, width, height in (
        (265, 109, 110, 11),
        (265, 176, 110, 11),
        (265, 109, 11, 78),
        (364, 109, 11, 78),
    ):
        canvas.paint(box(x, y, width, height, 1), (40, 66, 98))
        canvas.paint(box(x + 0.8, y + 0.8, width - 1.6, height - 1.6, 1), (90, 140, 194), wood)


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object that vibrates in front of the wall."""

    name: str
    hz: float
    """Frequency of its vibration."""
    amplitude: float
    """Amplitude in pixels, for any picture size; a multiple of 1/8."""
    direction: tuple[float, float]
    """Unit vector (x, y) of its motion."""
    box: Box
    """Bounding box with a margin for its motion."""
    body: Box
    """Area inside the object, for measurements."""
    line: Box
    """Line x0, y0, x1, y1 across an edge, along the direction."""
    paint: Callable[[Canvas], None]


OBJECTS = (
    SceneObject(
        name="tank",
        hz=2.0,
        amplitude=0.125,
        direction=(1.0, 0.0),
        box=(84, 128, 132, 296),
        body=(108, 212, 84, 128),
        line=(164, 260, 204, 260),
        paint=paint_tank,
    ),
    SceneObject(
        name="motor",
        hz=5.0,
        amplitude=0.125,
        direction=(0.0, 1.0),
        box=(372, 262, 208, 164),
        body=(420, 308, 96, 72),
        line=(425, 290, 425, 330),
        paint=paint_motor,
    ),
)
"""The vibrating objects of the scene."""
