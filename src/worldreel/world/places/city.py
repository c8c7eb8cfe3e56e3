"""Streets: neon city street."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.study import Study

NEON = ("ff3d9a", "29e0ff", "ffd23f", "8d5bff", "3dff9e", "ff6a3d")


def neon_street(study: Study) -> None:
    """A Tokyo street in the rain: towers of windows, glowing signs, a wet road that mirrors."""
    sky, middle, ground = study.sky, study.middle, study.ground
    sky.gradient(
        study.at(
            ((-0.25, "2b1b5e"), (0.3, "7a2f8f"), (0.6, "ff6fa0")),
            ((-0.25, "2b1b5e"), (0.3, "7a2f8f"), (0.6, "ff7f9a")),
            ((-0.25, "0a0724"), (0.25, "24104f"), (0.6, "6a2a8c")),
        )
    )
    sky.glow(0.0, 0.6, 2.2, 0.6, "ff4fb0", 0.35)
    for x, rng in study.spread("far towers", 16, 0.3):
        tower(
            middle,
            x,
            0.66,
            float(rng.uniform(0.13, 0.2)),
            float(rng.uniform(0.35, 0.68)),
            ("3a2a78", "54338f"),
            rng,
            0.024,
        )
    middle.veil(0.1, 0.66, "8a3fa8", 0.0, 0.45)
    for i, (x, rng) in enumerate(study.spread("shops", 9, 0.08)):
        shop(ground, x, 0.665, 0.43, float(rng.uniform(0.45, 0.95)), i, rng)
    for x, rng in study.spread("lamps", 4, 0.1, 0.24):
        lantern_row(ground, x, 0.26 + float(rng.uniform(-0.04, 0.04)), rng)
    wet_road(study, 0.665)


def tower(
    canvas: Canvas,
    x: float,
    foot: float,
    wide: float,
    tall: float,
    paint: tuple[str, str],
    rng: np.random.Generator,
    cell: float,
) -> None:
    """A tower with a grid of windows, some of them lit."""
    canvas.box(x - wide / 2, foot - tall, x + wide / 2, foot, paint, emit=True)
    hues = ("ffd98a", "ff9ad0", "8fe3ff", "fff0c0")
    for row in range(int(tall / cell / 1.6)):
        for column in range(max(int(wide / cell / 1.7), 1)):
            if rng.random() < 0.45:
                u = x - wide / 2 + cell * (0.6 + 1.6 * column)
                v = foot - tall + cell * (0.6 + 1.6 * row)
                canvas.box(
                    u,
                    v,
                    u + cell * 0.8,
                    v + cell,
                    hues[int(rng.integers(4))],
                    emit=True,
                    opacity=0.8,
                )


def shop(
    canvas: Canvas,
    x: float,
    foot: float,
    wide: float,
    tall: float,
    turn: int,
    rng: np.random.Generator,
) -> None:
    """A dark house with a bright shop at its foot and signs above."""
    wall = ("241a4f", "2c2058", "1d2352", "301a4a")[int(rng.integers(4))]
    left, right, top = x - wide / 2, x + wide / 2, foot - tall
    canvas.box(
        left, top, right, foot, (mix(wall, "000010", 0.25), mix(wall, "7a2f8f", 0.35)), emit=True
    )
    canvas.box(left, top, left + 0.012, foot, mix(wall, "ff6fc0", 0.4), emit=True)
    for row in range(int((tall - 0.24) / 0.12)):
        for column in range(3):
            lit = rng.random() < 0.6
            u, v = left + 0.055 + column * 0.12, top + 0.05 + row * 0.12
            lights = (("ffb867", "ffdf9a"), ("ff8fc8", "d05fd0"), ("6fd0f0", "5a7fe0"))[row % 3]
            pane = lights if lit else ("2b2560", "372f74")
            canvas.box(u, v, u + 0.06, v + 0.06, pane, corner=0.006, emit=True, opacity=0.85)
    hue = NEON[(turn * 5 + int(rng.integers(2))) % 6]
    other = NEON[(turn * 5 + 2) % 6]
    canvas.glow(x, foot - 0.08, wide * 0.75, 0.22, hue, 0.5)
    canvas.box(
        left + 0.03,
        foot - 0.15,
        right - 0.03,
        foot,
        ("fff3cf", mix(hue, "ffe0a0", 0.45)),
        corner=0.006,
        emit=True,
    )
    for i in range(9):
        u, high = left + 0.06 + (wide - 0.12) * i / 8, float(rng.uniform(0.02, 0.05))
        goods = mix(NEON[int(rng.integers(6))], "402050", 0.25)
        canvas.box(
            u - 0.016, foot - 0.012 - high, u + 0.016, foot - 0.012, goods, corner=0.005, emit=True
        )
        if i % 2:
            cloth = (mix(hue, "200030", 0.25), mix(hue, "200030", 0.4))
            canvas.box(u - 0.05, foot - 0.14, u + 0.05, foot - 0.1, cloth, corner=0.008, emit=True)
    for u in (0.3, 0.7):
        canvas.box(
            left + wide * u - 0.006, foot - 0.15, left + wide * u + 0.006, foot, "2a1640", emit=True
        )
    awning = (hue, mix(hue, "20003a", 0.35))
    canvas.box(
        left + 0.01, foot - 0.185, right - 0.01, foot - 0.14, awning, corner=0.008, emit=True
    )
    side = left + wide * float(rng.choice([0.16, 0.84]))
    high = max(top + 0.04, 0.06 + float(rng.uniform(-0.02, 0.05)))
    upright_sign(canvas, side, high, float(rng.uniform(0.26, 0.34)), other, rng)
    board_sign(canvas, x + (0.03 if side < x else -0.03), foot - 0.27, hue, turn, rng)


def upright_sign(
    canvas: Canvas, x: float, top: float, tall: float, hue: str, rng: np.random.Generator
) -> None:
    """A tall glowing board with made-up letters one below the other."""
    half = 0.047
    canvas.glow(x, top + tall / 2, 0.24, tall * 0.95, hue, 0.65)
    canvas.box(x - half, top, x + half, top + tall, ("160a34", "200f44"), corner=0.014, emit=True)
    frame(canvas, x - half, top, x + half, top + tall, hue)
    count = int(tall / 0.085)
    for i in range(count):
        glyph(
            canvas,
            x,
            top + 0.048 + (tall - 0.096) * i / max(count - 1, 1),
            0.027,
            mix(hue, "ffffff", 0.7),
            rng,
        )


def frame(canvas: Canvas, x0: float, y0: float, x1: float, y1: float, hue: str) -> None:
    """A tube of neon around a board."""
    bright = mix(hue, "ffffff", 0.25)
    for a, b in (
        ((x0, y0), (x1, y0)),
        ((x1, y0), (x1, y1)),
        ((x1, y1), (x0, y1)),
        ((x0, y1), (x0, y0)),
    ):
        canvas.stroke(a, b, 0.013, bright, emit=True)


def glyph(
    canvas: Canvas, x: float, y: float, size: float, hue: str, rng: np.random.Generator
) -> None:
    """A letter of no alphabet: two or three strokes."""
    r = size
    forms = (
        (((-1, -0.7), (1, -0.7)), ((0, -0.7), (0, 0.9)), ((-0.8, 0.1), (0.8, 0.1))),
        (((-0.8, -0.8), (-0.8, 0.8)), ((-0.8, 0.8), (0.9, 0.8)), ((0.1, -0.6), (0.9, 0.1))),
        (((-0.9, -0.4), (0.9, -0.4)), ((0.4, -0.9), (-0.7, 0.9)), ((0.0, 0.0), (0.8, 0.8))),
        (((-0.9, -0.8), (0.9, -0.8)), ((0.9, -0.8), (0.2, 0.9)), ((-0.6, 0.0), (0.4, 0.0))),
    )
    for a, b in forms[int(rng.integers(len(forms)))]:
        canvas.stroke(
            (x + a[0] * r, y + a[1] * r), (x + b[0] * r, y + b[1] * r), 0.0125, hue, emit=True
        )


def board_sign(
    canvas: Canvas, x: float, y: float, hue: str, turn: int, rng: np.random.Generator
) -> None:
    """A round or wide neon sign over the shop."""
    canvas.glow(x, y, 0.24, 0.17, hue, 0.55)
    if turn % 2:
        canvas.ellipse(x, y, 0.062, 0.062, mix(hue, "ffffff", 0.2), emit=True)
        canvas.ellipse(x, y, 0.046, 0.046, "1a0a3a", emit=True)
        glyph(canvas, x, y, 0.025, mix(hue, "ffffff", 0.75), rng)
        return
    canvas.box(
        x - 0.12, y - 0.042, x + 0.12, y + 0.042, ("1a0a3a", "26104a"), corner=0.01, emit=True
    )
    frame(canvas, x - 0.12, y - 0.042, x + 0.12, y + 0.042, hue)
    for i in range(3):
        glyph(canvas, x + (i - 1) * 0.066, y, 0.022, mix(hue, "ffffff", 0.7), rng)


def lantern_row(canvas: Canvas, x: float, y: float, rng: np.random.Generator) -> None:
    """Red paper lanterns on a sagging wire."""
    points = [(x - 0.2 + 0.08 * i, y + 0.05 * (1 - ((i - 2.5) / 2.5) ** 2)) for i in range(6)]
    canvas.path(points, 0.005, "120a28", emit=True)
    for px, py in points[1:-1]:
        canvas.glow(px, py + 0.035, 0.09, 0.09, "ff6a3d", 0.5)
        canvas.ellipse(px, py + 0.035, 0.026, 0.03, ("ffb35c", "f0392e"), emit=True)


def wet_road(study: Study, top: float) -> None:
    """Dark asphalt that mirrors what stands behind it, broken by ripples."""
    ground = study.ground
    ground.mirror(top, 1.25, "1a1236", 0.82, fade=1.0, squeeze=1.2, sway=0.009)
    ground.box(-2, top - 0.004, 2, top + 0.018, ("6a4f9a", "2a1c50"), emit=True)
    for x, rng in study.spread("puddles", 9, 0.4):
        y0 = float(rng.uniform(0.8, 1.1))
        ground.ellipse(
            x, y0, 0.14, 0.02, NEON[int(rng.integers(6))], opacity=0.28, soft=0.015, emit=True
        )
    for x, _ in study.spread("stripes", 10, 0.0):
        ground.facet(
            [(x - 0.09, 0.915), (x + 0.09, 0.915), (x + 0.095, 0.935), (x - 0.095, 0.935)],
            "cfc6ff",
            opacity=0.35,
            emit=True,
        )
