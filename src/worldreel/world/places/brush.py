"""Brushes: soft, resolution-free shapes painted on the three layers of a place.

A canvas covers x in [-2, 2), periodic, and y in [-0.25, 1.25] (down), at `unit` pixels per world
unit. Every shape is a signed distance in world units whose edge is one pixel wide, so the same
picture appears at any unit. Colours are hex strings; a pair is a gradient across the shape. The
canvas multiplies colours by its light, save those that emit (windows, neon, stars).
Pixels are premultiplied: `over` is `p = p * (1 - a) + a * colour`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Paint = str | tuple[str, str]
Curve = Callable[[Array], Array]

LEFT, WIDTH = -2.0, 4.0
TOP, HEIGHT = -0.25, 1.5


@lru_cache(maxsize=4096)
def rgb(colour: str) -> Array:
    """A hex colour "ffcc88" as float32 [3] in 0..1."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def mix(a: str, b: str, share: float) -> str:
    """The colour `share` of the way from `a` to `b`, as hex."""
    blend = rgb(a) + (rgb(b) - rgb(a)) * min(max(share, 0.0), 1.0)
    return "".join(f"{round(float(v) * 255):02x}" for v in blend)


def smooth(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, a smooth cubic between (either may be the larger)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def waves(
    rng: np.random.Generator, level: float, swing: float, low: int, high: int, fall: float = 1.0
) -> Curve:
    """A random smooth curve y(x) about `level`, of period 4: `low`..`high` waves a period.

    `swing` is about the largest excursion in world units; amplitudes fall as 1 / k**fall.
    """
    k = np.arange(low, high + 1, dtype=np.float32)
    amplitude = (rng.uniform(0.6, 1.0, k.size) / k**fall).astype(np.float32)
    amplitude *= swing / np.sqrt((amplitude**2).sum()) / 1.6
    phase = rng.uniform(0, 2 * np.pi, k.size).astype(np.float32)

    def curve(x: Array) -> Array:
        turn = np.float32(2 * np.pi / WIDTH) * np.asarray(x, np.float32)[..., None] * k + phase
        return np.asarray(level + (np.cos(turn) * amplitude).sum(-1), np.float32)

    return curve


def lower(curve: Curve, by: float) -> Curve:
    """The same curve, `by` further down."""
    return lambda x: curve(x) + by


def lattice(rng: np.random.Generator, across: int, down: int) -> Callable[[Array, Array], Array]:
    """Smooth random noise in 0..1 on a lattice of `across` x `down` cells, periodic in x."""
    table = rng.random((down + 2, across), np.float32)

    def field(x: Array, y: Array) -> Array:
        u = (x - LEFT) / WIDTH * across
        v = np.clip((y - TOP) / HEIGHT, 0, 1) * down
        i, j = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = u - i, v - j
        fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
        left, right = table[:, (i % across).ravel()], table[:, ((i + 1) % across).ravel()]
        row = left + (right - left) * fu.reshape(1, -1)
        upper, lower = row[j.ravel()], row[(j + 1).ravel()]
        return np.asarray(upper + (lower - upper) * fv.reshape(-1, 1), np.float32)

    return field


class Canvas:
    """One layer while it is painted: premultiplied float32 [1.5 unit, 4 unit, 4]."""

    def __init__(self, unit: int, light: tuple[float, float, float]) -> None:
        self.unit = unit
        self.light = np.array(light, np.float32)
        self.pixels = np.zeros((unit * 3 // 2, unit * 4, 4), np.float32)

    def uint8(self) -> NDArray[np.uint8]:
        """The layer as premultiplied uint8 [4, 1.5 unit, 4 unit], rgb never above alpha."""
        pixels = np.clip(self.pixels, 0, 1)
        pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
        whole = (pixels * 255 + 0.5).astype(np.uint8)
        return np.ascontiguousarray(whole.transpose(2, 0, 1))

    def _tiles(
        self, x0: float, x1: float, y0: float, y1: float
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Views of the pixels inside a window, with x [1, w] and y [h, 1] not wrapped."""
        unit, pad = self.unit, 1
        across = self.pixels.shape[1]
        r0 = max(int((y0 - TOP) * unit) - pad, 0)
        r1 = min(int((y1 - TOP) * unit) + 1 + pad, self.pixels.shape[0])
        c0 = int(np.floor((x0 - LEFT) * unit)) - pad
        c1 = int(np.ceil((x1 - LEFT) * unit)) + pad
        if c1 - c0 >= across:
            c0, c1 = 0, across
        if r1 <= r0:
            return
        y = ((np.arange(r0, r1, dtype=np.float32) + 0.5) / unit + TOP)[:, None]
        while c0 < c1:
            turn, start = divmod(c0, across)
            stop = min(across, start + c1 - c0)
            columns = np.arange(start, stop, dtype=np.float32)
            x = ((columns + 0.5) / unit + LEFT + WIDTH * turn)[None, :].astype(np.float32)
            yield self.pixels[r0:r1, start:stop], x, y
            c0 += stop - start

    def _colour(self, paint: Paint, share: Array | None, emit: bool) -> Array:
        """[3], or [..., 3] for a gradient, lit unless it emits."""
        if isinstance(paint, str):
            return rgb(paint) if emit else self._lit(rgb(paint))
        first, second = rgb(paint[0]), rgb(paint[1])
        if not emit:
            first, second = self._lit(first), self._lit(second)
        assert share is not None
        return np.asarray(first + np.clip(share, 0, 1)[..., None] * (second - first), np.float32)

    def _lit(self, colour: Array) -> Array:
        """The colour under the light; in the dark hues fade to the light's own, as to our eyes."""
        dim = np.clip((0.9 - self.light.mean()) * 0.9, 0, 0.4)
        grey = colour @ np.array([0.3, 0.59, 0.11], np.float32)
        cast = self.light / self.light.mean()
        return np.asarray(((1 - dim) * colour + dim * grey * cast) * self.light, np.float32)

    def _edge(self, distance: Array, soft: float) -> Array:
        """Coverage of a signed distance (negative inside), the edge `soft` world units wide."""
        if soft > 0:
            return smooth(soft, -soft, distance)
        return np.asarray(np.clip(0.5 - distance * self.unit, 0, 1), np.float32)

    @staticmethod
    def _over(view: Array, cover: Array, colour: Array) -> None:
        cover = cover[..., None]
        view *= 1 - cover
        view[..., :3] += cover * colour
        view[..., 3:] += cover

    @staticmethod
    def _screen(view: Array, cover: Array, colour: Array) -> None:
        cover = cover[..., None]
        view[..., :3] += cover * colour * (1 - view[..., :3])
        view[..., 3:] += cover * (1 - view[..., 3:])

    def gradient(self, stops: Sequence[tuple[float, str]], emit: bool = True) -> None:
        """Fills the canvas with colours at heights y, top down, blended between."""
        y = (np.arange(self.pixels.shape[0], dtype=np.float32) + 0.5) / self.unit + TOP
        table = np.stack([self._colour(c, None, emit) for _, c in stops])
        heights = [s[0] for s in stops]
        for channel in range(3):
            row = np.interp(y, heights, table[:, channel])
            self.pixels[..., channel] = row[:, None]
        self.pixels[..., 3] = 1

    def ridge(
        self,
        curve: Curve,
        paint: Paint,
        depth: float = 0.3,
        *,
        bottom: float = 1.3,
        soft: float = 0.0,
        opacity: float = 1.0,
        emit: bool = False,
    ) -> None:
        """Fills below a curve y(x); a pair of colours blends over `depth` below its edge."""
        for view, x, y in self._tiles(-2, 2, -0.25, bottom):
            top = curve(x[0])[None, :]
            slope = np.gradient(top[0]) * self.unit
            steep = np.sqrt(1 + slope**2)[None, :]
            start = max(int((float(top.min()) - soft - TOP) * self.unit) - 2, 0)
            part, below = view[start:], y[start:] - top
            cover = self._edge(-below / steep, soft) * opacity
            self._over(part, cover, self._colour(paint, below / depth, emit))

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        paint: Paint,
        *,
        soft: float = 0.0,
        opacity: float = 1.0,
        emit: bool = False,
        sun: tuple[float, float] = (-0.45, -0.9),
        cut: float | None = None,
    ) -> None:
        """An ellipse; a pair of colours shades it from the side of the sun to the other.

        Nothing is painted below y = `cut`.
        """
        pad = soft
        for view, px, py in self._tiles(x - rx - pad, x + rx + pad, y - ry - pad, y + ry + pad):
            u, v = (px - x) / rx, (py - y) / ry
            q = np.sqrt(u * u + v * v) + 1e-6
            slope = np.sqrt((u / rx) ** 2 + (v / ry) ** 2) / q
            share = 0.5 - 0.5 * (u * sun[0] + v * sun[1])
            distance = (q - 1) / slope
            if cut is not None:
                distance = np.maximum(distance, py - cut)
            cover = self._edge(distance, soft) * opacity
            self._over(view, cover, self._colour(paint, share, emit))

    def glow(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: str,
        strength: float = 0.6,
        power: float = 2.0,
    ) -> None:
        """Light that fades from a centre to nothing at the radii, screened onto the canvas."""
        for view, px, py in self._tiles(x - rx, x + rx, y - ry, y + ry):
            q = np.sqrt(((px - x) / rx) ** 2 + ((py - y) / ry) ** 2)
            self._screen(view, strength * np.clip(1 - q, 0, 1) ** power, rgb(colour))

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        paint: Paint,
        *,
        corner: float = 0.0,
        soft: float = 0.0,
        opacity: float = 1.0,
        emit: bool = False,
        sideways: bool = False,
    ) -> None:
        """A rectangle with round corners; a pair of colours goes down it, or to the right."""
        cx, cy, hx, hy = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
        for view, px, py in self._tiles(x0 - soft, x1 + soft, y0 - soft, y1 + soft):
            u, v = np.abs(px - cx) - hx + corner, np.abs(py - cy) - hy + corner
            outside = np.sqrt(np.maximum(u, 0) ** 2 + np.maximum(v, 0) ** 2)
            distance = outside + np.minimum(np.maximum(u, v), 0) - corner
            share = (px - x0) / (x1 - x0) + 0 * py if sideways else (py - y0) / (y1 - y0) + 0 * px
            cover = self._edge(distance, soft) * opacity
            self._over(view, cover, self._colour(paint, share, emit))

    def facet(
        self,
        points: Sequence[tuple[float, float]],
        paint: Paint,
        *,
        soft: float = 0.0,
        opacity: float = 1.0,
        emit: bool = False,
        sideways: bool = False,
    ) -> None:
        """A convex polygon; a pair of colours goes down it, or to the right."""
        p = np.array(points, np.float32)
        following = np.roll(p, -1, axis=0)
        area = float((p[:, 0] * following[:, 1] - following[:, 0] * p[:, 1]).sum())
        (x0, y0), (x1, y1) = p.min(0), p.max(0)
        for view, px, py in self._tiles(x0 - soft, x1 + soft, y0 - soft, y1 + soft):
            distance = np.full((py.shape[0], px.shape[1]), -9, np.float32)
            for (ax, ay), (bx, by) in zip(p, following, strict=True):
                nx, ny = by - ay, ax - bx
                side = np.sign(area) / max(float(np.hypot(nx, ny)), 1e-6)
                distance = np.maximum(distance, side * ((px - ax) * nx + (py - ay) * ny))
            share = (px - x0) / (x1 - x0) + 0 * py if sideways else (py - y0) / (y1 - y0) + 0 * px
            cover = self._edge(distance, soft) * opacity
            self._over(view, cover, self._colour(paint, share, emit))

    def stroke(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        wide: float,
        paint: Paint,
        *,
        taper: float = 1.0,
        soft: float = 0.0,
        opacity: float = 1.0,
        emit: bool = False,
    ) -> None:
        """A line with round ends, `wide` thick at its start and `wide * taper` at its end."""
        (ax, ay), (bx, by) = start, end
        r = wide / 2 + soft
        square = (bx - ax) ** 2 + (by - ay) ** 2 + 1e-12
        window = (min(ax, bx) - r, max(ax, bx) + r, min(ay, by) - r, max(ay, by) + r)
        for view, px, py in self._tiles(*window):
            t = np.clip(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / square, 0, 1)
            gap = np.sqrt((px - ax - t * (bx - ax)) ** 2 + (py - ay - t * (by - ay)) ** 2)
            distance = gap - wide / 2 * (1 + (taper - 1) * t)
            cover = self._edge(distance, soft) * opacity
            self._over(view, cover, self._colour(paint, t, emit))

    def path(
        self,
        points: Sequence[tuple[float, float]],
        wide: float,
        paint: str,
        *,
        taper: float = 1.0,
        opacity: float = 1.0,
        emit: bool = False,
    ) -> None:
        """A line through points, thinning evenly to `wide * taper` at the last."""
        n = len(points) - 1
        for i in range(n):
            here = 1 + (taper - 1) * i / n
            there = 1 + (taper - 1) * (i + 1) / n
            self.stroke(
                points[i],
                points[i + 1],
                wide * here,
                paint,
                taper=there / here,
                opacity=opacity,
                emit=emit,
            )

    def dot(self, x: float, y: float, radius: float, colour: str, strength: float = 1.0) -> None:
        """A point of light: a Gaussian of the radius, dimmed when it is finer than a pixel."""
        sigma = max(radius, 0.55 / self.unit)
        shine = strength * min(1.0, (radius / sigma) ** 2 * 1.6)
        r = 3 * sigma
        for view, px, py in self._tiles(x - r, x + r, y - r, y + r):
            square = (px - x) ** 2 + (py - y) ** 2
            self._screen(view, shine * np.exp(-square / (2 * sigma**2)), rgb(colour))

    def mottle(
        self,
        rng: np.random.Generator,
        y0: float,
        y1: float,
        colour: str,
        strength: float,
        *,
        across: int = 12,
        down: int = 24,
        low: float = 0.5,
        high: float = 0.9,
        emit: bool = False,
    ) -> None:
        """Soft patches of a colour where noise is high, only where the canvas has paint."""
        field = lattice(rng, across, down)
        for view, x, y in self._tiles(-2, 2, y0, y1):
            cover = smooth(low, high, field(x, y)) * strength
            self._tint(view, cover, self._colour(colour, None, emit))

    def veil(self, y0: float, y1: float, colour: str, first: float, last: float) -> None:
        """Haze on what is painted, from strength `first` at y0 to `last` at y1."""
        for view, _, y in self._tiles(-2, 2, y0, y1):
            share = np.clip((y - y0) / (y1 - y0), 0, 1)
            cover = (first + (last - first) * share) * np.ones((1, view.shape[1]), np.float32)
            self._tint(view, np.asarray(cover, np.float32), rgb(colour))

    def mirror(
        self,
        top: float,
        foot: float,
        hue: str,
        share: float,
        *,
        fade: float = 0.0,
        squeeze: float = 1.0,
        sway: float = 0.01,
    ) -> None:
        """Water or wet ground from y = `top` to `foot` that mirrors what is painted above it.

        The mirror image is `squeeze` times shorter, keeps `share` of its colour (less `fade` for
        each unit further down) over `hue`, and is broken by ripples of `sway` world units.
        """
        unit, across = self.unit, self.pixels.shape[1]
        first, last = round((top - TOP) * unit), round((foot - TOP) * unit)
        depth = (np.arange(last - first, dtype=np.float32) + 0.5) / unit
        source = first - 1 - depth * squeeze * unit
        back = np.clip(source.astype(int), 0, first - 1)[:, None]
        swing = np.clip(depth * 20, 0.2, 1) * sway
        shift = (np.sin(depth * 130) + np.sin(depth * 57 + 1)) * swing * unit
        image = np.zeros((last - first, across, 4), np.float32)
        for turn in (-1.0, 0.3, 1.0):
            whole = np.floor(shift * turn).astype(int)[:, None]
            part = (shift[:, None] * turn - whole)[..., None].astype(np.float32)
            columns = np.arange(across)[None, :] + whole
            image += self.pixels[back, columns % across] * ((1 - part) / 3)
            image += self.pixels[back, (columns + 1) % across] * (part / 3)
        tint = rgb(hue)
        solid = image[..., :3] + (1 - image[..., 3:]) * tint
        keep = np.clip(share - fade * depth, 0.08, 1)[:, None, None]
        self.pixels[first:last, :, :3] = tint + (solid - tint) * keep
        self.pixels[first:last, :, 3] = 1

    @staticmethod
    def _tint(view: Array, cover: Array, colour: Array) -> None:
        """Colours what is painted and leaves its transparency."""
        cover = cover[..., None]
        view[..., :3] *= 1 - cover
        view[..., :3] += cover * colour * view[..., 3:]
