"""Actors drawn by code: a ball, a box, a star, a lamp post, and the spots of a dalmatian.

Each is shaded as a small solid lit softly from the upper front, to stand beside the rendered
sprites. Pictures are straight RGBA float arrays in 0..1, supersampled and then averaged down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating[Any]]
SIDE = 512


def _grid() -> tuple[Image, Image]:
    """x and y in −1..1 (y down) of the SIDE × SIDE canvas."""
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    x, y = np.meshgrid(line, line)
    return x, y


def _mix(below: Image, above: Image | tuple[float, ...], amount: Image) -> Image:
    """Linear mix with a [H, W] amount."""
    mixed: Image = below + (np.asarray(above, np.float32) - below) * amount[..., None]
    return mixed


def _soft(distance: Image, width: float = 0.012) -> Image:
    """1 inside (distance < 0), 0 outside, smooth over the width."""
    return np.asarray(np.clip(0.5 - distance / width, 0, 1), np.float32)


def ball() -> tuple[Image, Image]:
    """A shiny ball with a white band; the light is nearly central, so that it may be turned."""
    x, y = _grid()
    radius = np.hypot(x, y) / 0.98
    z = np.sqrt(np.clip(1 - radius**2, 0, 1))
    band = np.abs(x * 0.5 + y * 0.62 - 0.25 * z) - 0.13
    rgb: Image = np.broadcast_to(np.array((0.90, 0.13, 0.16), np.float32), (SIDE, SIDE, 3)).copy()
    shade = (0.50 + 0.5 * z**0.7)[..., None]
    stripe = _soft(band, 0.03)
    rgb = _mix(rgb, (0.97, 0.96, 0.97), stripe) * shade
    shine = np.exp(-((x + 0.24) ** 2 + (y + 0.30) ** 2) / 0.05)
    rgb = _mix(rgb, (1.0, 1.0, 1.0), 0.65 * shine)
    alpha = _soft(radius - 1, 0.012)
    return np.dstack((rgb, alpha)).astype(np.float32), (1 - stripe) * (alpha > 0)


def _star_distance(x: Image, y: Image) -> Image:
    """How far out a point lies of a rounded five-pointed star: negative inside."""
    angle = np.arctan2(x, -y)
    sector = np.abs((angle / (2 * np.pi / 5) + 0.5) % 1 - 0.5) * (2 * np.pi / 5)
    radius = np.hypot(x, y)
    px, py = radius * np.sin(sector), radius * np.cos(sector)
    tip, dent = (
        np.array((0.0, 0.90), np.float32),
        0.50 * np.array((np.sin(np.pi / 5), np.cos(np.pi / 5))),
    )
    edge = dent - tip
    normal = np.array((-edge[1], edge[0]), np.float32) / np.hypot(*edge)
    distance: Image = (px - tip[0]) * normal[0] + (py - tip[1]) * normal[1]
    return distance


def star() -> tuple[Image, Image]:
    """A puffy five-pointed star."""
    x, y = _grid()
    y = y + 0.06
    distance = _star_distance(x, y)
    # Blurring the inside test rounds the tips, and its blurred depth is a puffy height field.
    inside = (distance < 0).astype(np.float32)
    rounded = _blur(inside, 26)
    alpha = _soft(0.42 - rounded, 0.10)
    height = _blur(_blur((rounded > 0.42).astype(np.float32), 34), 22)
    slope_y, slope_x = np.gradient(height)
    light = np.asarray(np.clip(1 + 49.5 * slope_y + 24.75 * slope_x, 0.0, 2.0), np.float32)
    rgb: Image = np.broadcast_to(np.array((1.0, 0.80, 0.10), np.float32), (SIDE, SIDE, 3)).copy()
    rgb = rgb * np.clip(0.45 + 0.55 * light, 0.5, 1)[..., None]
    rgb = _mix(rgb, (1.0, 1.0, 0.95), np.clip((light - 1.05) * 0.7, 0, 0.6))
    return np.dstack((rgb, alpha)).astype(np.float32), np.ones_like(alpha)


def _blur(field: Image, radius: int) -> Image:
    """Three box blurs, near enough a Gaussian."""
    for axis in (0, 1):
        for _ in range(3):
            padded = np.pad(field, [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)])
            total = np.cumsum(padded, axis=axis, dtype=np.float64)
            high = np.take(total, range(2 * radius + 1, total.shape[axis]), axis=axis)
            low = np.take(total, range(total.shape[axis] - 2 * radius - 1), axis=axis)
            field = ((high - low) / (2 * radius + 1)).astype(np.float32)
    return field


def _polygon(points: list[tuple[float, float]], rounding: float = 0.0) -> Image:
    """Coverage of a convex polygon given clockwise on the screen (y down)."""
    x, y = _grid()
    distance = np.full_like(x, -9.0)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        length = float(np.hypot(bx - ax, by - ay))
        distance = np.maximum(distance, ((by - ay) * (x - ax) - (bx - ax) * (y - ay)) / length)
    return _soft(distance - rounding)


def box() -> tuple[Image, Image]:
    """A toy cube seen slightly from above and from the left, with a lighter frame on each face."""
    top = [(-0.93, -0.52), (-0.30, -0.90), (0.93, -0.62), (0.28, -0.18)]
    front = [(-0.93, -0.52), (0.28, -0.18), (0.26, 0.96), (-0.86, 0.56)]
    side = [(0.28, -0.18), (0.93, -0.62), (0.87, 0.46), (0.26, 0.96)]
    rgb = np.zeros((SIDE, SIDE, 3), np.float32)
    alpha = np.zeros((SIDE, SIDE), np.float32)
    _, y = _grid()
    for face, tone in ((side, 0.55), (front, 0.84), (top, 1.04)):
        cover = _polygon(face, 0.012)
        centre = np.mean(np.array(face, np.float32), axis=0)
        inner = [
            (float(a), float(b)) for a, b in (np.array(face, np.float32) - centre) * 0.72 + centre
        ]
        light = np.clip(tone - 0.10 * (y - centre[1]), 0, 1.1)[..., None]
        paint = np.array((0.98, 0.52, 0.12), np.float32) * light
        paint = _mix(paint, paint * 0.86, _blur(_polygon(inner), 5))
        rgb, alpha = _mix(rgb, np.clip(paint, 0, 1), cover), np.maximum(alpha, cover)
    return np.dstack((rgb, alpha)).astype(np.float32), np.ones_like(alpha)


def lamp_post() -> tuple[Image, Image]:
    """An old street lamp: dark iron, a warm lantern."""
    x, y = _grid()
    rgb = np.zeros((SIDE, SIDE, 3), np.float32)
    alpha = np.zeros((SIDE, SIDE), np.float32)

    def add(cover: Image, colour: tuple[float, float, float], centre: float, half: float) -> None:
        nonlocal rgb, alpha
        tone = 0.62 + 0.55 * np.exp(-(((x - centre) / half + 0.35) ** 2) / 0.25)
        rgb = _mix(rgb, np.clip(np.array(colour, np.float32) * tone[..., None], 0, 1), cover)
        alpha = np.maximum(alpha, cover)

    iron = (0.22, 0.25, 0.32)
    add(_polygon([(-0.035, -0.5), (0.035, -0.5), (0.05, 0.85), (-0.05, 0.85)]), iron, 0, 0.07)
    add(_polygon([(-0.09, 0.55), (0.09, 0.55), (0.13, 0.9), (-0.13, 0.9)], 0.01), iron, 0, 0.14)
    add(_polygon([(-0.2, 0.88), (0.2, 0.88), (0.22, 0.97), (-0.22, 0.97)], 0.01), iron, 0, 0.24)
    add(_polygon([(-0.12, -0.42), (0.12, -0.42), (0.07, -0.34), (-0.07, -0.34)]), iron, 0, 0.14)
    lantern = _polygon([(-0.19, -0.80), (0.19, -0.80), (0.11, -0.42), (-0.11, -0.42)])
    add(lantern, (1.0, 0.80, 0.38), 0, 0.5)
    glow = lantern * np.exp(-(x**2 + (y + 0.60) ** 2) / 0.02)
    rgb = _mix(rgb, (1.0, 0.98, 0.82), glow)
    add(
        _polygon([(-0.25, -0.78), (-0.09, -0.91), (0.09, -0.91), (0.25, -0.78)], 0.01), iron, 0, 0.3
    )
    add(_soft(np.hypot(x, y + 0.935) - 0.045), iron, 0, 0.06)
    return np.dstack((rgb, alpha)).astype(np.float32), np.zeros_like(alpha)


DRAWN: dict[str, Callable[[], tuple[Image, Image]]] = {
    "ball": ball,
    "box": box,
    "star": star,
    "lamp post": lamp_post,
}
"""Name in the selection to the function that draws it: straight RGBA [H, W, 4] and paint mask."""


def spots(frames: Image) -> Image:
    """Turn the fur of a dog white and lay black spots on it that go with the body.

    Args:
        frames: straight RGBA in 0..1, [T, H, W, 4], a light brown dog.
    """
    rgb, alpha = frames[..., :3], frames[..., 3]
    bright = rgb.max(axis=-1)
    fur = np.clip((bright - 0.42) / 0.2, 0, 1)
    white = np.clip(0.98 - 0.75 * (0.97 - rgb.mean(axis=-1)).clip(0) ** 1.3, 0, 1)
    coat = np.stack((white, white * 0.985, white), axis=-1)
    side = frames.shape[1]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    rng = np.random.default_rng(101)
    pattern = np.zeros((side, side), np.float32)
    for row in range(11):
        for column in range(11):
            shift_x, shift_y, size = rng.uniform(-0.024, 0.024, 3)
            cx = (column + 0.5 * (row % 2)) / 10.5 + shift_x
            far = np.hypot(x - cx, (y - row / 10.5 - shift_y) * 1.1)
            pattern = np.maximum(pattern, np.clip((0.023 + 0.45 * size - far) * side + 0.5, 0, 1))
    out = frames.copy()
    for index in range(len(frames)):
        dx, dy = _drift(alpha[0], alpha[index])
        moved = np.roll(pattern, (dy, dx), axis=(0, 1)) * 0.9
        dark = coat[index] * (1 - moved[..., None] * np.array((0.86, 0.86, 0.80), np.float32))
        out[index, ..., :3] = rgb[index] + (dark - rgb[index]) * fur[index][..., None]
    return out


def _drift(first: Image, other: Image) -> tuple[int, int]:
    """Whole-pixel shift (x, y) that best lays the first silhouette over the other."""
    spectrum = np.fft.rfft2(other) * np.conj(np.fft.rfft2(first))
    peak = int(np.argmax(np.fft.irfft2(spectrum, first.shape)))
    dy, dx = divmod(peak, first.shape[1])
    half = first.shape[0] // 2
    return (dx + half) % first.shape[1] - half, (dy + half) % first.shape[0] - half
