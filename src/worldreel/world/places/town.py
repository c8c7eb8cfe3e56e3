"""Where people live: a city street by day, a canal with colourful houses, a playground, a farm."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, lower, mix
from worldreel.world.places.land import LEAVES, flowers, height_of
from worldreel.world.places.study import Study, hills, paint_sky, round_tree, shadow
from worldreel.world.places.things import bush, fence, lamp_post

FACADES = ("e8795a", "f2b950", "6fb3c9", "c98bb5", "8fbf7a", "e6a08a", "d9c7a8", "7f9fd6")
BURANO = ("ff5f57", "2fa8e0", "ffc93c", "8e5bd0", "35b779", "ff8f3f", "ff7fb0", "3f6fd8")


def windows(
    study: Study,
    canvas: Canvas,
    x0: float,
    top: float,
    columns: int,
    rows: int,
    step: tuple[float, float],
    size: tuple[float, float],
    rng: np.random.Generator,
    shutter: str | None = None,
) -> None:
    """A grid of framed windows, some lit at night, with shutters if asked."""
    wide, tall = size
    for row in range(rows):
        for column in range(columns):
            x, y = x0 + column * step[0] - wide / 2, top + row * step[1]
            lit = rng.random() < 0.65
            glass = study.at(("bfe6ff", "5f94c9"), ("ffe0a0", "d98a6a"), ("4a6aa8", "26386e"))
            if lit and study.time != "day":
                glass = ("fff0b0", "ffb84f")
                canvas.glow(x + wide / 2, y + tall / 2, wide * 1.6, tall * 1.2, "ffc060", 0.35)
            if shutter is not None:
                canvas.box(
                    x - wide * 0.55,
                    y,
                    x + wide * 1.55,
                    y + tall,
                    (shutter, mix(shutter, "101020", 0.25)),
                )
            edge = wide * 0.12
            canvas.box(x - edge, y - edge, x + wide + edge, y + tall + edge, ("ffffff", "d8d4d0"))
            canvas.box(x, y, x + wide, y + tall, glass, emit=study.time != "day")
            canvas.box(x + wide * 0.46, y, x + wide * 0.54, y + tall, "f4f0ec")


def city_street(study: Study) -> None:
    """A friendly high street: towers in the haze, painted fronts, awnings, trees, a road."""
    paint_sky(study, clouds=5)
    middle, ground = study.middle, study.ground
    haze = study.at("a9cbe8", "e08a8f", "2f4a8f")
    for x, rng in study.spread("towers", 14, 0.35):
        wide, tall = float(rng.uniform(0.16, 0.26)), float(rng.uniform(0.3, 0.62))
        middle.box(
            x - wide / 2,
            0.7 - tall,
            x + wide / 2,
            0.72,
            (mix(haze, "5a7ab0", 0.25), haze),
            emit=True,
        )
        for row in range(int(tall / 0.06)):
            for column in range(int(wide / 0.045)):
                lit = study.time == "night" and rng.random() < 0.5
                u, v = x - wide / 2 + 0.016 + column * 0.045, 0.72 - tall + row * 0.06
                pane = "ffd98a" if lit else mix(haze, "ffffff", 0.3)
                middle.box(u, v, u + 0.024, v + 0.034, pane, emit=True, opacity=0.85)
    for i, (x, rng) in enumerate(study.spread("fronts", 9, 0.0)):
        front(
            study,
            ground,
            x,
            0.665,
            0.445,
            0.4 + 0.32 * float(rng.random()),
            FACADES[(i * 3 + study.variant) % 8],
            FACADES[(i * 5 + 2) % 8],
            rng,
        )
    ground.box(-2, 0.66, 2, 1.3, "a8a29c")
    ground.box(-2, 0.66, 2, 0.76, ("e9e2d8", "c2bab2"))
    ground.box(-2, 0.752, 2, 0.768, ("a8a29c", "7f7a78"))
    ground.box(-2, 0.768, 2, 1.3, ("6f7588", "4a4f63"))
    ground.mottle(study.dice("tar"), 0.77, 1.25, "8489a0", 0.5, across=10, down=40)
    for x, _ in study.spread("stripes", 10, 0.0):
        ground.facet(
            [(x - 0.1, 0.915), (x + 0.1, 0.915), (x + 0.105, 0.935), (x - 0.105, 0.935)],
            "fff3d0",
            opacity=0.9,
        )
    for i, (x, rng) in enumerate(study.spread("street", 8, 0.06)):
        if i % 2:
            lamp_post(ground, x, 0.715, 0.4, study.time != "day")
        else:
            round_tree(ground, x, 0.715, float(rng.uniform(0.28, 0.36)), LEAVES[i % 3], rng)


def front(
    study: Study,
    canvas: Canvas,
    x: float,
    foot: float,
    wide: float,
    tall: float,
    hue: str,
    cloth: str,
    rng: np.random.Generator,
) -> None:
    """One house front with a shop and its awning."""
    left, right, top = x - wide / 2, x + wide / 2, foot - tall
    canvas.box(left, top, right, foot, (mix(hue, "fff4e0", 0.25), mix(hue, "5a3050", 0.12)))
    canvas.box(right - 0.02, top, right, foot, mix(hue, "301840", 0.4), opacity=0.5)
    canvas.box(left - 0.008, top - 0.022, right + 0.008, top + 0.012, ("fff6ea", "d9cbbd"))
    windows(
        study,
        canvas,
        x - 0.13,
        top + 0.05,
        3,
        max(int((tall - 0.22) / 0.135), 1),
        (0.13, 0.135),
        (0.062, 0.085),
        rng,
    )
    lit = study.time != "day"
    glass = ("fff0b8", "ffc069") if lit else ("cfeeff", "6f9fc9")
    canvas.box(left + 0.03, foot - 0.14, right - 0.03, foot, mix(hue, "2a1a30", 0.6))
    canvas.box(left + 0.045, foot - 0.125, x + 0.05, foot - 0.03, glass, emit=lit)
    canvas.box(x + 0.08, foot - 0.13, right - 0.05, foot, (cloth, mix(cloth, "201020", 0.3)))
    for i in range(7):
        a, b = left + 0.02 + (wide - 0.04) * i / 7, left + 0.02 + (wide - 0.04) * (i + 1) / 7
        pair = (cloth, mix(cloth, "200818", 0.25)) if i % 2 == 0 else ("fffaf0", "ded6cc")
        canvas.facet(
            [
                (a, foot - 0.175),
                (b, foot - 0.175),
                (b, foot - 0.12),
                ((a + b) / 2, foot - 0.106),
                (a, foot - 0.12),
            ],
            pair,
        )


def canal(study: Study) -> None:
    """Burano: a row of brightly painted houses, their mirror in the canal, a stone quay."""
    paint_sky(study, clouds=5)
    middle, ground = study.middle, study.ground
    for i, (x, rng) in enumerate(study.spread("back", 12, 0.2)):
        hue = mix(BURANO[(i * 3 + 1) % 8], study.at("cfe6ff", "f09a8a", "3a559f"), 0.5)
        tall, wide = float(rng.uniform(0.3, 0.42)), 0.3
        middle.box(x - wide / 2, 0.6 - tall, x + wide / 2, 0.65, (hue, mix(hue, "ffffff", 0.2)))
        middle.facet(
            [(x - wide * 0.55, 0.6 - tall), (x + wide * 0.55, 0.6 - tall), (x, 0.54 - tall)],
            "c98a78",
        )
    tower = float(study.rng.uniform(-0.4, 0.4))
    middle.box(tower - 0.05, 0.02, tower + 0.05, 0.6, ("e0a58f", "c07f70"), sideways=True)
    middle.facet(
        [(tower - 0.065, 0.02), (tower + 0.065, 0.02), (tower, -0.12)],
        ("b86a58", "8f4a44"),
        sideways=True,
    )
    rng = study.dice("widths")
    edge, shift = float(rng.uniform(-2.4, -2)), int(rng.integers(8))
    widths = rng.uniform(0.3, 0.44, 11)
    for i, wide in enumerate(widths * 4 / widths.sum()):
        house(
            study,
            ground,
            edge,
            edge + float(wide),
            0.575,
            float(rng.uniform(0.38, 0.52)),
            BURANO[(i * 3 + shift) % 8],
            BURANO[(i * 3 + shift + 4) % 8],
            study.dice(f"house{i}"),
        )
        edge += float(wide)
    ground.box(-2, 0.568, 2, 0.585, ("efe4d2", "a89c90"))
    water(study, ground, 0.585, 0.705)
    ground.box(-2, 0.7, 2, 1.3, ("e8d6bd", "b59e86"))
    ground.box(-2, 0.7, 2, 0.722, ("fff4e0", "d9c8b0"))
    ground.mottle(study.dice("stone"), 0.72, 1.25, "fff2dc", 0.5, across=18, down=30)
    for row, y in enumerate((0.722, 0.785, 0.87, 0.98)):
        ground.box(-2, y - 0.002, 2, y + 0.003, "94806c", opacity=0.5)
        low = (0.785, 0.87, 0.98, 1.25)[row]
        for i in range(10):
            u = -2 + 0.4 * i + 0.2 * (row % 2)
            ground.stroke((u, y), (u, low), 0.005, "94806c", opacity=0.4)
    for i, (x, _) in enumerate(study.spread("poles", 8, 0.2)):
        if i % 2:
            pole(ground, x, 0.71, ("ff4f57", "2f7fd8")[i // 2 % 2])
        else:
            pot(ground, x, 0.745, BURANO[(i + 2 + shift) % 8])


def house(
    study: Study,
    canvas: Canvas,
    left: float,
    right: float,
    foot: float,
    tall: float,
    hue: str,
    door: str,
    rng: np.random.Generator,
) -> None:
    """A painted house with shutters, a door and a tiled roof."""
    top, x = foot - tall, (left + right) / 2
    canvas.box(left, top, right, foot, (mix(hue, "ffffff", 0.12), mix(hue, "401838", 0.12)))
    canvas.box(
        left - 0.012, top - 0.03, right + 0.012, top + 0.01, ("d9805f", "a3513f"), corner=0.008
    )
    if rng.random() < 0.6:
        canvas.box(x + 0.05, top - 0.1, x + 0.1, top - 0.025, (hue, mix(hue, "401838", 0.3)))
        canvas.box(x + 0.04, top - 0.115, x + 0.11, top - 0.095, ("d9805f", "a3513f"))
    gap = (right - left) * 0.48
    windows(
        study,
        canvas,
        x - gap / 2,
        top + 0.06,
        2,
        int((tall - 0.2) / 0.145),
        (gap, 0.145),
        (0.055, 0.08),
        rng,
        mix(door, "103020", 0.2),
    )
    side = left + (right - left) * float(rng.choice([0.27, 0.73]))
    canvas.box(side - 0.042, foot - 0.135, side + 0.042, foot, ("ffffff", "d8d0c8"), corner=0.01)
    canvas.box(
        side - 0.032,
        foot - 0.125,
        side + 0.032,
        foot,
        (door, mix(door, "200818", 0.35)),
        corner=0.006,
    )
    other = 2 * x - side
    windows(study, canvas, other, foot - 0.12, 1, 1, (0.1, 0.1), (0.055, 0.06), rng)
    canvas.box(
        other - 0.05, foot - 0.056, other + 0.05, foot - 0.034, ("b5603f", "8a4430"), corner=0.006
    )
    for i in range(5):
        canvas.ellipse(
            other - 0.04 + 0.02 * i,
            foot - 0.06,
            0.014,
            0.012,
            ("ff6a8f", "7fc95a", "ffd84f", "ff5a5a", "7fc95a")[i],
        )


def water(study: Study, canvas: Canvas, top: float, foot: float) -> None:
    """Canal water that mirrors what is painted above it."""
    canvas.mirror(top, foot, study.at("2aa7b8", "a8648f", "17306f"), 0.5, squeeze=2.2, sway=0.007)
    rng, hue = study.dice("glints"), study.at("eaffff", "ffe0b0", "9fbfff")
    for _ in range(70):
        y = float(rng.uniform(top + 0.01, foot - 0.005))
        canvas.ellipse(
            float(rng.uniform(-2, 2)), y, 0.04, 0.0032, hue, opacity=0.4, soft=0.003, emit=True
        )


def pole(canvas: Canvas, x: float, foot: float, hue: str) -> None:
    """A striped mooring pole."""
    for i in range(7):
        canvas.box(
            x - 0.013,
            foot - 0.3 + i * 0.043,
            x + 0.013,
            foot - 0.257 + i * 0.043,
            ("ffffff", "b8bccc") if i % 2 else (hue, mix(hue, "200828", 0.45)),
            sideways=True,
        )
    canvas.ellipse(x, foot - 0.305, 0.02, 0.02, ("ffe28a", "c98a2f"))


def pot(canvas: Canvas, x: float, foot: float, bloom: str) -> None:
    """A clay pot of flowers."""
    bush(canvas, x, foot - 0.05, 0.042, ("8fd65f", "3f8f45"), bloom)
    canvas.facet(
        [(x - 0.04, foot - 0.06), (x + 0.04, foot - 0.06), (x + 0.028, foot), (x - 0.028, foot)],
        ("e08a5f", "9a4a35"),
        sideways=True,
    )


def farm(study: Study) -> None:
    """A red barn, a silo, striped fields, bales of hay, a white fence."""
    paint_sky(study)
    middle, ground = study.middle, study.ground
    hills(study, middle, "hills", 0.52, 0.05, "9fcf8a", "7fbf6f", 0.3)
    field = hills(study, middle, "fields", 0.58, 0.03, "f2d56a", "cfb04a", 0.08, 2, 4)
    for i in range(1, 5):
        middle.ridge(
            lower(field, 0.018 * i), ("a8b84a", "e8c95a"), 0.012, bottom=0.76, opacity=0.55
        )
    lawn = hills(study, ground, "lawn", 0.64, 0.015, "a5dc62", "5fae45", 0, 2, 4)
    ground.mottle(study.dice("grass"), 0.64, 1.25, "d4ee7a", 0.5, across=12, down=26)
    for i, (x, rng) in enumerate(study.spread("yard", 4, 0.08)):
        barn(study, ground, x, 0.685, float(rng.uniform(0.4, 0.46)))
        round_tree(
            ground,
            x + 0.46,
            height_of(lawn, x + 0.46) + 0.05,
            float(rng.uniform(0.26, 0.36)),
            LEAVES[i % 3],
            rng,
        )
    fence(ground, 0.735, 0.075, ("ffffff", "d5dae6"), 0.08)
    for x, rng in study.spread("bales", 6, 0.3):
        r = float(rng.uniform(0.05, 0.065))
        shadow(ground, x + 0.02, 0.765, r * 1.3)
        ground.ellipse(x, 0.765 - r, r * 1.05, r, ("ffe08a", "cf9a3f"))
        for k in (0.7, 0.42, 0.16):
            ground.ellipse(
                x, 0.765 - r, r * k * 1.05, r * k, mix("e8bd5a", "a8742f", 0.7 - k / 2), opacity=0.6
            )
    flowers(study, ground, 60)


def barn(study: Study, canvas: Canvas, x: float, foot: float, wide: float) -> None:
    """A red barn with white beams, and a silo beside it."""
    half, wall = wide / 2, wide * 0.5
    shadow(canvas, x, foot, half * 1.4, 0.25)
    silo = x + half * 1.32
    canvas.box(
        silo - 0.055, foot - wide * 0.85, silo + 0.055, foot, ("eef3f8", "8a9ab0"), sideways=True
    )
    canvas.ellipse(silo, foot - wide * 0.85, 0.058, 0.055, ("ff8a70", "a8323a"))
    canvas.facet(
        [
            (x - half, foot),
            (x - half, foot - wall),
            (x - half * 0.62, foot - wall * 1.5),
            (x, foot - wall * 1.75),
            (x + half * 0.62, foot - wall * 1.5),
            (x + half, foot - wall),
            (x + half, foot),
        ],
        ("f0604f", "c0323a"),
    )
    ridge = [
        (x - half * 1.08, foot - wall * 0.95),
        (x - half * 0.64, foot - wall * 1.53),
        (x, foot - wall * 1.79),
        (x + half * 0.64, foot - wall * 1.53),
        (x + half * 1.08, foot - wall * 0.95),
    ]
    canvas.path(ridge, 0.035, "fff4ea")
    canvas.path(ridge, 0.02, "7a4a55")
    d, h = half * 0.48, wall * 0.8
    canvas.box(x - d, foot - h, x + d, foot, ("d84a45", "a3283a"))
    for a, b in (
        ((-1, 0), (-1, 1)),
        ((1, 0), (1, 1)),
        ((-1, 1), (1, 1)),
        ((-1, 0), (1, 1)),
        ((1, 0), (-1, 1)),
    ):
        canvas.stroke(
            (x + a[0] * d, foot - a[1] * h), (x + b[0] * d, foot - b[1] * h), 0.013, "fff4ea"
        )
    lit = study.time != "day"
    canvas.box(x - 0.04, foot - wall * 1.35, x + 0.04, foot - wall * 1.05, "fff4ea")
    canvas.box(
        x - 0.03,
        foot - wall * 1.32,
        x + 0.03,
        foot - wall * 1.08,
        ("ffe9a0", "ffb84f") if lit else ("6a4a6a", "3a2a4a"),
        emit=lit,
    )
