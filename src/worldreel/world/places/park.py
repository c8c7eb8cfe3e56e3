"""Where one plays: a playground, the open sea."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.land import LEAVES, height_of
from worldreel.world.places.shore import glints
from worldreel.world.places.study import Study, hills, paint_sky, round_tree, shadow, waves_of
from worldreel.world.places.things import bush, fence


def playground(study: Study) -> None:
    """A slide, swings and a climbing dome on soft ground, trees and a low fence behind."""
    paint_sky(study)
    middle, ground = study.middle, study.ground
    hill = hills(study, middle, "park", 0.56, 0.035, "a5dc7a", "7fc46a", 0.15)
    for x, rng in study.spread("park trees", 12, 0.35):
        round_tree(
            middle,
            x,
            height_of(hill, x) + 0.03,
            float(rng.uniform(0.16, 0.26)),
            LEAVES[int(rng.integers(3))],
            rng,
        )
    lawn = hills(study, ground, "lawn", 0.625, 0.01, "b0e36a", "6cbb4a", 0, 2, 4)
    fence(ground, 0.66, 0.06, ("ffd166", "e8a33f"), 0.08)
    ground.ridge(lambda x: lawn(x) + 0.07, ("f2b58a", "dd8f66"), 0.4, soft=0.008)
    ground.mottle(study.dice("soft"), 0.72, 1.25, "ffd0a8", 0.5, across=12, down=26)
    for x, rng in study.spread("pads", 8, 0.3):
        hue = ("6fc9d8", "8fd67f", "ffd166", "c79be8")[int(rng.integers(4))]
        ground.ellipse(x, 0.86 + float(rng.uniform(0, 0.2)), 0.17, 0.035, hue, opacity=0.8)
    for i, (x, rng) in enumerate(study.spread("toys", 6, 0.08)):
        (slide, swings, dome)[i % 3](ground, x, 0.735, float(rng.uniform(0.34, 0.39)))
    for x, rng in study.spread("bushes", 7, 0.4):
        bush(ground, x, 0.685, float(rng.uniform(0.04, 0.055)), LEAVES[1], "ff7aa8")


def slide(canvas: Canvas, x: float, foot: float, tall: float) -> None:
    """A tower with a roof, a ladder and a bright chute."""
    shadow(canvas, x + 0.08, foot, tall * 0.5)
    deck = foot - tall * 0.55
    for u in (-0.1, 0.06):
        canvas.box(
            x + u - 0.011,
            deck - tall * 0.3,
            x + u + 0.011,
            foot,
            ("4fa8e8", "2a5fa8"),
            sideways=True,
        )
    for i in range(4):
        y = foot - tall * 0.12 * (i + 0.6)
        canvas.stroke((x - 0.1, y), (x + 0.06, y), 0.012, "ffffff")
    canvas.box(x - 0.115, deck - 0.012, x + 0.08, deck + 0.014, ("ffd84f", "e09a2f"))
    canvas.facet(
        [
            (x - 0.14, deck - tall * 0.28),
            (x + 0.1, deck - tall * 0.28),
            (x - 0.02, deck - tall * 0.55),
        ],
        ("ff6a5f", "b82f45"),
        sideways=True,
    )
    chute = [
        (x + 0.07, deck),
        (x + 0.11, deck + 0.015),
        (x + 0.23, foot - 0.04),
        (x + 0.3, foot - 0.018),
    ]
    canvas.path(chute, 0.052, "b82f45")
    canvas.path([(a, b - 0.008) for a, b in chute], 0.03, "ff7a6a")


def swings(canvas: Canvas, x: float, foot: float, tall: float) -> None:
    """A frame with two swings."""
    shadow(canvas, x, foot, tall * 0.5)
    top = foot - tall * 0.92
    for u in (-0.17, 0.17):
        for v in (-0.045, 0.045):
            canvas.stroke((x + u, top), (x + u + v, foot), 0.017, ("9a6fe0", "5f3fa8"))
    canvas.stroke((x - 0.18, top), (x + 0.18, top), 0.024, ("b58fff", "7a4fd0"))
    for u, sway, hue in ((-0.075, 0.03, "ff8f3f"), (0.075, -0.02, "35b5a8")):
        for v in (-0.028, 0.028):
            canvas.stroke((x + u + v, top), (x + u + v + sway, foot - tall * 0.25), 0.005, "5a5f78")
        canvas.box(
            x + u + sway - 0.036,
            foot - tall * 0.27,
            x + u + sway + 0.036,
            foot - tall * 0.21,
            (hue, mix(hue, "301020", 0.3)),
            corner=0.006,
        )


def dome(canvas: Canvas, x: float, foot: float, tall: float) -> None:
    """A climbing dome of coloured bars."""
    shadow(canvas, x, foot, tall * 0.5)
    r = tall * 0.56
    for i, share in enumerate((1.0, 0.55, 0.0, -0.55, -1.0)):
        turn = np.linspace(0, np.pi / 2, 7)
        points = [(x + share * r * float(np.cos(a)), foot - r * float(np.sin(a))) for a in turn]
        canvas.path(points, 0.015, ("ff5f6a", "ffc93c", "35b779", "2fa8e0", "c77dff")[i])
    for level in (0.32, 0.68):
        half = r * float(np.sqrt(1 - level**2))
        canvas.stroke((x - half, foot - r * level), (x + half, foot - r * level), 0.014, "ffffff")
    canvas.ellipse(x, foot - r, 0.018, 0.018, ("ffe27a", "e0902f"))


def open_sea(study: Study) -> None:
    """Waves to the horizon in rows of blue and foam, an island, a lighthouse far off."""
    paint_sky(study)
    middle, ground = study.middle, study.ground
    day = study.time == "day"
    for i, (x, rng) in enumerate(study.spread("islands", 4, 0.3)):
        wide = float(rng.uniform(0.14, 0.24))
        middle.ellipse(x, 0.565, wide, wide * 0.5, ("9bd18f", "4a8f86"))
        middle.ellipse(x + wide * 0.6, 0.567, wide * 0.6, wide * 0.3, ("84c285", "4a8f86"))
        if i % 2 == 0:
            lighthouse(study, middle, x, 0.565 - wide * 0.4)
    far = study.at(("2f8fd8", "2fb0d8"), ("7a5fa8", "e88a90"), ("2f52a0", "3f70c4"))
    middle.box(-2, 0.56, 2, 1.3, far, emit=not day)
    glints(study, middle)
    rows = study.at(
        ("34bfe0", "27a5da", "1f8bcc", "1a72b8", "155ba0"),
        ("c9789a", "a8659a", "885699", "6a4a92", "4f3f86"),
        ("3a68bc", "2f58aa", "274a98", "1f3c86", "183074"),
    )
    for i, hue in enumerate(rows):
        level = (0.635, 0.69, 0.765, 0.86, 0.98)[i]
        swell = waves_of(study, f"swell{i}", level, 0.012 + 0.005 * i, 5, 13 - i)
        crest = mix(hue, "ffffff", study.at(0.55, 0.4, 0.3))
        ground.ridge(swell, (crest, hue), 0.035 + 0.015 * i, emit=not day)
        ground.mottle(
            study.dice(f"foam{i}"),
            level,
            level + 0.1,
            "ffffff",
            0.16,
            across=22,
            down=60,
            low=0.55,
            emit=not day,
        )


def lighthouse(study: Study, canvas: Canvas, x: float, foot: float) -> None:
    """A red and white tower whose lamp shines after sunset."""
    tall = 0.2
    for i in range(5):
        a, b = 0.024 - 0.002 * i, 0.022 - 0.002 * i
        y = foot + 0.03 - tall * i / 5
        canvas.facet(
            [(x - b, y - tall / 5), (x + b, y - tall / 5), (x + a, y), (x - a, y)],
            ("ffffff", "c0c8d8") if i % 2 else ("ff5f5a", "a8283f"),
            sideways=True,
        )
    top = foot + 0.03 - tall
    if study.time != "day":
        canvas.glow(x, top - 0.012, 0.2, 0.2, "ffe9a0", 0.8)
    canvas.box(x - 0.012, top - 0.026, x + 0.012, top, ("fff6c0", "ffd75a"), emit=True)
    canvas.facet([(x - 0.019, top - 0.025), (x + 0.019, top - 0.025), (x, top - 0.05)], "b82f45")
