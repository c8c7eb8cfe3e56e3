"""Open country: meadow, snowy mountains."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, Curve, mix
from worldreel.world.places.study import (
    HAZE,
    Study,
    hills,
    paint_sky,
    pine_tree,
    round_tree,
    shadow,
)

LEAVES = (("9be15d", "2f8f4e"), ("7fd66b", "23804f"), ("b6e35a", "4c9a3c"))


def height_of(curve: Curve, x: float) -> float:
    """The curve's y at one x."""
    return float(curve(np.array([x], np.float32))[0])


def meadow(study: Study) -> None:
    """Rolling green hills, round trees, grass full of flowers."""
    paint_sky(study)
    middle, ground = study.middle, study.ground
    hills(study, middle, "blue hills", 0.5, 0.06, "7fb6c9", "8cc9a4", 0.45)
    near = hills(study, middle, "green hills", 0.565, 0.05, "8fd07a", "6dbb63", 0.12, 2, 5)
    for x, rng in study.spread("far trees", 13):
        round_tree(
            middle,
            x,
            height_of(near, x) + 0.02,
            float(rng.uniform(0.09, 0.15)),
            LEAVES[int(rng.integers(3))],
            rng,
        )
    lawn = hills(study, ground, "lawn", 0.635, 0.022, "a8e063", "56ab3f", 0, 2, 4)
    ground.mottle(study.dice("sunny"), 0.62, 1.25, "d4f27a", 0.5, across=10, down=22)
    ground.mottle(study.dice("shady"), 0.66, 1.25, "3f9142", 0.45, across=12, down=26)
    for x, rng in study.spread("trees", 5, 0.22):
        round_tree(
            ground,
            x,
            height_of(lawn, x) + 0.06,
            float(rng.uniform(0.36, 0.52)),
            LEAVES[int(rng.integers(3))],
            rng,
        )
    flowers(study, ground, 150)


def flowers(study: Study, canvas: Canvas, count: int) -> None:
    """Flowers, larger where nearer."""
    rng = study.dice("flowers")
    hues = ("ffffff", "ff7aa8", "ffe14d", "ff6b57", "c08bff", "ffffff")
    for y in np.sort(0.68 + 0.52 * rng.random(count) ** 1.15):
        x, size = float(rng.uniform(-2, 2)), 0.004 + 0.024 * (float(y) - 0.64)
        hue = hues[int(rng.integers(len(hues)))]
        canvas.stroke((x, y), (x, y + size * 2.2), size * 0.5, "2f7d38")
        canvas.ellipse(x, y, size * 1.35, size * 1.1, (hue, mix(hue, "7a2a6a", 0.18)))
        canvas.ellipse(x, y, size * 0.5, size * 0.42, "ffd23d" if hue != "ffe14d" else "f08a24")


def snowy_mountains(study: Study) -> None:
    """White peaks with blue shade, firs under snow, a field of snow."""
    paint_sky(study, clouds=5)
    middle, ground = study.middle, study.ground
    for part, count, tall, foot, haze in (("far", 6, 0.36, 0.6, 0.4), ("near", 4, 0.46, 0.66, 0.1)):
        for x, rng in study.spread(part, count, 0.2):
            peak(study, middle, x, foot, tall * float(rng.uniform(0.75, 1.1)), rng)
        middle.veil(-0.25, 0.66, HAZE[study.time], haze * 0.3, haze)
    slope = hills(study, ground, "slope", 0.645, 0.03, "ffffff", "c9dcf5", 0, 2, 4)
    for x, rng in study.spread("far firs", 18, 0.4):
        pine_tree(
            ground,
            x,
            height_of(slope, x) + 0.015,
            float(rng.uniform(0.1, 0.17)),
            ("4f9a80", "2b6663"),
            "ffffff",
        )
    hills(study, ground, "drift", 0.7, 0.02, "fbfdff", "cfe0f7", 0, 2, 5)
    ground.mottle(study.dice("blue"), 0.7, 1.25, "a9c6ee", 0.6, across=9, down=20)
    for x, rng in study.spread("firs", 7, 0.3):
        pine_tree(
            ground,
            x,
            0.725 + float(rng.uniform(-0.01, 0.01)),
            float(rng.uniform(0.3, 0.46)),
            ("46977a", "1f5a5a"),
            "ffffff",
        )
    for x, rng in study.spread("lumps", 8):
        y, r = float(rng.uniform(0.86, 1.1)), float(rng.uniform(0.04, 0.08))
        shadow(ground, x + r * 0.3, y + r * 0.1, r * 1.1, 0.12)
        ground.ellipse(x, y, r, r * 0.36, ("ffffff", "bcd2f0"), soft=0.006)


def peak(
    study: Study, canvas: Canvas, x: float, foot: float, tall: float, rng: np.random.Generator
) -> None:
    """A mountain of facets: a lit side, a shaded side, a cap of snow with a ragged hem."""
    top = (x + float(rng.uniform(-0.04, 0.04)), foot - tall)
    left, right = x - tall * 1.05, x + tall * 1.05
    ridge = (x + float(rng.uniform(0.02, 0.09)) * tall, foot + 0.1)
    rocks = (("8fa3c4", "6f86ad"), ("5b6f9e", "4c6093"))
    canvas.facet([top, ridge, (left, foot + 0.1)], rocks[0])
    canvas.facet([top, (right, foot + 0.1), ridge], rocks[1])
    lit = study.at(("ffffff", "eef5ff"), ("fff0e6", "ffd0c0"), ("e6eeff", "bfd0f5"))
    shade = study.at(("c3d6f3", "a4bfe8"), ("d3a5cf", "b98cc4"), ("8fa8dc", "7690cc"))
    hem = [float(v) for v in rng.uniform(0.4, 0.62, 6)]

    def along(end: tuple[float, float], share: float) -> tuple[float, float]:
        return (top[0] + (end[0] - top[0]) * share, top[1] + (end[1] - top[1]) * share)

    low = foot + 0.1
    for i in range(3):
        a = (left + (ridge[0] - left) * i / 3, low)
        b = (left + (ridge[0] - left) * (i + 1) / 3, low)
        canvas.facet(
            [
                top,
                along(b, hem[i] * 0.8),
                along(((a[0] + b[0]) / 2, low), hem[i] + 0.12),
                along(a, hem[i] * 0.8),
            ],
            lit,
        )
    for i in range(3):
        a = (ridge[0] + (right - ridge[0]) * i / 3, low)
        b = (ridge[0] + (right - ridge[0]) * (i + 1) / 3, low)
        canvas.facet(
            [
                top,
                along(b, hem[i + 3] * 0.8),
                along(((a[0] + b[0]) / 2, low), hem[i + 3] + 0.1),
                along(a, hem[i + 3] * 0.8),
            ],
            shade,
        )
