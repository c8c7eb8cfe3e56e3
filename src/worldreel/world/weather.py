"""Weather between the camera and the picture: rain streaks, snowflakes, fog.

Rain and snow are periodic tiles of drops that scroll over the screen, nearer tiles faster and
larger. Fog blends towards a pale colour, most at the horizon.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.world.scene import Scene

TILE = 256  # texture pixels a tile


@lru_cache(maxsize=8)
def _tile(weather: str, near: int) -> Tensor:
    """A periodic tile of drops, [1, 1, TILE + 2, TILE + 2] in [0, 1]."""
    rng = np.random.default_rng(17 + near)
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    tile = np.zeros((TILE, TILE), np.float32)
    for _ in range(70 if weather == "rain" else 60):
        cx, cy = rng.uniform(0, TILE, 2)
        dx = (x - cx + TILE / 2) % TILE - TILE / 2
        dy = (y - cy + TILE / 2) % TILE - TILE / 2
        if weather == "rain":
            length = rng.uniform(9, 17)
            drop = np.exp(-(((dx + 0.18 * dy) / 1.0) ** 2) - (dy / length) ** 4)
        else:
            radius = rng.uniform(1.8, 3.6)
            drop = np.exp(-(((dx**2 + dy**2) / radius**2) ** 2))
        tile = np.maximum(tile, drop * np.float32(rng.uniform(0.6, 1.0))).astype(np.float32)
    return F.pad(torch.from_numpy(tile)[None, None], (1, 1, 1, 1), mode="circular")


def _drops(scene: Scene, times: Tensor, u: Tensor, v: Tensor, near: int) -> Tensor:
    """How much each pixel is covered by drops, [T, H, W]."""
    rain = scene.weather == "rain"
    scale = (0.9, 1.5)[near] * (1.0 if rain else 0.8)  # world units a tile
    speed = (2.2, 3.0)[near] if rain else (0.22, 0.34)[near]
    sway = 0.18 * speed if rain else 0.05
    phase = (scene.seed % 97) / 97
    x = (u[None, :] + phase + sway * times[:, None]) / scale  # T W
    if not rain:
        x = x + 0.02 * torch.sin(2 * times[:, None] + 6 * near)
    y = (v[None, :] + phase - speed * times[:, None]) / scale  # T H
    across = (torch.remainder(x, 1) * TILE + 1) * 2 / (TILE + 2) - 1
    down = (torch.remainder(y, 1) * TILE + 1) * 2 / (TILE + 2) - 1
    frames, height, width = len(times), len(v), len(u)
    grid = torch.stack(
        [
            across[:, None, :].expand(frames, height, width),
            down[:, :, None].expand(frames, height, width),
        ],
        -1,
    ).reshape(1, frames * height, width, 2)
    tile = _tile(scene.weather, near).to(u.device)
    # A thin drop on a coarse frame must not flicker between pixels: blur the tile to the pixel.
    pixel = TILE / (scale * height)
    if pixel > 2:
        size = int(pixel) // 2 * 2 + 1
        padded = F.pad(tile, (size // 2,) * 4, mode="circular")
        tile = F.avg_pool2d(padded, size, stride=1)
    return F.grid_sample(tile, grid, align_corners=False)[0, 0].reshape(frames, height, width)


def fall(picture: Tensor, scene: Scene, times: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Puts the scene's weather over its picture [3, T, H, W] in [0, 1]."""
    night = scene.time == "night"
    if scene.weather == "fog":
        colour = torch.tensor((0.35, 0.38, 0.45) if night else (0.86, 0.88, 0.9), device=u.device)
        thick = 0.62 * torch.exp(-(((v + 0.02) / 0.42) ** 2)) + 0.12  # thickest at the horizon
        thick = thick[None, None, :, None]
        return picture * (1 - thick) + colour[:, None, None, None] * thick
    if scene.weather in ("rain", "snow"):
        drops = _drops(scene, times, u, v, 0) * 0.6 + _drops(scene, times, u, v, 1)
        rain = scene.weather == "rain"
        light = torch.tensor((0.75, 0.82, 0.95) if rain else (1.0, 1.0, 1.0), device=u.device)
        alpha = (drops * (0.5 if rain else 0.9)).clamp(0, 1)[None]
        dim = 0.86 if rain else 0.96
        return picture * dim * (1 - alpha) + light[:, None, None, None] * alpha
    return picture
