"""Places that are not of this earth: space."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.study import Study, hills, stars

WORLDS = (("ffb56b", "a8325f"), ("7fe0e8", "27509f"), ("e6a8ff", "5c2f9f"), ("ffd98f", "b0603a"))


def space(study: Study) -> None:
    """A nebula full of stars, ringed planets, and the grey ground of a moon."""
    sky, middle, ground = study.sky, study.middle, study.ground
    sky.gradient(((-0.25, "0a0628"), (0.4, "1a1050"), (0.8, "35206e")))
    sky.mottle(
        study.dice("rose"),
        -0.25,
        1.25,
        "e04fae",
        0.75,
        across=7,
        down=4,
        low=0.4,
        high=1.1,
        emit=True,
    )
    sky.mottle(
        study.dice("teal"),
        -0.25,
        1.25,
        "2f9fe0",
        0.7,
        across=6,
        down=4,
        low=0.5,
        high=1.1,
        emit=True,
    )
    sky.mottle(
        study.dice("wisp"),
        -0.25,
        1.25,
        "ffa0c8",
        0.45,
        across=14,
        down=9,
        low=0.55,
        high=1.1,
        emit=True,
    )
    stars(study, 320, 0.8)
    study.sky.glow(-0.33, 0.05, 0.14, 0.14, "fff0d0", 0.9)
    turn = int(study.rng.integers(4))
    for i, (x, rng) in enumerate(study.spread("planets", 7, 0.12)):
        size = float(rng.uniform(0.12, 0.17)) if i % 2 or i == 6 else float(rng.uniform(0.05, 0.08))
        y = float(rng.uniform(0.2, 0.33) if i % 2 else rng.uniform(0.08, 0.4))
        planet(middle, x, y, size, WORLDS[(i + turn) % 4], i % 4 == 1, rng)
    hills(study, middle, "far craters", 0.66, 0.05, "8a7fc0", "5a4f96", 0.0, 3, 9)
    hills(study, ground, "moon", 0.72, 0.02, "d8d3ec", "8f86b8", 0.0, 2, 5)
    ground.mottle(study.dice("dust"), 0.7, 1.25, "f3efff", 0.5, across=12, down=26)
    ground.mottle(study.dice("shade"), 0.7, 1.25, "6f659f", 0.4, across=10, down=24)
    for x, rng in study.spread("craters", 16, 0.4):
        crater(ground, x, float(rng.uniform(0.77, 1.18)), rng)


def planet(
    canvas: Canvas,
    x: float,
    y: float,
    r: float,
    paint: tuple[str, str],
    ringed: bool,
    rng: np.random.Generator,
) -> None:
    """A shaded ball with bands, perhaps a ring that passes behind and before it."""
    light, dark = paint
    canvas.glow(x, y, r * 1.7, r * 1.7, light, 0.3)
    if ringed:
        ring(canvas, x, y, r, light, range(16, 32))
    canvas.ellipse(x, y, r, r, (light, dark), emit=True, sun=(-0.7, -0.7))
    for v in rng.uniform(-0.6, 0.6, 3):
        half = r * float(np.sqrt(1 - v * v)) * 0.96
        canvas.ellipse(
            x,
            y + v * r,
            half,
            r * 0.09,
            mix(dark, light, 0.3 + 0.3 * v),
            soft=r * 0.06,
            opacity=0.5,
            emit=True,
        )
    canvas.ellipse(
        x - r * 0.35,
        y - r * 0.38,
        r * 0.28,
        r * 0.22,
        "ffffff",
        soft=r * 0.2,
        opacity=0.45,
        emit=True,
    )
    if ringed:
        ring(canvas, x, y, r, light, range(16))


def ring(canvas: Canvas, x: float, y: float, r: float, hue: str, steps: range) -> None:
    """Half a tilted ring, drawn as strokes: steps 0..16 are the near half."""
    angle = np.arange(steps.start, steps.stop + 1) * np.pi / 16
    for reach, wide, tone in ((1.75, 0.15, 0.35), (1.5, 0.09, 0.6)):
        u, v = np.cos(angle) * r * reach, np.sin(angle) * r * reach * 0.26
        points = [(x + float(a) + 0.0, y + float(b - 0.22 * a)) for a, b in zip(u, v, strict=True)]
        canvas.path(points, r * wide, mix(hue, "ffffff", tone), emit=True)


def crater(canvas: Canvas, x: float, y: float, rng: np.random.Generator) -> None:
    """A bowl in the ground: a lit rim around a dark hollow."""
    r = float(rng.uniform(0.03, 0.07)) * (0.6 + (y - 0.75) * 1.6)
    canvas.ellipse(x, y, r * 1.2, r * 0.42, ("b0a7d6", "f6f2ff"), soft=0.004)
    canvas.ellipse(x, y + r * 0.03, r, r * 0.31, ("5f5590", "a79dce"), sun=(-0.2, -1))
