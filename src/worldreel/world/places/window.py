"""A window in a row of painted houses: a room behind those who look out, a wall before them.

The one thing of the world that stands before actors. It belongs to families, not to places.
"""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.study import Study
from worldreel.world.places.town import BURANO, windows

HALF, TOP, SILL = 0.27, 0.2, 0.69
"""The opening: half its width, and its upper and lower edge, in world units."""
_FOOT = 0.86


def window(study: Study) -> tuple[Canvas, Canvas]:
    """(room, wall): what is behind those who look out of the window, and what is before them."""
    room, wall = study.middle, study.ground
    _room(study, room)
    order = [int(i) for i in study.dice("hues").permutation(8)]
    for left, right, roof, hue in ((-1.14, -0.44, 0.12, 1), (0.44, 1.14, -0.02, 2)):
        _neighbour(study, wall, left, right, roof, BURANO[order[hue]], BURANO[order[hue + 2]])
    _house(wall, BURANO[order[0]])
    shutter = "2f8f5f" if BURANO[order[0]] not in ("35b779",) else "3f6fd8"
    _opening(wall, shutter)
    _flowers(study, wall)
    return room, wall


def _room(study: Study, canvas: Canvas) -> None:
    """Warm dusk behind, a picture on the wall, white curtains at the sides."""
    canvas.box(-HALF - 0.04, TOP - 0.04, HALF + 0.04, _FOOT - 0.02, ("7a5a62", "4a3448"))
    canvas.box(-0.2, TOP + 0.06, -0.06, TOP + 0.17, ("f2d9a0", "d9b36a"))
    canvas.box(-0.19, TOP + 0.07, -0.07, TOP + 0.16, ("8fd0e8", "3f8f9a"))
    canvas.glow(0.12, TOP + 0.08, 0.2, 0.2, "ffd890", 0.5)
    for side in (-1, 1):
        for i in range(4):
            x = side * (HALF - 0.012 - 0.02 * i)
            canvas.box(x - 0.011, TOP - 0.02, x + 0.011, SILL + 0.03,
                       (mix("ffffff", "c9c4da", 0.35 * (i % 2)), mix("f2eef8", "b0a8c4", 0.4)),
                       sideways=True)  # fmt: skip


def _house(canvas: Canvas, hue: str) -> None:
    """The house with the opening left free."""
    light, dark = mix(hue, "ffffff", 0.1), mix(hue, "401838", 0.1)
    canvas.box(-0.44, 0.04, 0.44, TOP, (mix(hue, "ffffff", 0.16), light))
    for left, right in ((-0.44, -HALF), (HALF, 0.44)):
        canvas.box(left, TOP - 0.002, right, SILL + 0.002, (light, hue))
    canvas.box(-0.44, SILL, 0.44, _FOOT, (hue, dark))
    canvas.box(-0.44, _FOOT - 0.05, 0.44, _FOOT, ("e9dccb", "b9a896"))
    canvas.box(-0.46, 0.0, 0.46, 0.045, ("d9805f", "a3513f"), corner=0.008)
    for i in range(12):
        canvas.ellipse(-0.44 + 0.08 * i, 0.044, 0.036, 0.016, ("d9805f", "a3513f"))


def _neighbour(
    study: Study, canvas: Canvas, left: float, right: float, roof: float, hue: str, door: str
) -> None:
    """A house next door with windows of its own."""
    canvas.box(left, roof, right, _FOOT, (mix(hue, "ffffff", 0.12), mix(hue, "401838", 0.12)))
    canvas.box(left - 0.012, roof - 0.04, right + 0.012, roof + 0.01, ("d9805f", "a3513f"))
    canvas.box(left, _FOOT - 0.05, right, _FOOT, ("e9dccb", "b9a896"))
    middle = (left + right) / 2
    windows(study, canvas, middle - 0.16, roof + 0.14, 2, 2, (0.32, 0.3), (0.12, 0.17),
            study.dice(f"panes{left}"), mix(door, "103020", 0.2))  # fmt: skip


def _opening(canvas: Canvas, shutter: str) -> None:
    """A white frame and open shutters."""
    for side in (-1, 1):
        a, b = sorted((side * (HALF + 0.015), side * (HALF + 0.135)))
        canvas.box(a, TOP - 0.01, b, SILL + 0.01, (mix(shutter, "ffffff", 0.15), shutter),
                   corner=0.006)  # fmt: skip
        for i in range(15):
            y = TOP + 0.02 + 0.0305 * i
            canvas.box(a + 0.014, y, b - 0.014, y + 0.012, mix(shutter, "0a2018", 0.35))
        x = side * HALF
        canvas.box(x - 0.017, TOP - 0.015, x + 0.017, SILL, ("ffffff", "dcd6d0"))
    canvas.box(-HALF - 0.017, TOP - 0.02, HALF + 0.017, TOP + 0.012, ("ffffff", "dcd6d0"))
    canvas.box(-HALF - 0.06, SILL - 0.004, HALF + 0.06, SILL + 0.03, ("fffaf2", "c9bcae"))


def _flowers(study: Study, canvas: Canvas) -> None:
    """A box of flowers below the sill."""
    dice = study.dice("flowers")
    canvas.box(-0.25, SILL + 0.022, 0.25, SILL + 0.09, ("c9714f", "8a4430"), corner=0.01)
    hues = ("ff5f7a", "ffd84f", "ff8fc0", "ffffff", "ff7a4f")
    for x in np.linspace(-0.24, 0.24, 26):
        y = SILL + 0.02 + float(dice.uniform(-0.016, 0.012))
        canvas.ellipse(float(x), y + 0.008, 0.018, 0.015, ("8fd65f", "3f8f45"))
    for x in np.linspace(-0.235, 0.235, 19):
        y = SILL + 0.008 + float(dice.uniform(-0.014, 0.014))
        hue = hues[int(dice.integers(5))]
        canvas.ellipse(float(x), y, 0.0135, 0.0125, (mix(hue, "ffffff", 0.35), hue))
