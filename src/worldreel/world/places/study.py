"""A study: the three canvases of one place at one time, and what many places share.

Skies, sun, moon, stars, clouds, trees, hills: a painter of a place puts these together.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from worldreel.world.places.brush import Canvas, Curve, mix, waves

Value = TypeVar("Value")

SKIES: dict[str, tuple[tuple[float, str], ...]] = {
    "day": ((-0.25, "2b86e8"), (0.15, "5fb4fb"), (0.45, "a9dcff"), (0.64, "eaf8ff")),
    "dusk": (
        (-0.25, "453a94"),
        (0.08, "8d4fa6"),
        (0.3, "e8688f"),
        (0.48, "ff9f68"),
        (0.64, "ffdf97"),
    ),
    "night": ((-0.25, "060a26"), (0.15, "101e50"), (0.45, "23408a"), (0.64, "4668b0")),
}
HAZE = {"day": "dff1ff", "dusk": "ffbf8f", "night": "2b4486"}


class Study:
    """What a painter gets: canvases, time of day, and random numbers of its own."""

    def __init__(
        self, name: str, time: str, variant: int, unit: int, light: tuple[float, float, float]
    ) -> None:
        self.name, self.time, self.variant = name, time, variant
        self.rng = self.dice("layout")
        shift = 1 + self.dice("hue").uniform(-0.05, 0.05, 3)
        tint = tuple(float(a * b) for a, b in zip(light, shift, strict=True))
        self.sky = Canvas(unit, (tint[0], tint[1], tint[2]))
        self.middle = Canvas(unit, (tint[0], tint[1], tint[2]))
        self.ground = Canvas(unit, (tint[0], tint[1], tint[2]))

    def dice(self, part: str) -> np.random.Generator:
        """Random numbers that depend on the place, the variant and the part, not on the time."""
        return np.random.default_rng([zlib.crc32(f"{self.name}/{part}".encode()), self.variant])

    def at(self, day: Value, dusk: Value, night: Value) -> Value:
        """The value for this study's time of day."""
        return {"day": day, "dusk": dusk, "night": night}[self.time]

    def spread(
        self, part: str, count: int, wander: float = 0.25, start: float = 0.0
    ) -> list[tuple[float, np.random.Generator]]:
        """`count` places along x, evenly spread from anywhere and jittered, each with own dice."""
        rng = self.dice(part)
        step = 4.0 / count
        start += float(rng.uniform(0, step))
        shifts = rng.uniform(-wander, wander, count)
        return [
            (-2 + step * (i + 0.5 + float(shifts[i])) + start, self.dice(f"{part}{i}"))
            for i in range(count)
        ]


def paint_sky(
    study: Study,
    *,
    clouds: int = 7,
    sun_x: float | None = None,
    sun_y: float | None = None,
    stops: Sequence[tuple[float, str]] | None = None,
) -> None:
    """A whole sky for the time of day, with sun or moon, stars and clouds."""
    sky, rng = study.sky, study.dice("sky")
    sky.gradient(stops or SKIES[study.time])
    x = float(rng.uniform(0.12, 0.34) * rng.choice([-1, 1])) if sun_x is None else sun_x
    if study.time == "night":
        stars(study, 170)
        moon(sky, x, 0.16 if sun_y is None else sun_y)
    else:
        y = study.at(0.15, 0.43, 0.0) if sun_y is None else sun_y
        sun(sky, x, y, study.time)
    for i, (cx, dice) in enumerate(study.spread("clouds", clouds)):
        cy = 0.06 + 0.26 * ((i * 0.618) % 1) + float(dice.uniform(-0.03, 0.03))
        gap = (cx - x + 2) % 4 - 2
        if abs(gap) < 0.3:  # the sun and the moon stay free
            cx = x + (0.3 if gap > 0 else -0.3)
        cloud(study, cx, cy, float(dice.uniform(0.075, 0.13)), dice)


def stars(study: Study, count: int, low: float = 0.6) -> None:
    """Stars above y = `low`, a few large ones among them."""
    rng = study.dice("stars")
    hues = ("ffffff", "cfe0ff", "fff0cf")
    for i in range(count):
        x, y = float(rng.uniform(-2, 2)), float(-0.25 + (low + 0.25) * rng.random() ** 1.2)
        size = float(rng.uniform(0.0015, 0.0035)) if i % 9 else 0.006
        study.sky.dot(x, y, size, hues[i % 3], float(rng.uniform(0.5, 1.0)))


def sun(sky: Canvas, x: float, y: float, time: str) -> None:
    """A sun with its glow: small and white-gold by day, large and low at dusk."""
    if time == "day":
        sky.glow(x, y, 0.75, 0.6, "fff6d8", 0.6)
        sky.ellipse(x, y, 0.075, 0.075, ("fffbe0", "ffe27a"), emit=True)
        sky.glow(x, y, 0.16, 0.16, "fffbe6", 0.7)
    else:
        sky.glow(x, y, 1.1, 0.5, "ffd27a", 0.75)
        sky.ellipse(x, y, 0.125, 0.125, ("fff3b0", "ff9a4a"), emit=True, sun=(0, -1))
        sky.glow(x, y, 0.28, 0.28, "ffe9a8", 0.6)


