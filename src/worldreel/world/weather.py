"""Weather between the camera and the picture: rain streaks, snowflakes, fog.

Rain and snow are periodic tiles of drops that scroll over the screen, nearer tiles faster and
larger; each comes back to where it was after `LOOP` seconds, so that a loop of a scene has no
seam. Fog hides what is far: much of the place, little of the actors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.world.scene import Scene

TILE = 256  # texels a side of a tile as it is drawn
LOOP = {"rain": 3.0, "snow": 12.0}
"""Seconds after which all drops are where they were."""


@dataclass(frozen=True, kw_only=True)
class _Depth:
    """One tile of drops at some distance."""

    size: float
    """World units a tile."""
    down: int
    across: int
    """Tiles that it travels in one loop; whole numbers, so that the loop closes."""
    strength: float
    seed: int


DEPTHS = {
    "rain": (
        _Depth(size=0.9, down=6, across=1, strength=0.36, seed=17),
        _Depth(size=1.5, down=6, across=1, strength=0.62, seed=18),
    ),
    "snow": (
        _Depth(size=0.72, down=4, across=1, strength=0.55, seed=17),
        _Depth(size=1.2, down=3, across=-1, strength=0.9, seed=18),
    ),
}
"""Far to near."""
LIGHT = {"rain": (0.75, 0.82, 0.95), "snow": (1.0, 1.0, 1.0)}
DIM = {"rain": 0.86, "snow": 0.96}
"""How much of the picture's light is left under the clouds."""
FOG = {True: (0.35, 0.38, 0.45), False: (0.86, 0.88, 0.9)}
"""Its colour by night and else."""


def rise(picture: Tensor, scenes: Sequence[Scene], times: Tensor, u: Tensor, v: Tensor) -> None:
    """Puts fog over the places [B, 3, T, H, W] of B scenes, before actors are drawn: what is far
    fades. In place; arguments as in `fall`."""
    for part, under in _sharing(picture, scenes, "fog"):
        _fog(part, under, times, u, v, 0.66)


def fall(picture: Tensor, scenes: Sequence[Scene], times: Tensor, u: Tensor, v: Tensor) -> None:
    """Puts the weather of B scenes over their pictures [B, 3, T, H, W] in 0..1, in place.

    Args:
        times: [T] seconds.
        u, v: world offsets [W], [H] of the pixel centres from the view's centre.
    """
    for part, under in _sharing(picture, scenes, "fog"):
        _fog(part, under, times, u, v, 0.22)
    for weather in DEPTHS:
        for part, under in _sharing(picture, scenes, weather):
            _drops(part, weather, under, times, u, v)


def _sharing(
    picture: Tensor, scenes: Sequence[Scene], weather: str
) -> Iterator[tuple[Tensor, list[Scene]]]:
    """The pictures of the scenes with a weather, to be changed in place; nothing if there are
    none."""
    mine = [i for i, s in enumerate(scenes) if s.weather == weather]
    if len(mine) == len(scenes):
        yield picture, list(scenes)
    elif mine:
        index = torch.tensor(mine, device=picture.device)
        part = picture[index]
        yield part, [scenes[i] for i in mine]
        picture[index] = part


def _fog(
    picture: Tensor, scenes: Sequence[Scene], times: Tensor, u: Tensor, v: Tensor, most: float
) -> None:
    """Thickest at the horizon, in banks that drift."""
    colours = torch.tensor([FOG[s.time == "night"] for s in scenes], device=v.device)
    band = torch.exp(-(((v - 0.04) / 0.36) ** 2)) + 0.15
    x, t = u[None, None, :], times[:, None, None]
    y = v[None, :, None]
    banks = torch.sin(4.1 * x + 7 * y - 0.5 * t) + torch.sin(7.3 * x - 11 * y + 0.4 * t + 2)
    thick = (most * band[None, :, None] * (1 + 0.16 * banks)).clamp(0, 0.9)  # T H W
    picture.mul_(1 - thick).add_(colours[:, :, None, None, None] * thick)


def _drops(
    picture: Tensor, weather: str, scenes: Sequence[Scene], times: Tensor, u: Tensor, v: Tensor
) -> None:
    batch, _, frames, height, width = picture.shape
    # Each scene sees another part of the sky.
    starts = [((s.seed * 0.618034) % 1, (s.seed * 0.754878) % 1) for s in scenes]
    start = torch.tensor(starts, device=v.device)
    alpha = picture.new_zeros(batch, frames, height, width)
    turn = times / LOOP[weather]
    for depth in DEPTHS[weather]:
        tile = _tile(weather, depth, round(depth.size * height), v.device)
        sway = 0.03 * torch.sin(2 * torch.pi * 4 * turn + depth.seed) if weather == "snow" else 0
        x = u / depth.size + (sway + depth.across * turn)[:, None] + start[:, 0, None, None]
        y = v / depth.size - (depth.down * turn)[:, None] + start[:, 1, None, None]
        grid = alpha.new_empty(batch, frames, height, width, 2)
        grid[..., 0] = _places(x, tile)[:, :, None, :]
        grid[..., 1] = _places(y, tile)[:, :, :, None]
        drops = F.grid_sample(
            tile.expand(1, -1, -1, -1), grid.view(1, -1, width, 2), align_corners=False
        )
        alpha.add_(drops.view_as(alpha), alpha=depth.strength)
    alpha = alpha.clamp_(0, 1)[:, None]
    light = torch.tensor(LIGHT[weather], device=v.device)[:, None, None, None]
    picture.mul_(DIM[weather]).add_(alpha * (light - picture))


def _places(tiles: Tensor, tile: Tensor) -> Tensor:
    """Positions in tiles → grid coordinates of a tile padded by one texel a side."""
    side = tile.shape[-1]
    return (torch.remainder(tiles, 1) * (side - 2) + 1) * 2 / side - 1


@lru_cache(maxsize=32)
def _tile(weather: str, depth: _Depth, side: int, device: torch.device) -> Tensor:
    """A periodic tile of drops at about the frame's own resolution, so that thin drops on coarse
    frames are dim instead of flickering; [1, 1, side + 2, side + 2] in 0..1."""
    rng = np.random.default_rng(depth.seed)
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    tile = np.zeros((TILE, TILE), np.float32)
    for _ in range(70 if weather == "rain" else 42):
        cx, cy = rng.uniform(0, TILE, 2)
        dx = (x - cx + TILE / 2) % TILE - TILE / 2
        dy = (y - cy + TILE / 2) % TILE - TILE / 2
        if weather == "rain":
            length = rng.uniform(9, 17)
            slant = depth.across / depth.down  # streaks lie along their way
            drop = np.exp(-((dx + slant * dy) ** 2) - (dy / length) ** 4)
        else:
            radius = rng.uniform(1.8, 4.6)
            drop = np.exp(-(((dx**2 + dy**2) / radius**2) ** 1.5))
        tile = np.maximum(tile, drop * np.float32(rng.uniform(0.6, 1.0))).astype(np.float32)
    picture = torch.from_numpy(tile)[None, None]
    mode = "area" if side < TILE else "bilinear"
    scaled = F.interpolate(picture, (max(side, 8),) * 2, mode=mode)
    return F.pad(scaled, (1, 1, 1, 1), mode="circular").to(device)
