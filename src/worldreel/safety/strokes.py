"""A pen for drawing signs on the square [-1, 1]², y downward: strokes, discs, rings, polygons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import ImageDraw

__all__ = ["Pen", "Point", "arms", "bolt", "turned"]

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pen:
    """Strokes of one `width` on a mask; the hand moves each point by about `shake`."""

    canvas: ImageDraw.ImageDraw
    side: int
    width: float
    shake: float
    rounded: bool
    chance: np.random.Generator

    def pixels(self, points: Sequence[Point]) -> list[Point]:
        return [((x + 1) / 2 * self.side, (y + 1) / 2 * self.side) for x, y in points]

    def line(self, *points: Point, width: float | None = None) -> None:
        """A line through `points`, with square or round ends and corners."""
        half = (self.width if width is None else width) / 2
        moved = [
            (x + self.chance.normal() * self.shake, y + self.chance.normal() * self.shake)
            for x, y in points
        ]
        for (ax, ay), (bx, by) in pairwise(moved):
            length = math.hypot(bx - ax, by - ay) or 1.0
            dx, dy = (bx - ax) / length * half, (by - ay) / length * half
            if not self.rounded:  # square ends reach half a width further, so corners close
                ax, ay, bx, by = ax - dx, ay - dy, bx + dx, by + dy
            box = [(ax - dy, ay + dx), (bx - dy, by + dx), (bx + dy, by - dx), (ax + dy, ay - dx)]
            self.canvas.polygon(self.pixels(box), fill=255)
        if self.rounded:
            for x, y in moved:
                self.disc(x, y, half)

    def fill(self, *points: Point) -> None:
        self.canvas.polygon(self.pixels(points), fill=255)

    def disc(self, x: float, y: float, radius: float) -> None:
        box = self.pixels([(x - radius, y - radius), (x + radius, y + radius)])
        self.canvas.ellipse([*box[0], *box[1]], fill=255)

    def ring(self, radius: float, width: float | None = None) -> None:
        half = (self.width if width is None else width) / 2
        box = self.pixels([(-radius - half, -radius - half), (radius + half, radius + half)])
        wide = max(1, round(half * self.side))
        self.canvas.ellipse([*box[0], *box[1]], outline=255, width=wide)


def turned(points: Sequence[Point], quarter: float) -> list[Point]:
    """`points` turned clockwise (y is downward) by `quarter` of 90 degrees."""
    c, s = math.cos(quarter * math.pi / 2), math.sin(quarter * math.pi / 2)
    return [(c * x - s * y, s * x + c * y) for x, y in points]


def arms(pen: Pen, count: int, *points: Point) -> None:
    for arm in range(count):
        pen.line(*turned(points, 4 * arm / count))


def bolt(pen: Pen, centre: float, wide: float, step: float, flip: int = 1) -> None:
    """One sig rune: down to the left, back to the right, down to the left again."""
    tall = 0.9
    width = min(pen.width, wide * 0.8)
    points = [(wide / 2, -tall), (-wide / 2, step), (wide / 2, -step), (-wide / 2, tall)]
    pen.line(*((centre + flip * x, y) for x, y in points), width=width)
