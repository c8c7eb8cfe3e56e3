"""Places by and in the water: beach, under water."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.study import Study, hills, paint_sky, shadow, waves_of
from worldreel.world.places.things import stones


def beach(study: Study) -> None:
    """Sea, wet and dry sand, palms, parasols and shells."""
    paint_sky(study, clouds=5)
    middle, ground = study.middle, study.ground
    far = study.at(("2f8fd8", "35c7d6"), ("7a5fa8", "f09a86"), ("3558a8", "4f86d8"))
    for x, rng in study.spread("islands", 3):
        wide = float(rng.uniform(0.16, 0.3))
        middle.ellipse(x, 0.545, wide, wide * 0.36, ("8fd09a", "3f8a8a"))
        middle.ellipse(x + wide * 0.5, 0.55, wide * 0.6, wide * 0.25, ("7cc08f", "3f8a8a"))
    middle.box(-2, 0.54, 2, 1.3, far, emit=study.time != "day")
    glints(study, middle)
    surf = waves_of(study, "surf", 0.66, 0.022, 2, 7)
    ground.ridge(lambda x: surf(x) - 0.022, ("4fd6d8", "a5ece2"), 0.05, soft=0.012, opacity=0.8)
    ground.ridge(lambda x: surf(x) - 0.006, "ffffff")
    ground.ridge(lambda x: surf(x) + 0.016, ("d0a56e", "e8c48c"), 0.05)
    ground.ridge(lambda x: surf(x) + 0.06, ("f9dfae", "eec685"), 0.4, soft=0.012)
    ground.mottle(study.dice("sand"), 0.7, 1.25, "ffeec8", 0.6, across=14, down=36, low=0.35)
    ground.mottle(study.dice("dunes"), 0.75, 1.25, "dcab6c", 0.4, across=10, down=30)
    for i, (x, rng) in enumerate(study.spread("things", 6, 0.18)):
        if i % 2 == 0:
            palm(ground, x, 0.755, float(rng.uniform(0.5, 0.64)), rng)
        else:
            hues = ("ff5a5f", "2f9be8", "ffb52e", "b565e0")
            parasol(ground, x, 0.765, float(rng.uniform(0.24, 0.3)), hues[int(rng.integers(4))])
    for x, rng in study.spread("shells", 12):
        y = float(rng.uniform(0.9, 1.15))
        shadow(ground, x, y + 0.008, 0.024, 0.25)
        ground.ellipse(x, y, 0.02, 0.015, ("fff4ec", "f2a58f"))


def glints(study: Study, canvas: Canvas) -> None:
    """Flecks of light on the sea."""
    rng = study.dice("glints")
    hue = study.at("ffffff", "ffe6a0", "cfe0ff")
    for _ in range(60):
        y = 0.552 + 0.1 * float(rng.random()) ** 1.3
        wide = 0.015 + (y - 0.54) * 0.4 * float(rng.uniform(0.5, 1))
        canvas.ellipse(
            float(rng.uniform(-2, 2)),
            y,
            wide,
            0.0022 + (y - 0.54) * 0.02,
            hue,
            opacity=0.45,
            emit=True,
            soft=0.003,
        )


def palm(canvas: Canvas, x: float, foot: float, tall: float, rng: np.random.Generator) -> None:
    """A palm with a curved trunk and drooping fronds."""
    shadow(canvas, x + 0.02, foot, tall * 0.2)
    lean = float(rng.choice([-1, 1]) * rng.uniform(0.08, 0.2)) * tall
    trunk = [(x + lean * (t / 7) ** 1.7, foot - tall * 0.8 * t / 7) for t in range(8)]
    canvas.path(trunk, tall * 0.085, "7a4f2e", taper=0.55)
    canvas.path([(px - tall * 0.012, py) for px, py in trunk], tall * 0.045, "b98252", taper=0.5)
    cx, cy = trunk[-1]
    for i, angle in enumerate((-2.9, -0.25, -2.35, -0.8, -1.75, -3.4, 0.28)):
        reach = tall * float(rng.uniform(0.33, 0.4))
        hue = ("2f8a4b", "379a50", "45b058", "45b058", "5cc866", "2a7d47", "2a7d47")[i]
        frond = []
        for t in range(6):
            s = t / 5
            fall = 0.42 * tall * s * s * 0.75
            frond.append(
                (cx + np.cos(angle) * reach * s, cy + np.sin(angle) * reach * s * 0.8 + fall)
            )
        canvas.path(frond, tall * 0.085, hue, taper=0.15)
    for u in (-0.028, 0.022, 0.0):
        canvas.ellipse(
            cx + u * tall, cy + 0.03 * tall, 0.026 * tall, 0.028 * tall, ("b5713a", "6d3f1f")
        )


def parasol(canvas: Canvas, x: float, foot: float, tall: float, hue: str) -> None:
    """A striped sunshade."""
    shadow(canvas, x + 0.03, foot, tall * 0.45)
    canvas.stroke((x, foot), (x, foot - tall), 0.014, "f4efe6")
    top, rim, half = foot - tall, foot - tall * 0.6, tall * 0.58
    canvas.ellipse(x, rim, half, rim - top, (hue, mix(hue, "300018", 0.35)), cut=rim)
    for u, wide in ((-0.5, 0.17), (0.5, 0.17)):
        canvas.ellipse(
            x + u * half, rim, wide * half, (rim - top) * 0.88, ("ffffff", "d8deee"), cut=rim
        )
    canvas.ellipse(x, rim, 0.17 * half, (rim - top) * 1.0, ("ffffff", "d8deee"), cut=rim)
    canvas.ellipse(x, top, 0.013, 0.013, "fff4e0")


def under_water(study: Study) -> None:
    """Blue depths, slanting light, coral, weed and a floor of sand."""
    sky, middle, ground = study.sky, study.middle, study.ground
    stops = study.at(
        ((-0.25, "8ff2ff"), (0.1, "37c5ee"), (0.5, "1785cf"), (0.9, "0d57a6")),
        ((-0.25, "ffc9b0"), (0.08, "c98bd0"), (0.45, "5a61bd"), (0.9, "2c3f8f")),
        ((-0.25, "2e6cb8"), (0.1, "1a4792"), (0.5, "0d2a6b"), (0.9, "081a4a")),
    )
    sky.gradient(stops)
    beams(study)
    hue = study.at("1f7fc4", "5459b0", "12367c")
    reef = hills(study, middle, "reef", 0.6, 0.1, hue, mix(hue, "062a5c", 0.4), 0, 3, 8)
    for x, rng in study.spread("far weed", 16):
        top = float(reef(np.array([x], np.float32))[0]) - float(rng.uniform(0.12, 0.3))
        weed(middle, x, 0.8, 0.8 - top, mix(hue, "0a6f8f", 0.4), rng)
    sand = study.at(("f3e3b0", "c9a878"), ("d9b3b5", "8f7aa8"), ("8fa8d8", "4f66a8"))
    floor = hills(study, ground, "floor", 0.735, 0.022, *sand, 0, 2, 6)
    ground.mottle(study.dice("ripples"), 0.7, 1.25, "fff6d5", 0.5, across=16, down=40, low=0.45)
    ground.mottle(study.dice("caustic"), 0.7, 1.25, "8a6f58", 0.3, across=12, down=30)
    for i, (x, rng) in enumerate(study.spread("reef life", 12, 0.3)):
        base = float(floor(np.array([x], np.float32))[0]) + 0.035
        if i % 3 == 0:
            stones(ground, x, base, float(rng.uniform(0.07, 0.12)), ("7d8fb8", "3d4b7c"))
        elif i % 3 == 1:
            coral(
                ground,
                x,
                base,
                float(rng.uniform(0.18, 0.26)),
                ("ff6f91", "ff9a5c", "c77dff", "ffd166")[int(rng.integers(4))],
                rng,
            )
        if i % 3 != 1:
            for j in range(3):
                weed(
                    ground,
                    x + (j - 1) * 0.045,
                    base + 0.01,
                    float(rng.uniform(0.16, 0.32)),
                    ("35c27a", "1fa37a", "7fd858")[j],
                    rng,
                )
    bubbles(study)


def beams(study: Study) -> None:
    """Shafts of light from the surface, fading downwards."""
    rng = study.dice("beams")
    hue = study.at("d9fbff", "ffd9c9", "7fb0ff")
    study.sky.glow(0.1, -0.3, 1.6, 0.75, hue, study.at(0.75, 0.7, 0.4))
    for x, _ in study.spread("beams", 11):
        wide, slant = float(rng.uniform(0.03, 0.09)), float(rng.uniform(0.1, 0.3))
        for part in range(5):
            low = 0.2 + 0.2 * part
            reach = (low + 0.3) / 1.3
            study.sky.facet(
                [
                    (x, -0.3),
                    (x + wide, -0.3),
                    (x + wide * (1 + reach * 1.2) - slant * reach, low),
                    (x - wide * reach * 0.5 - slant * reach, low),
                ],
                hue,
                soft=0.03,
                opacity=study.at(0.055, 0.05, 0.03),
                emit=True,
            )


def weed(
    canvas: Canvas, x: float, foot: float, tall: float, hue: str, rng: np.random.Generator
) -> None:
    """A ribbon of seaweed that sways."""
    phase, sway = float(rng.uniform(0, 6.28)), tall * 0.11
    points = [
        (x + sway * float(np.sin(phase + 4.5 * t / 6)) * t / 6, foot - tall * t / 6)
        for t in range(7)
    ]
    wide = min(tall * 0.13, 0.036)
    canvas.path(points, wide, mix(hue, "06264a", 0.3), taper=0.25)
    canvas.path([(a - wide * 0.1, b) for a, b in points], wide * 0.46, hue, taper=0.25)


def coral(
    canvas: Canvas, x: float, foot: float, tall: float, hue: str, rng: np.random.Generator
) -> None:
    """A branching coral with round tips."""
    dark, light = mix(hue, "400838", 0.3), mix(hue, "ffffff", 0.35)
    for angle in (-0.75, 0.75, -0.35, 0.35, 0.0):
        bend = angle + float(rng.uniform(-0.1, 0.1))
        reach = tall * (1 - 0.35 * abs(angle))
        knee = (x + np.sin(bend * 1.3) * reach * 0.5, foot - reach * 0.45)
        tip = (knee[0] + np.sin(bend * 0.6) * reach * 0.45, foot - reach)
        canvas.path([(x, foot), knee, tip], tall * 0.17, dark, taper=0.75)
        canvas.path(
            [(x - 0.006, foot), (knee[0] - 0.006, knee[1]), (tip[0] - 0.006, tip[1])],
            tall * 0.1,
            hue,
            taper=0.8,
        )
        canvas.ellipse(tip[0] - 0.004, tip[1] - 0.004, tall * 0.07, tall * 0.07, (light, hue))


def bubbles(study: Study) -> None:
    """Columns of bubbles in the middle distance."""
    for x, rng in study.spread("bubbles", 9):
        for i in range(5):
            r = float(rng.uniform(0.006, 0.017))
            cx, cy = x + float(rng.uniform(-0.03, 0.03)), 0.62 - i * 0.11
            study.middle.ellipse(cx, cy, r, r, "d8f8ff", opacity=0.35, emit=True)
            study.middle.ellipse(
                cx - r * 0.3, cy - r * 0.3, r * 0.35, r * 0.35, "ffffff", opacity=0.9, emit=True
            )
