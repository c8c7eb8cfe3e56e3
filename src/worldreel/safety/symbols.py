"""Hate symbols, and what only looks like them, drawn from their geometry.

They are drawn for one purpose: to train the detector that keeps them out of videos
(reviewers/symbols.py). A drawing is a mask on the square [-1, 1]², y downward, made of strokes
whose lengths, widths and steadiness vary: printed, cut from tape or sprayed by hand.

Four symbols whose geometry says what they are:

    right    the hooked cross whose hooks run clockwise, at any roll (the Nazi swastika)
    left     its mirror image: the manji of Buddhist temples, and a flag seen from behind
    bolts    two sig runes side by side (the SS)
    sun      twelve of them bent around a hub (the "black sun")

and twenty look-alikes that mean none of this: plain and potent crosses, pinwheels, single bolts,
spoked wheels, clocks, squared spirals, letters …
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["LOOKALIKES", "SYMBOLS", "draw"]

SYMBOLS = ("right", "left", "bolts", "sun")
_FINER = 3  # drawn so many times larger, then reduced: soft edges
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class _Pen:
    """Strokes of one `width` on a mask; the hand moves each point by about `shake`."""

    canvas: ImageDraw.ImageDraw
    side: int
    width: float
    shake: float
    rounded: bool
    chance: np.random.Generator

    def pixels(self, points: Sequence[Point]) -> list[Point]:
        return [((x + 1) / 2 * self.side, (y + 1) / 2 * self.side) for x, y in points]

    def line(self, *points: Point, width: float | None = None) -> None:
        """A line through `points`, with square or round ends and corners."""
        half = (self.width if width is None else width) / 2
        moved = [
            (x + self.chance.normal() * self.shake, y + self.chance.normal() * self.shake)
            for x, y in points
        ]
        for (ax, ay), (bx, by) in pairwise(moved):
            length = math.hypot(bx - ax, by - ay) or 1.0
            dx, dy = (bx - ax) / length * half, (by - ay) / length * half
            if not self.rounded:  # square ends reach half a width further, so corners close
                ax, ay, bx, by = ax - dx, ay - dy, bx + dx, by + dy
            box = [(ax - dy, ay + dx), (bx - dy, by + dx), (bx + dy, by - dx), (ax + dy, ay - dx)]
            self.canvas.polygon(self.pixels(box), fill=255)
        if self.rounded:
            for x, y in moved:
                self.disc(x, y, half)

    def fill(self, *points: Point) -> None:
        self.canvas.polygon(self.pixels(points), fill=255)

    def disc(self, x: float, y: float, radius: float) -> None:
        box = self.pixels([(x - radius, y - radius), (x + radius, y + radius)])
        self.canvas.ellipse([*box[0], *box[1]], fill=255)

    def ring(self, radius: float, width: float | None = None) -> None:
        half = (self.width if width is None else width) / 2
        box = self.pixels([(-radius - half, -radius - half), (radius + half, radius + half)])
        wide = max(1, round(half * self.side))
        self.canvas.ellipse([*box[0], *box[1]], outline=255, width=wide)


def draw(
    name: str, chance: np.random.Generator, *, side: int = 96, worn: bool = True
) -> NDArray[np.uint8]:
    """A mask [side, side] of the symbol or look-alike `name`; no two are alike.

    Args:
        worn: whether it may be drawn by a shaky hand; else straight and regular.
    """
    big = side * _FINER
    image = Image.new("L", (big, big))
    by_hand = worn and chance.random() < 0.35
    pen = _Pen(
        canvas=ImageDraw.Draw(image),
        side=big,
        width=float(chance.uniform(0.14, 0.44)),
        shake=float(chance.uniform(0.01, 0.05)) if by_hand else 0.0,
        rounded=by_hand or bool(chance.random() < 0.15),
        chance=chance,
    )
    (_SYMBOLS | _LOOKALIKES)[name](pen)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _turned(points: Sequence[Point], quarter: float) -> list[Point]:
    """`points` turned clockwise (y is downward) by `quarter` of 90 degrees."""
    c, s = math.cos(quarter * math.pi / 2), math.sin(quarter * math.pi / 2)
    return [(c * x - s * y, s * x + c * y) for x, y in points]


def _hooked(pen: _Pen, *, mirrored: bool) -> None:
    """Four arms of length `reach`, each bent at its end by a right angle."""
    half = pen.width / 2
    reach = 0.94 - half
    hook = reach * float(pen.chance.uniform(0.7, 1.0))
    flip = -1 if mirrored else 1
    for quarter in range(4):
        arm = [(0.0, 0.0), (0.0, -reach), (flip * hook, -reach)]
        pen.line(*_turned(arm, quarter))


def _bolt(pen: _Pen, centre: float, wide: float, step: float, flip: int = 1) -> None:
    """One sig rune: down to the left, back to the right, down to the left again."""
    tall = 0.9
    width = min(pen.width, wide * 0.8)
    points = [(wide / 2, -tall), (-wide / 2, step), (wide / 2, -step), (-wide / 2, tall)]
    pen.line(*((centre + flip * x, y) for x, y in points), width=width)


def _bolts(pen: _Pen) -> None:
    wide = float(pen.chance.uniform(0.4, 0.62))
    apart = wide * float(pen.chance.uniform(0.6, 0.85)) + pen.width * 0.35
    slender = _Pen(
        canvas=pen.canvas,
        side=pen.side,
        width=min(pen.width, 0.26),
        shake=pen.shake / 2,
        rounded=pen.rounded,
        chance=pen.chance,
    )
    step = float(pen.chance.uniform(0.02, 0.16))
    for centre in (-apart / 2, apart / 2):
        _bolt(slender, centre, wide, step)


def _sun(pen: _Pen) -> None:
    """Twelve rays from a hub to a rim, each with a sideways step half-way."""
    width = float(pen.chance.uniform(0.07, 0.14))
    hub, bend, rim = 0.24, float(pen.chance.uniform(0.5, 0.62)), 0.9 - width / 2
    turn = float(pen.chance.uniform(0.7, 1.1)) * math.pi / 6
    turn *= pen.chance.choice([-1, 1])
    pen.ring(rim, width)
    if pen.chance.random() < 0.5:
        pen.ring(hub, width)
    else:
        pen.disc(0, 0, hub)
    for ray in range(12):
        angle = ray * math.pi / 6
        later = angle + turn
        points = [(r * math.cos(a), r * math.sin(a)) for r, a in ((hub, angle), (bend, angle))]
        points += [(r * math.cos(later), r * math.sin(later)) for r in (bend * 0.97, rim)]
        pen.line(*points, width=width)


def _arms(pen: _Pen, count: int, *points: Point) -> None:
    for arm in range(count):
        pen.line(*_turned(points, 4 * arm / count))


def _cross(pen: _Pen) -> None:
    _arms(pen, int(pen.chance.choice([3, 4, 4, 4, 5, 6, 8])), (0, 0), (0, -0.9))


def _potent(pen: _Pen) -> None:
    """Bars across all ends: hooks to both sides."""
    bar = float(pen.chance.uniform(0.3, 0.6))
    _arms(pen, 4, (0, 0), (0, -0.8))
    _arms(pen, 4, (-bar, -0.8), (bar, -0.8))


def _mixed(pen: _Pen) -> None:
    """A cross whose hooks do not run one way round."""
    ways = [
        (1, -1, 1, -1),
        (1, 1, -1, -1),
        (1, 0, 1, 0),
        (0, -1, 0, -1),
        (1, 0, 0, 0),
        (-1, 0, 0, 0),
    ]
    for quarter, way in enumerate(ways[pen.chance.integers(len(ways))]):
        pen.line(*_turned([(0, 0), (0, -0.85), (way * 0.75, -0.85)], quarter))


def _three(pen: _Pen) -> None:
    """Three or five bent arms, either way."""
    way = float(pen.chance.choice([-1, 1]))
    _arms(pen, int(pen.chance.choice([3, 5, 6])), (0, 0), (0, -0.85), (way * 0.45, -0.85))


def _pinwheel(pen: _Pen) -> None:
    way, count = float(pen.chance.choice([-1, 1])), int(pen.chance.choice([3, 4, 4, 4, 5, 6]))
    wide, deep = pen.chance.uniform(0.3, 0.8), pen.chance.uniform(-0.5, 0.1)
    for arm in range(count):
        blade = [(0.0, 0.0), (0.0, -0.92), (float(way * wide), -0.92 - float(deep))]
        pen.fill(*_turned(blade, 4 * arm / count))


def _whirl(pen: _Pen) -> None:
    """Curved arms: fans, galaxies, propellers."""
    way, count = float(pen.chance.choice([-1, 1])), int(pen.chance.choice([2, 3, 4, 4, 5, 7]))
    bend = way * float(pen.chance.uniform(0.6, 2.0))
    radii = np.linspace(0.05, 0.88, 9)
    arm = [(float(r * math.sin(bend * r)), float(-r * math.cos(bend * r))) for r in radii]
    _arms(pen, count, *arm)


def _half(pen: _Pen) -> None:
    """Two of four arms: a squared S or Z."""
    way = float(pen.chance.choice([-1, 1]))
    for quarter in (0, 2):
        pen.line(*_turned([(0, 0), (0, -0.85), (way * 0.8, -0.85)], quarter))


def _spiral(pen: _Pen) -> None:
    way, at, step = float(pen.chance.choice([-1, 1])), (0.0, 0.0), 0.42
    points = [at]
    for leg in range(int(pen.chance.integers(4, 8))):
        dx, dy = _turned([(0.0, -step * (leg // 2 + 1))], way * leg)[0]
        points.append((points[-1][0] + dx, points[-1][1] + dy))
    middle = np.mean(points, axis=0)
    size = float(np.abs(np.asarray(points) - middle).max()) or 1.0
    pen.line(
        *(((x - middle[0]) / size * 0.88, (y - middle[1]) / size * 0.88) for x, y in points),
        width=min(pen.width, 0.24),
    )


def _key(pen: _Pen) -> None:
    """A piece of a meander."""
    way = float(pen.chance.choice([-1, 1]))
    for x in (-0.62, 0.38):
        points = [
            (x - 0.3, 0.8),
            (x - 0.3, -0.7),
            (x + 0.35, -0.7),
            (x + 0.35, 0.3),
            (x, 0.3),
            (x, -0.2),
        ]
        pen.line(*((way * a, b) for a, b in points), width=min(pen.width, 0.18))


def _grid(pen: _Pen) -> None:
    count = int(pen.chance.choice([2, 3, 3, 4]))
    for at in np.linspace(-0.85, 0.85, count):
        pen.line((float(at), -0.85), (float(at), 0.85), width=min(pen.width, 0.9 / count))
        pen.line((-0.85, float(at)), (0.85, float(at)), width=min(pen.width, 0.9 / count))


def _wheel(pen: _Pen) -> None:
    """A rim, a hub and straight spokes: wheels, dharma wheels, crosshairs."""
    count = int(pen.chance.choice([4, 4, 5, 6, 8, 8, 12, 12, 16]))
    width = min(pen.width, 1.4 / count)
    pen.ring(0.8, width)
    if pen.chance.random() < 0.6:
        pen.disc(0, 0, float(pen.chance.uniform(0.1, 0.3)))
    for spoke in range(count):
        pen.line(*_turned([(0, 0), (0, -0.85)], 4 * spoke / count), width=width)


def _rays(pen: _Pen) -> None:
    """The sun of a child's drawing, a gear, a flower."""
    count = int(pen.chance.choice([6, 8, 10, 12, 12, 16]))
    inner = float(pen.chance.uniform(0.3, 0.6))
    pen.disc(0, 0, inner * float(pen.chance.uniform(0.5, 1.1)))
    for ray in range(count):
        pen.line(
            *_turned([(0, -inner), (0, -0.9)], 4 * ray / count), width=min(pen.width, 2 / count)
        )


