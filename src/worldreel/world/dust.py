"""Dust behind wheels on a dry dirt road: puffs that rise, widen and fade.

A puff leaves the rear wheel at a moment of its own and stays where it is in the world, so dust is
a function of time like all else: the same at any frame rate, and a loop or a cut needs no history.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldreel.world.places import place
from worldreel.world.scene import Scene

EVERY, LIFE = 0.08, 1.2
"""Seconds between puffs, and until one is gone."""
COUNT = 1 + int(LIFE / EVERY)
COLOUR = np.asarray([1.0, 0.94, 0.84], np.float32)


def puffs(
    scenes: Sequence[Scene], times: NDArray[np.float32], *, aspect: float
) -> NDArray[np.float32] | None:
    """[B, T, COUNT, 7]: x, y on level ground, radius, opacity and colour of every puff at `times`
    [T] seconds; None where no scene raises dust."""
    found = [
        (row, index) for row, s in enumerate(scenes) for index in [s.dusty] if index is not None
    ]
    if not found:
        return None
    table = np.zeros((len(scenes), len(times), COUNT, 7), np.float32)
    table[..., 2] = 1.0
    for row, index in found:
        table[row] = _trail(scenes[row], index, times, aspect)
    return table


def _trail(
    scene: Scene, index: int, times: NDArray[np.float32], aspect: float
) -> NDArray[np.float32]:
    cast = scene.actors[index]
    number = np.floor(times / EVERY)[:, None] - np.arange(COUNT)  # T P
    age = times[:, None] - number * EVERY
    # Who drives through the view has driven before it, and goes on at the same pace.
    line = scene.timeline(np.asarray([1.0, 1.5]), aspect=aspect)
    at, then = line.position[:, index, 0].astype(np.float64)
    pace = (then - at) / 0.5
    way = np.sign(pace)
    dice = np.sin(number[..., None] * np.asarray([12.9898, 78.233, 37.719])) * 43758.5453
    dice = dice - np.floor(dice)  # three numbers of its own for each puff
    x = at + pace * (number * EVERY - 1.0) - way * 0.40 * cast.width
    x = x - way * 0.05 * dice[..., 0] * cast.size
    x = x + 0.3 * pace * (1 - np.exp(-age / 0.6))  # drawn along for a while
    grown = np.sqrt(np.clip(age / (0.6 * LIFE), 0, 1))
    radius = cast.size * (0.09 + 0.34 * grown * (0.6 + 0.7 * dice[..., 1]))
    y = cast.feet - 0.55 * radius - cast.size * 0.3 * grown * dice[..., 2]
    left = np.clip(1 - age / LIFE, 0, 1)
    opacity = 0.8 * left**1.1 * np.clip(age / 0.08, 0, 1)
    light = COLOUR * np.asarray(place(scene.place).lit[scene.time], np.float32)
    colour = np.broadcast_to(light, (*x.shape, 3))
    return np.concatenate([np.stack([x, y, radius, opacity], -1), colour], -1).astype(np.float32)


def raise_(
    picture: Tensor, puffs: Tensor, slope: Tensor, camera: Tensor, u: Tensor, v: Tensor
) -> None:
    """Puts puffs [b, t, P, 7] over pictures [b, 3, t, H, W] in 0..1, in place.

    Args:
        slope: [b].
        camera: [b, t, 3].
        u, v: world offsets [W], [H] of the pixel centres from the view's centre at zoom 1.
    """
    x0, y0, zoom = (part[..., None] for part in camera.unbind(-1))
    aside = u / zoom  # b t W
    x = (x0 + aside)[:, :, None, :]
    y = (y0 + v / zoom)[..., None] - (slope[:, None, None] * aside)[:, :, None, :]  # b t H W
    clear = torch.ones_like(y)
    for one in puffs.unbind(2):
        px, py, radius, opacity = (one[..., i, None, None] for i in range(4))
        near = ((x - px) / radius) ** 2 + ((y - py) / (0.8 * radius)) ** 2
        clear *= 1 - opacity * torch.exp(-1.6 * near)
    colour = puffs[:, :, 0, 4:].permute(0, 2, 1)[..., None, None]  # b 3 t 1 1
    picture.mul_(clear[:, None]).add_((1 - clear)[:, None] * colour)
