"""Hate symbols, and what only looks like them, drawn from their geometry.

They are drawn for one purpose: to train the detector that keeps them out of videos
(reviewers/symbols.py). A drawing is a mask on the square [-1, 1]², y downward, made of strokes
whose lengths, widths and steadiness vary: printed, cut from tape or sprayed by hand.

Seven symbols whose geometry says what they are:

    right       the hooked cross whose hooks run clockwise, at any roll (the Nazi swastika)
    left        its mirror image: the manji of Buddhist temples, and a flag seen from behind
    bolts       two sig runes side by side (the SS)
    sun         twelve of them bent around a hub (the "black sun")
    celtic      an even cross whose arms reach beyond a ring of the same stroke
    wolfsangel  a stem with a barb at either end, on opposite sides, and a bar across its middle
    othala      the rune: a lozenge whose lower sides cross and go on as feet

The look-alikes that mean none of this are in lookalikes.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from worldreel.safety.lookalikes import LOOKALIKES as _LOOKALIKES
from worldreel.safety.strokes import Pen, bolt, turned

__all__ = ["LOOKALIKES", "SYMBOLS", "draw"]

SYMBOLS = ("right", "left", "bolts", "sun", "celtic", "wolfsangel", "othala")
LOOKALIKES = tuple(_LOOKALIKES)
_FINER = 3  # drawn so many times larger, then reduced: soft edges


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
    pen = Pen(
        canvas=ImageDraw.Draw(image),
        side=big,
        width=float(chance.uniform(0.14, 0.44)),
        shake=float(chance.uniform(0.01, 0.05)) if by_hand else 0.0,
        rounded=by_hand or bool(chance.random() < 0.15),
        chance=chance,
    )
    (_SYMBOLS | _LOOKALIKES)[name](pen)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _hooked(pen: Pen, *, mirrored: bool) -> None:
    """Four arms of length `reach`, each bent at its end by a right angle."""
    half = pen.width / 2
    reach = 0.94 - half
    hook = reach * float(pen.chance.uniform(0.7, 1.0))
    flip = -1 if mirrored else 1
    for quarter in range(4):
        arm = [(0.0, 0.0), (0.0, -reach), (flip * hook, -reach)]
        pen.line(*turned(arm, quarter))


def _bolts(pen: Pen) -> None:
    wide = float(pen.chance.uniform(0.4, 0.62))
    apart = wide * float(pen.chance.uniform(0.6, 0.85)) + pen.width * 0.35
    slender = Pen(
        canvas=pen.canvas,
        side=pen.side,
        width=min(pen.width, 0.26),
        shake=pen.shake / 2,
        rounded=pen.rounded,
        chance=pen.chance,
    )
    step = float(pen.chance.uniform(0.02, 0.16))
    for centre in (-apart / 2, apart / 2):
        bolt(slender, centre, wide, step)


def _sun(pen: Pen) -> None:
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


def _celtic(pen: Pen) -> None:
    width = float(np.clip(pen.width, 0.14, 0.3))
    radius = float(pen.chance.uniform(0.5, 0.64))
    reach = min(0.94 - width / 2, radius + width / 2 + float(pen.chance.uniform(0.12, 0.34)))
    pen.ring(radius, width * float(pen.chance.uniform(0.8, 1.1)))
    for quarter in range(4):
        pen.line(*turned([(0, 0), (0, -reach)], quarter), width=width)


def _wolfsangel(pen: Pen) -> None:
    width = float(np.clip(pen.width, 0.12, 0.26))
    tall, bar = 0.92 - width / 2, float(pen.chance.uniform(0.3, 0.55))
    out, down = float(pen.chance.uniform(0.36, 0.6)), float(pen.chance.uniform(0.15, 0.45))
    flip = float(pen.chance.choice([-1, 1]))
    pen.line((0, -tall), (0, tall), width=width)
    pen.line((-bar, 0), (bar, 0), width=width)
    for end in (-1, 1):
        pen.line((0, end * tall), (-end * flip * out, end * (tall - down)), width=width)


def _othala(pen: Pen) -> None:
    width = float(np.clip(pen.width, 0.12, 0.26))
    wide = float(pen.chance.uniform(0.5, 0.68))
    top, side = -0.92 + width / 2, float(pen.chance.uniform(-0.4, -0.2))
    cross = side + wide * float(pen.chance.uniform(0.8, 1.1))
    foot, down = wide * float(pen.chance.uniform(0.85, 1.1)), 0.92 - width / 2
    for flip in (-1, 1):
        points = [(0.0, top), (flip * wide, side), (0.0, cross), (-flip * foot, down)]
        if pen.chance.random() < 0.3:  # feet that turn up, as a division of the SS wore it
            points.append((-flip * (foot + 0.22), down - 0.22))
        pen.line(*points, width=width)


_SYMBOLS: dict[str, Callable[[Pen], None]] = {
    "right": lambda pen: _hooked(pen, mirrored=False),
    "left": lambda pen: _hooked(pen, mirrored=True),
    "bolts": _bolts,
    "sun": _sun,
    "celtic": _celtic,
    "wolfsangel": _wolfsangel,
    "othala": _othala,
}