def _clock(pen: _Pen) -> None:
    pen.ring(0.86, 0.09)
    for hour in range(12):
        pen.line(*_turned([(0, -0.78), (0, -0.64)], hour / 3), width=0.06)
    for reach in (0.4, 0.6):
        pen.line((0, 0), *_turned([(0, -reach)], float(pen.chance.uniform(0, 4))), width=0.09)


def _one_bolt(pen: _Pen) -> None:
    _bolt(pen, 0.0, float(pen.chance.uniform(0.4, 0.8)), 0.1, int(pen.chance.choice([-1, 1])))


def _against(pen: _Pen) -> None:
    """Two bolts that mirror each other, or slanted strokes: no runes."""
    wide = 0.5
    if pen.chance.random() < 0.5:
        for flip in (-1, 1):
            _bolt(pen, flip * 0.45, wide, 0.1, flip)
        return
    lean = float(pen.chance.choice([-1, 1]) * pen.chance.uniform(0.1, 0.5))
    for x in (-0.45, 0.45):
        pen.line((x + lean / 2, -0.85), (x - lean / 2, 0.85), width=min(pen.width, 0.3))


def _star(pen: _Pen) -> None:
    points = int(pen.chance.choice([4, 5, 5, 6, 8]))
    inner = float(pen.chance.uniform(0.25, 0.6))
    radii = [0.92 if i % 2 == 0 else inner for i in range(2 * points)]
    turns = [math.pi * i / points for i in range(2 * points)]
    pen.fill(*((r * math.sin(a), -r * math.cos(a)) for r, a in zip(radii, turns, strict=True)))


