"""Rooms: an art gallery, a kitchen table."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.study import Study, moon, shadow, stars

WALLS = ("e9dfd0", "d5e3e0", "e6d5d8", "dcd9ea")


def art_gallery(study: Study) -> None:
    """A tall pale wall hung with bright paintings, each under its lamp; a gleaming wood floor."""
    sky, ground = study.sky, study.ground
    wall = WALLS[int(study.rng.integers(4))]
    sky.gradient(
        ((-0.25, mix(wall, "a89a90", 0.35)), (0.3, wall), (0.65, mix(wall, "b8a89a", 0.25)))
    )
    ground.box(-2, -0.3, 2, 0.672, (mix(wall, "a89a90", 0.3), wall))
    ground.box(-2, -0.05, 2, -0.01, ("ffffff", "cfc4b8"))
    hung = study.spread("hung", 7, 0.06)
    turn = int(study.rng.integers(6))
    for i, (x, rng) in enumerate(hung):
        wide = float(rng.uniform(0.3, 0.4))
        tall = float(rng.uniform(0.28, 0.38))
        picture(ground, x, 0.3, wide, tall, (i + turn) % 6, rng)
    ground.box(-2, 0.63, 2, 0.675, ("fffaf2", "d8cbbb"))
    ground.box(-2, 0.672, 2, 1.3, ("d99a62", "9a5f3a"))
    for row, (y0, y1) in enumerate(
        ((0.672, 0.72), (0.72, 0.79), (0.79, 0.89), (0.89, 1.03), (1.03, 1.25))
    ):
        ground.box(-2, y1 - 0.003, 2, y1 + 0.002, "6f4028", opacity=0.45)
        for i in range(8):
            x = -2 + 0.5 * i + 0.21 * row
            ground.stroke((x, y0), (x, y1), 0.004, "6f4028", opacity=0.4)
    for x, _ in hung:
        ground.glow(x, 0.74, 0.2, 0.1, "fff0d0", 0.5)
    for x, _ in hung[::2]:
        bench(ground, x + 0.29, 0.715)


def picture(
    canvas: Canvas,
    x: float,
    y: float,
    wide: float,
    tall: float,
    kind: int,
    rng: np.random.Generator,
) -> None:
    """A painting in a golden frame under a lamp: landscape, sea, sun, face, squares or stars."""
    left, right, top, foot = x - wide / 2, x + wide / 2, y - tall / 2, y + tall / 2
    canvas.glow(x, y, wide * 1.05, tall * 1.15, "fff6dc", 0.75)
    canvas.box(left - 0.02, top, right + 0.04, foot + 0.05, "6a5648", soft=0.03, opacity=0.35)
    canvas.box(left - 0.028, top - 0.028, right + 0.028, foot + 0.028, ("ffe08f", "b3782f"))
    canvas.box(left - 0.01, top - 0.01, right + 0.01, foot + 0.01, ("a8702f", "ffd98a"))
    hues = (
        ("ffb26b", "e8508a"),
        ("8fd8ff", "2f6fc9"),
        ("fff0c9", "f2c14f"),
        ("b8e6c9", "2f9f8f"),
        ("fdf6e8", "efe2c8"),
        ("1f2a6f", "3f6fc9"),
    )
    canvas.box(left, top, right, foot, hues[kind])
    if kind == 0:
        canvas.ellipse(x - wide * 0.12, y + tall * 0.05, tall * 0.2, tall * 0.2, "fff3b0")
        canvas.ellipse(x, foot, wide * 0.5, tall * 0.28, ("8f3f8a", "4a2a6f"), cut=foot)
    elif kind == 1:
        canvas.box(left, y + tall * 0.15, right, foot, ("2f7fd0", "174a8f"))
        canvas.facet(
            [(x, y - tall * 0.34), (x + wide * 0.22, y + tall * 0.16), (x, y + tall * 0.16)],
            "ffffff",
        )
        canvas.facet(
            [
                (x - wide * 0.2, y + tall * 0.2),
                (x + wide * 0.24, y + tall * 0.2),
                (x + wide * 0.14, y + tall * 0.31),
                (x - wide * 0.12, y + tall * 0.31),
            ],
            "e8503f",
        )
    elif kind == 2:
        for i, hue in enumerate(("e8503f", "ff9a3d", "ffd23f", "fff4c0")):
            r = tall * (0.38 - 0.09 * i)
            canvas.ellipse(x, y, r, r, hue)
    elif kind == 3:
        canvas.ellipse(x, foot, wide * 0.32, tall * 0.36, ("e8503f", "8f2f4f"), cut=foot)
        canvas.ellipse(x, y - tall * 0.1, tall * 0.2, tall * 0.26, "3a2430")
        canvas.ellipse(x, y - tall * 0.06, tall * 0.15, tall * 0.19, ("ffdcc0", "e0a080"))
    elif kind == 4:
        parts = (
            (-0.5, -0.5, 0.05, 0.1, "e8402f"),
            (0.1, -0.5, 0.5, -0.15, "2f5fd0"),
            (-0.5, 0.16, -0.2, 0.5, "ffc92f"),
            (0.1, 0.16, 0.5, 0.5, "2a2a3a"),
        )
        for a, b, c, d, hue in parts:
            canvas.box(x + a * wide, y + b * tall, x + c * wide, y + d * tall, hue)
    else:
        for _ in range(7):
            u, v = rng.uniform(-0.38, 0.38, 2)
            px, py = x + float(u) * wide, y + float(v - 0.08) * tall
            canvas.ellipse(px, py, tall * 0.07, tall * 0.07, "ffe27a", soft=0.012)
            canvas.ellipse(px, py, tall * 0.03, tall * 0.03, "fffbe0")
        canvas.ellipse(x, foot, wide * 0.5, tall * 0.22, ("3f8f7f", "1f4f5f"), cut=foot)
    canvas.box(x - 0.07, top - 0.075, x + 0.07, top - 0.052, ("ffe9b0", "b8863f"), corner=0.01)


def bench(canvas: Canvas, x: float, foot: float) -> None:
    """A low padded bench."""
    shadow(canvas, x, foot, 0.15)
    for u in (-0.1, 0.1):
        canvas.box(x + u - 0.008, foot - 0.05, x + u + 0.008, foot, "4a3a34")
    canvas.box(x - 0.13, foot - 0.085, x + 0.13, foot - 0.045, ("d8505a", "8f2438"), corner=0.018)


def kitchen_table(study: Study) -> None:
    """A table top before a tiled kitchen wall: a window on a garden, shelves of jars."""
    sky, middle, ground = study.sky, study.middle, study.ground
    sky.gradient(
        study.at(
            ((-0.25, "7cc4ff"), (0.5, "dff3ff")),
            ((-0.25, "8d4fa6"), (0.25, "ff8f7a"), (0.5, "ffd98f")),
            ((-0.25, "0a1436"), (0.5, "35559f")),
        )
    )
    if study.time == "night":
        stars(study, 90)
        moon(sky, 0.1, 0.14, 0.06)
    middle.ellipse(0, 0.6, 9, 0.22, ("a5dc62", "5fae45"))
    for x, rng in study.spread("garden", 14, 0.4):
        r = float(rng.uniform(0.07, 0.14))
        middle.ellipse(x, 0.42, r, r * 0.9, ("8fd65f", "2f8f4e"))
    wall = ("bfe3d8", "f6dfa8", "f3c9bd", "bcd6ee")[int(study.rng.integers(4))]
    panes = study.spread("panes", 4, 0.0)
    walls(ground, wall, [x for x, _ in panes])
    for i, (x, rng) in enumerate(panes):
        shelf(ground, x + 0.5, 0.2, i, rng)
        shelf(ground, x + 0.5, 0.42, i + 2, rng)
    ground.box(-2, 0.575, 2, 0.66, ("fffaf0", "d8cdbd"))
    ground.box(-2, 0.66, 2, 1.3, ("e2a468", "b5713f"))
    ground.box(-2, 0.655, 2, 0.675, ("ffd9a0", "d9965a"))
    ground.mottle(study.dice("grain"), 0.68, 1.25, "f8cf98", 0.6, across=8, down=70, low=0.4)
    ground.mottle(study.dice("knots"), 0.68, 1.25, "9a5a30", 0.35, across=7, down=60)
    for x, _ in study.spread("mats", 4, 0.05):
        ground.ellipse(x, 0.84, 0.27, 0.075, "6f4028", soft=0.02, opacity=0.3)
        ground.ellipse(x, 0.83, 0.26, 0.07, ("fff8ee", "e0d4c8"))
        ground.ellipse(x, 0.83, 0.235, 0.06, mix(wall, "d8505a", 0.45))
        ground.ellipse(x, 0.83, 0.2, 0.05, ("fff8ee", "efe2d6"))


def walls(canvas: Canvas, hue: str, panes: list[float]) -> None:
    """Tiles everywhere but in the windows, which have frames and curtains."""
    half, top, foot = 0.25, 0.02, 0.5
    edges = [v for x in panes for v in (x - half, x + half)]
    for left, right in zip(edges[1::2], [*edges[2::2], edges[0] + 4], strict=True):
        canvas.box(left, -0.3, right, 0.66, (mix(hue, "ffffff", 0.15), hue))
    for x in panes:
        canvas.box(x - half - 0.01, -0.3, x + half + 0.01, top, mix(hue, "ffffff", 0.1))
        canvas.box(x - half - 0.01, foot, x + half + 0.01, 0.66, hue)
    for row in range(9):
        y = -0.2 + row * 0.1
        for left, right in zip(edges[1::2], [*edges[2::2], edges[0] + 4], strict=True):
            canvas.box(left, y - 0.002, right, y + 0.003, "ffffff", opacity=0.45)
            for k in range(1, 5):
                u = left + (right - left) * k / 5
                canvas.stroke((u, y), (u, y + 0.1), 0.005, "ffffff", opacity=0.4)
    for x in panes:
        for a, b, c, d in (
            (-half, top, -half + 0.022, foot),
            (half - 0.022, top, half, foot),
            (-half, top, half, top + 0.022),
            (-0.01, top, 0.01, foot),
            (-half, 0.26, half, 0.276),
        ):
            canvas.box(x + a, b, x + c, d, ("ffffff", "dfe3ea"))
        canvas.box(
            x - half - 0.03,
            foot - 0.012,
            x + half + 0.03,
            foot + 0.02,
            ("ffffff", "cfd3da"),
            corner=0.006,
        )
        for side in (-1, 1):
            inner = x + side * 0.13
            canvas.facet(
                [
                    (x + side * 0.29, top - 0.03),
                    (inner, top - 0.03),
                    (x + side * 0.21, 0.32),
                    (x + side * 0.29, 0.36),
                ],
                ("ff7f79", "d8484f"),
                sideways=True,
            )
        canvas.stroke((x - 0.31, top - 0.03), (x + 0.31, top - 0.03), 0.018, "b5763f")


def shelf(canvas: Canvas, x: float, y: float, turn: int, rng: np.random.Generator) -> None:
    """A shelf of jars, cups and plants."""
    hues = ("ff6f61", "ffc93c", "4fb6a8", "6f8fe0", "e58fd0")
    for i in range(4):
        u, r = x - 0.135 + 0.09 * i, float(rng.uniform(0.026, 0.036))
        hue = hues[(i * 2 + turn) % 5]
        if (i + turn) % 3 == 0:
            canvas.ellipse(u, y - 0.09, 0.04, 0.042, ("a5e070", "3f8f45"))
            canvas.box(u - 0.026, y - 0.058, u + 0.026, y, ("f0a07a", "a8583f"), corner=0.008)
        else:
            canvas.box(
                u - r,
                y - 0.085,
                u + r,
                y,
                (hue, mix(hue, "301028", 0.35)),
                corner=0.012,
                sideways=True,
            )
            canvas.box(
                u - r * 0.9, y - 0.1, u + r * 0.9, y - 0.08, ("fff4e0", "cdb89a"), corner=0.005
            )
    canvas.box(x - 0.19, y, x + 0.19, y + 0.022, ("d99a62", "8f5a34"), corner=0.004)
    canvas.box(x - 0.18, y + 0.022, x + 0.18, y + 0.05, "3a2418", soft=0.015, opacity=0.25)