def moon(sky: Canvas, x: float, y: float, radius: float = 0.08) -> None:
    """A full moon with seas and a halo."""
    sky.glow(x, y, radius * 5.5, radius * 5.5, "a8c4ff", 0.55)
    sky.ellipse(x, y, radius, radius, ("fffdf0", "d5dcf2"), emit=True)
    for u, v, r in ((-0.3, -0.2, 0.26), (0.3, 0.15, 0.2), (-0.1, 0.42, 0.16), (0.25, -0.45, 0.12)):
        sky.ellipse(
            x + u * radius,
            y + v * radius,
            r * radius,
            r * radius,
            "c3cce6",
            opacity=0.75,
            emit=True,
        )


def cloud(study: Study, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """A heap of soft balls with a flat foot."""
    light = study.at("ffffff", "ffd9c0", "5a74b4")
    dark = study.at("d3e8fb", "d9779a", "2c437f")
    opacity = study.at(0.95, 0.8, 0.5)
    puffs = (
        (-1.0, 0.0, 0.42),
        (1.0, 0.02, 0.4),
        (-0.55, -0.22, 0.58),
        (0.58, -0.18, 0.54),
        (0.05, -0.42, 0.7),
        (-0.3, 0.02, 0.5),
        (0.35, 0.03, 0.5),
    )
    foot = y + size * 0.34
    for u, v, r in puffs:
        r *= size * float(rng.uniform(0.88, 1.12))
        cx, cy = x + u * size * 1.1, y + v * size
        study.sky.ellipse(
            cx,
            cy,
            r * 1.08,
            r,
            (light, dark),
            soft=size * 0.07,
            cut=foot,
            opacity=opacity,
            emit=True,
            sun=(-0.2, -1),
        )


def hills(
    study: Study,
    canvas: Canvas,
    part: str,
    level: float,
    swing: float,
    top: str,
    foot: str,
    haze: float = 0.0,
    low: int = 2,
    high: int = 6,
) -> Curve:
    """One rolling range, hazed into the air by `haze`; gives its curve."""
    curve = waves_of(study, part, level, swing, low, high)
    hue = HAZE[study.time]
    canvas.ridge(curve, (top, foot), 0.25)
    if haze:
        canvas.ridge(curve, hue, opacity=haze, emit=True)
    return curve


def waves_of(study: Study, part: str, level: float, swing: float, low: int, high: int) -> Curve:
    """A random curve whose dice depend on the part alone."""
    return waves(study.dice(part), level, swing, low, high)


def shadow(canvas: Canvas, x: float, y: float, wide: float, strength: float = 0.3) -> None:
    """A soft shadow that lies on the ground."""
    canvas.ellipse(x, y, wide, wide * 0.22, "101830", soft=wide * 0.2, opacity=strength)


def round_tree(
    canvas: Canvas,
    x: float,
    foot: float,
    tall: float,
    leaves: tuple[str, str],
    rng: np.random.Generator,
    trunk: tuple[str, str] = ("9a6a3f", "5d3c24"),
) -> None:
    """A leafy tree: a trunk and a crown of shaded balls, lit from the upper left."""
    wide = tall * 0.085
    top = foot - tall * 0.55
    shadow(canvas, x + 0.1 * tall, foot, tall * 0.34)
    canvas.facet(
        [(x - wide * 0.7, top), (x + wide * 0.7, top), (x + wide, foot), (x - wide, foot)],
        trunk,
        sideways=True,
    )
    light, dark = leaves
    middle = mix(light, dark, 0.45)
    balls = [
        (-0.21, -0.5, 0.19),
        (0.21, -0.49, 0.19),
        (0.0, -0.52, 0.22),
        (-0.13, -0.7, 0.2),
        (0.14, -0.7, 0.19),
        (0.0, -0.83, 0.17),
    ]
    for i, (u, v, r) in enumerate(balls):
        jitter = rng.uniform(-0.025, 0.025, 2)
        r *= float(rng.uniform(0.93, 1.07))
        shade = (mix(middle, light, 0.25 + 0.15 * i), mix(dark, middle, 0.12 * i))
        canvas.ellipse(
            x + (u + float(jitter[0])) * tall,
            foot + (v + float(jitter[1])) * tall,
            r * tall,
            r * tall * 0.93,
            shade,
        )


def pine_tree(
    canvas: Canvas,
    x: float,
    foot: float,
    tall: float,
    leaves: tuple[str, str],
    snow: str | None = None,
    tiers: int = 4,
) -> None:
    """A fir of stacked skirts, its left side lit, with snow on it if asked."""
    light, dark = leaves
    shadow(canvas, x + 0.06 * tall, foot, tall * 0.22)
    canvas.box(
        x - tall * 0.035,
        foot - tall * 0.2,
        x + tall * 0.035,
        foot,
        ("80563a", "4d3322"),
        sideways=True,
    )
    for i in range(tiers):
        share = i / (tiers - 1)
        base = foot - tall * (0.12 + 0.52 * share)
        half = tall * (0.27 - 0.145 * share)
        peak = base - tall * (0.4 - 0.04 * share)
        hang = tall * 0.03
        canvas.facet(
            [(x, peak), (x + half, base), (x, base + hang), (x - half, base)],
            (light, dark),
            sideways=True,
        )
        if snow is not None:
            cut = 0.52
            rim = peak + (base - peak) * cut
            canvas.facet(
                [
                    (x, peak - 0.004),
                    (x + half * cut, rim),
                    (x + half * 0.1, rim + hang),
                    (x - half * cut, rim + hang * 0.6),
                ],
                (snow, mix(snow, "9db8e0", 0.6)),
                sideways=True,
            )