def _windows(pen: _Pen) -> None:
    for x in (-0.47, 0.47):
        for y in (-0.47, 0.47):
            s = float(pen.chance.uniform(0.25, 0.42))
            pen.fill((x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s))


def _arrows(pen: _Pen) -> None:
    """Arrows around a circle: recycling, reload."""
    count, way = int(pen.chance.choice([2, 3, 4])), float(pen.chance.choice([-1, 1]))
    for arm in range(count):
        angles = np.linspace(0, 1.3 * math.pi / count, 6) * way + 2 * math.pi * arm / count
        points = [(0.7 * math.sin(a), -0.7 * math.cos(a)) for a in angles]
        pen.line(*points, width=min(pen.width, 0.2))
        x, y = points[-1]
        ahead = angles[-1] + way * 0.5
        tip = (0.7 * math.sin(ahead), -0.7 * math.cos(ahead))
        pen.fill((x * 1.4, y * 1.4), (x * 0.6, y * 0.6), tip)


def _letters(pen: _Pen) -> None:
    """One to three letters or digits, zigzags among them more often."""
    pool = "SZNX45" if pen.chance.random() < 0.5 else "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#&%+@?"
    count = int(pen.chance.choice([1, 2, 2, 3]))
    word = "".join(pen.chance.choice(list(pool)) for _ in range(count))
    if count == 2 and pen.chance.random() < 0.5:
        word = word[0] * 2
    font = ImageFont.load_default(
        size=pen.side * (0.9 if count == 1 else 0.75 if count == 2 else 0.5)
    )
    middle = (pen.side / 2, pen.side / 2)
    bold = int(pen.chance.uniform(0, 0.03) * pen.side)
    pen.canvas.text(middle, word, fill=255, font=font, anchor="mm", stroke_width=bold)


_SYMBOLS: dict[str, Callable[[_Pen], None]] = {
    "right": lambda pen: _hooked(pen, mirrored=False),
    "left": lambda pen: _hooked(pen, mirrored=True),
    "bolts": _bolts,
    "sun": _sun,
}
_LOOKALIKES: dict[str, Callable[[_Pen], None]] = {
    "cross": _cross,
    "potent": _potent,
    "mixed": _mixed,
    "three": _three,
    "pinwheel": _pinwheel,
    "whirl": _whirl,
    "half": _half,
    "spiral": _spiral,
    "key": _key,
    "grid": _grid,
    "wheel": _wheel,
    "rays": _rays,
    "clock": _clock,
    "one bolt": _one_bolt,
    "against": _against,
    "star": _star,
    "windows": _windows,
    "arrows": _arrows,
    "letters": _letters,
}
LOOKALIKES = tuple(_LOOKALIKES)
