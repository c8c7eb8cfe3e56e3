"""Things that stand in more than one place: cactus, stones, bushes, fences, lamp posts."""

from __future__ import annotations

import numpy as np

from worldreel.world.places.brush import Canvas, mix
from worldreel.world.places.study import shadow


def cactus(canvas: Canvas, x: float, foot: float, tall: float, rng: np.random.Generator) -> None:
    """A saguaro with two arms, lit from the left."""
    shadow(canvas, x + tall * 0.1, foot, tall * 0.32)
    side = float(rng.choice([-1, 1]))
    arms = ((side, 0.38, 0.78), (-side, 0.25, 0.58))
    for hue, wide, shift in (
        ("1f6b48", 0.17, 0.0),
        ("46a862", 0.11, -0.022),
        ("8fd67f", 0.03, -0.045),
    ):
        u = x + shift * tall
        canvas.stroke((u, foot), (u, foot - tall * 0.92), tall * wide, hue)
        for way, low, high in arms:
            elbow = (u + way * tall * 0.24, foot - tall * (low + 0.06))
            canvas.path(
                [(u, foot - tall * low), elbow, (elbow[0], foot - tall * high)],
                tall * wide * 0.8,
                hue,
            )
    canvas.ellipse(x, foot - tall * 0.99, tall * 0.055, tall * 0.045, ("ff8ac0", "e0407f"))


def stones(canvas: Canvas, x: float, foot: float, size: float, paint: tuple[str, str]) -> None:
    """Two round stones."""
    shadow(canvas, x, foot, size * 1.5)
    canvas.ellipse(x + size * 0.7, foot - size * 0.3, size * 0.65, size * 0.45, paint)
    canvas.ellipse(x, foot - size * 0.45, size, size * 0.75, paint)


def bush(
    canvas: Canvas,
    x: float,
    foot: float,
    size: float,
    leaves: tuple[str, str],
    bloom: str | None = None,
) -> None:
    """A round bush, with blossoms if asked."""
    shadow(canvas, x, foot, size * 1.5)
    light, dark = leaves
    for u, v, r in ((-0.7, -0.4, 0.6), (0.7, -0.4, 0.6), (0.0, -0.65, 0.8)):
        canvas.ellipse(x + u * size, foot + v * size, r * size, r * size * 0.85, (light, dark))
    if bloom is not None:
        for u, v in (
            (-0.8, -0.5),
            (-0.3, -0.95),
            (0.25, -0.55),
            (0.45, -1.0),
            (0.9, -0.45),
            (-0.25, -0.35),
        ):
            canvas.ellipse(
                x + u * size,
                foot + v * size,
                size * 0.15,
                size * 0.15,
                (mix(bloom, "ffffff", 0.3), bloom),
            )


def fence(canvas: Canvas, foot: float, tall: float, paint: tuple[str, str], gap: float) -> None:
    """A picket fence all the way around; `gap` divides the period of 4."""
    for share in (0.35, 0.75):
        y = foot - tall * share
        canvas.box(-2, y - tall * 0.07, 2, y + tall * 0.07, paint)
    half = gap * 0.16
    for i in range(round(4 / gap)):
        x = -2 + gap * (i + 0.5)
        canvas.facet(
            [
                (x - half, foot),
                (x - half, foot - tall * 0.85),
                (x, foot - tall),
                (x + half, foot - tall * 0.85),
                (x + half, foot),
            ],
            paint,
        )


def lamp_post(canvas: Canvas, x: float, foot: float, tall: float, lit: bool) -> None:
    """A street lamp with a round head, shining when lit."""
    shadow(canvas, x, foot, tall * 0.12)
    canvas.stroke((x, foot), (x, foot - tall * 0.9), tall * 0.035, "3a4458", taper=0.7)
    canvas.box(
        x - tall * 0.035, foot - tall * 0.08, x + tall * 0.035, foot, "303a4e", corner=tall * 0.01
    )
    head = foot - tall * 0.95
    if lit:
        canvas.glow(x, head, tall * 0.55, tall * 0.55, "ffd98a", 0.7)
    canvas.ellipse(
        x,
        head,
        tall * 0.06,
        tall * 0.06,
        ("fffbe0", "ffd67a") if lit else ("ffffff", "c3d0e0"),
        emit=lit,
    )
