"""Wild country: forest, desert, a dirt road among pines."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, lower, mix
from worldreel.world.places.land import height_of
from worldreel.world.places.study import Study, hills, paint_sky, pine_tree, shadow, waves_of
from worldreel.world.places.things import cactus, stones


def forest(study: Study) -> None:
    """Deep woods: trunks in rows that fade into misty light, ferns, toadstools, sunbeams."""
    sky, middle, ground = study.sky, study.middle, study.ground
    sky.gradient(
        study.at(
            ((-0.25, "7fcf8a"), (0.2, "c2eda8"), (0.6, "f6ffd6")),
            ((-0.25, "9a5a7a"), (0.25, "f0936a"), (0.6, "ffd98f")),
            ((-0.25, "08203a"), (0.25, "123f5c"), (0.6, "2a6c86")),
        )
    )
    hue = study.at("fffde0", "ffd88a", "9fd0ff")
    sky.glow(0.12, 0.3, 0.9, 0.6, hue, study.at(0.85, 0.8, 0.45))
    back = study.at("a3d98f", "d98a66", "1d5570")
    for x, rng in study.spread("mist trunks", 22, 0.4):
        trunk(sky, x, 0.75, float(rng.uniform(0.03, 0.06)), (back, mix(back, hue, 0.3)), True)
    near = study.at("5fae6b", "a8605a", "123f58")
    for x, rng in study.spread("middle trunks", 15, 0.35):
        trunk(middle, x, 0.72, float(rng.uniform(0.055, 0.09)), (near, mix(near, back, 0.6)), True)
    canopy(study, middle, "high leaves", 0.1, 0.09, near, mix(near, back, 0.5), True)
    hills(study, middle, "undergrowth", 0.61, 0.03, near, mix(near, "0a3030", 0.3), 0, 4, 9)
    floor = hills(study, ground, "floor", 0.665, 0.018, "8cc152", "4c7f3a", 0, 2, 5)
    ground.mottle(study.dice("light"), 0.66, 1.25, "d9ec7a", 0.65, across=13, down=26)
    ground.mottle(study.dice("earth"), 0.68, 1.25, "6b5a34", 0.5, across=12, down=26)
    for x, rng in study.spread("trunks", 7, 0.2):
        trunk(
            ground,
            x,
            height_of(floor, x) + 0.06,
            float(rng.uniform(0.1, 0.15)),
            ("a8754a", "5a3a26"),
            False,
        )
    canopy(study, ground, "leaves", -0.1, 0.13, "4fa64a", "2f7f45", False)
    for i, (x, rng) in enumerate(study.spread("floor life", 14, 0.3)):
        y = height_of(floor, x) + 0.06 + float(rng.uniform(0, 0.02))
        if i % 3 == 2:
            toadstool(ground, x, y, float(rng.uniform(0.05, 0.075)))
        else:
            fern(ground, x, y, float(rng.uniform(0.09, 0.15)), rng)
    shafts(study, hue)


def trunk(
    canvas: Canvas, x: float, foot: float, wide: float, paint: tuple[str, str], emit: bool
) -> None:
    """A tall trunk that flares at its foot and leaves the picture above."""
    half = wide / 2
    if not emit:
        shadow(canvas, x + wide * 0.5, foot, wide * 1.5)
    canvas.facet(
        [(x - half * 0.8, -0.3), (x + half * 0.8, -0.3), (x + half, foot), (x - half, foot)],
        paint,
        sideways=True,
        emit=emit,
    )
    canvas.facet(
        [
            (x - half, foot - wide),
            (x + half, foot - wide),
            (x + half * 1.7, foot + 0.008),
            (x - half * 1.7, foot + 0.008),
        ],
        paint,
        sideways=True,
        emit=emit,
    )
    if not emit:
        for u, v in ((-0.15, 0.12), (0.2, 0.3), (-0.2, 0.46), (0.1, 0.56)):
            canvas.stroke(
                (x + u * wide, v), (x + u * wide, v + 0.06), wide * 0.07, "5a3a26", opacity=0.6
            )


def canopy(
    study: Study,
    canvas: Canvas,
    part: str,
    level: float,
    swing: float,
    light: str,
    dark: str,
    emit: bool,
) -> None:
    """Leaves that hang into the picture from above."""
    for row, count in ((0, 20), (1, 16)):
        for x, rng in study.spread(f"{part}{row}", count, 0.4):
            r = float(rng.uniform(0.75, 1.1)) * swing * 1.15
            canvas.ellipse(
                x,
                level - swing * (0.1 + 0.6 * row),
                r * 1.2,
                r,
                (mix(light, "e0ff8a", 0.25 * (1 - row)), dark),
                emit=emit,
                sun=(0, 0.9),
            )
    canvas.box(-2, -0.3, 2, level - swing * 1.1, dark, emit=emit)


def fern(canvas: Canvas, x: float, foot: float, size: float, rng: np.random.Generator) -> None:
    """A tuft of arching leaves."""
    hues = ("3f8f3f", "4fa845", "6cc255", "8ad65f", "6cc255", "4fa845", "3f8f3f")
    for i in (0, 6, 1, 5, 2, 4, 3):
        angle = (i - 3) * 0.42 + float(rng.uniform(-0.1, 0.1))
        tip = (x + np.sin(angle) * size, foot - np.cos(angle * 0.75) * size * 0.85)
        knee = (x + np.sin(angle * 0.55) * size * 0.6, foot - size * 0.62)
        canvas.path([(x, foot), knee, tip], size * 0.17, hues[i], taper=0.2)


def toadstool(canvas: Canvas, x: float, foot: float, size: float) -> None:
    """A red cap with white spots."""
    shadow(canvas, x, foot, size * 0.8)
    canvas.box(
        x - size * 0.2,
        foot - size * 0.75,
        x + size * 0.2,
        foot,
        ("fff6e0", "d8c6a0"),
        corner=size * 0.12,
        sideways=True,
    )
    cap = foot - size * 0.72
    canvas.ellipse(x, cap, size * 0.68, size * 0.42, ("ff6a55", "b81f2e"))
    for u, v, r in ((-0.3, -0.12, 0.12), (0.12, -0.22, 0.13), (0.4, 0.05, 0.1), (-0.05, 0.12, 0.1)):
        canvas.ellipse(x + u * size, cap + v * size, r * size, r * size * 0.8, "fff8ee")


def shafts(study: Study, hue: str) -> None:
    """Slanting beams between the trunks."""
    for x, rng in study.spread("shafts", 7, 0.3):
        wide = float(rng.uniform(0.04, 0.1))
        study.middle.facet(
            [
                (x, -0.3),
                (x + wide, -0.3),
                (x + wide * 1.9 - 0.35, 0.72),
                (x - wide * 0.9 - 0.35, 0.72),
            ],
            hue,
            soft=0.03,
            opacity=study.at(0.26, 0.26, 0.1),
            emit=True,
        )


def desert(study: Study) -> None:
    """Wind-shaped dunes, red table mountains, cacti."""
    stops = study.at(
        ((-0.25, "3d9be8"), (0.2, "8fcdf5"), (0.45, "ffe9bf"), (0.62, "ffd9a0")), None, None
    )
    paint_sky(study, clouds=3, stops=stops)
    middle, ground = study.middle, study.ground
    for x, rng in study.spread("mesas", 5, 0.25):
        mesa(middle, x, 0.62, float(rng.uniform(0.16, 0.28)), float(rng.uniform(0.16, 0.29)))
    middle.veil(0.2, 0.62, study.at("ffdcb0", "ffb48a", "2f4688"), 0.1, 0.4)
    dune(study, "far dunes", 0.575, 0.035, ("ffc977", "e8954a"), middle)
    dune(study, "dunes", 0.64, 0.03, ("ffcf80", "ec9c50"), ground)
    for x, rng in study.spread("far cacti", 9, 0.35):
        cactus(ground, x, 0.685, float(rng.uniform(0.08, 0.13)), rng)
    dune(study, "near", 0.705, 0.02, ("ffdd98", "e9a055"), ground)
    ground.mottle(study.dice("ripple"), 0.72, 1.25, "fff0c0", 0.5, across=9, down=42, low=0.4)
    ground.mottle(study.dice("hollow"), 0.72, 1.25, "d98842", 0.4, across=8, down=36)
    for i, (x, rng) in enumerate(study.spread("cacti", 8, 0.25)):
        y = 0.745 + float(rng.uniform(-0.01, 0.01))
        if i % 4 == 3:
            stones(ground, x, y, float(rng.uniform(0.06, 0.09)), ("d98a5c", "8a4a3a"))
        else:
            cactus(ground, x, y, float(rng.uniform(0.24, 0.4)), rng)


def dune(
    study: Study, part: str, level: float, swing: float, paint: tuple[str, str], canvas: Canvas
) -> None:
    """A dune whose far side lies in shade below a sharp crest."""
    crest = hills(study, canvas, part, level, swing, *paint, 0, 2, 4)
    lee = waves_of(study, part + " lee", 0.2, 0.6, 2, 5)
    canvas.ridge(
        lambda x: crest(x) + 0.012 + np.maximum(lee(x), 0) * 0.12,
        (mix(paint[1], "8a3f4a", 0.3), paint[1]),
        0.14,
        soft=0.006,
        opacity=0.55,
    )
    canvas.ridge(lambda x: crest(x) + 0.05 + np.maximum(lee(x), 0) * 0.3, paint, 0.2, soft=0.03)


def mesa(canvas: Canvas, x: float, foot: float, wide: float, tall: float) -> None:
    """A table mountain in bands of red."""
    bands = ("f29a6a", "d9714f", "e88a5c", "c4604a", "b5553f")
    for i, hue in enumerate(bands):
        y0, y1 = foot - tall * (1 - i / 5), foot - tall * (1 - (i + 1) / 5)
        a, b = wide * (0.42 + 0.03 * i + 0.02 * i * i), wide * (0.45 + 0.03 * i + 0.03 * i * i)
        canvas.facet(
            [(x - a, y0), (x + a, y0), (x + b, y1 + 0.002), (x - b, y1 + 0.002)],
            (mix(hue, "ffe0b0", 0.2), mix(hue, "6a2a4a", 0.35)),
            sideways=True,
        )
    canvas.box(x - wide * 0.42, foot - tall, x + wide * 0.42, foot - tall + 0.012, "ffc08a")


def pine_road(study: Study) -> None:
    """A steep dirt road that climbs among pines, wooded slopes behind."""
    paint_sky(study, clouds=5)
    middle, ground = study.middle, study.ground
    hills(study, middle, "blue ridge", 0.36, 0.08, "7fa9c4", "8fbfb0", 0.35, 2, 5)
    slope = hills(study, middle, "wooded slope", 0.46, 0.08, "6fae78", "4f9468", 0.12, 2, 4)
    for x, rng in study.spread("slope pines", 40, 0.45):
        pine_tree(
            middle,
            x,
            height_of(slope, x) + float(rng.uniform(0.0, 0.1)),
            float(rng.uniform(0.12, 0.2)),
            ("6fb382", "3f8068"),
        )
    bank = hills(study, ground, "bank", 0.6, 0.04, "93c95a", "5d9a46", 0, 2, 4)
    for x, rng in sorted(study.spread("pines", 20, 0.4), key=lambda p: height_of(bank, p[0])):
        pine_tree(
            ground,
            x,
            height_of(bank, x) + float(rng.uniform(0.02, 0.07)),
            float(rng.uniform(0.28, 0.5)),
            ("5aa865", "1f5f4a"),
            tiers=5,
        )
    ground.box(-2, 0.71, 2, 1.3, ("86bd52", "5d9a46"), soft=0.02)
    ground.mottle(study.dice("grass"), 0.7, 1.25, "bfe070", 0.5, across=14, down=34)
    verge = waves_of(study, "verge", 0.762, 0.012, 1, 3)
    ground.ridge(lower(verge, -0.014), ("8a5a34", "b98455"), 0.03, soft=0.008)
    ground.ridge(verge, ("e3b882", "b97f4c"), 0.28, soft=0.004)
    ground.mottle(study.dice("dust"), 0.76, 1.25, "f3d3a2", 0.55, across=12, down=44, low=0.4)
    for level in (0.835, 0.925):
        rut = waves_of(study, "verge", level, 0.012, 1, 3)
        ground.ridge(rut, "9a673c", bottom=level + 0.06, soft=0.006, opacity=0.5)
        ground.ridge(lower(rut, 0.017), ("d3a16b", "b97f4c"), 0.3, soft=0.012)
    edge = waves_of(study, "verge", 1.02, 0.012, 1, 3)
    ground.ridge(edge, ("7fb84d", "4f8a3c"), 0.2, soft=0.008)
    for x, rng in study.spread("stones", 12, 0.4):
        stones(
            ground,
            x,
            0.768 + float(rng.uniform(-0.01, 0.01)),
            float(rng.uniform(0.02, 0.04)),
            ("d6c4b0", "7d6c62"),
        )
