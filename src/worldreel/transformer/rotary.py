"""Rotary positions over three axes (time, height, width), after Su et al. 2021.

A head's channels are shared out among the axes; within an axis, channel pair j turns by
position · base^(-2j/d). The score of two patches then depends only on where one lies relative
to the other. Pairs are (j, j + half) rather than neighbours: the same rotation up to a fixed
permutation of channels, five times cheaper on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10_000.0


def axis_channels(head: int) -> tuple[int, int, int]:
    """How a head's channels are split: time gets what remains after two equal even thirds."""
    third = head // 3 // 2 * 2
    return head - 2 * third, third, third


def positions(
    grid: tuple[int, int, int], *, device: torch.device, times: Tensor | None = None
) -> Tensor:
    """Time, row and column of every patch of a (t, h, w) grid, in order: `[N, 3]`.

    `times` `[t]` takes the place of 0, 1, 2, …: shots lie apart in time, and so do moments that
    are merely remembered.
    """
    axes = [torch.arange(n, device=device, dtype=torch.float64) for n in grid]
    if times is not None:
        assert times.shape == (grid[0],), (times.shape, grid)
        axes[0] = times.to(device, torch.float64)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def rotations(places: Tensor, head: int) -> Tensor:
    """Angles of every channel pair at positions `[..., N, 3]` → cos and sin `[2, ..., N, head/2]`.

    Computed in fp64: at hundreds of positions fp32 angles are off by more than bf16 can hide.
    """
    angles = []
    for axis, channels in enumerate(axis_channels(head)):
        exponent = torch.arange(0, channels, 2, dtype=torch.float64, device=places.device)
        frequency = BASE ** (-exponent / channels)
        angles.append(places[..., axis, None].double() * frequency)
    angle = torch.cat(angles, -1)
    return torch.stack([angle.cos(), angle.sin()]).float()


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turns `[B, heads, N, head]` by `rotations` `[2, N, head/2]` (or `[2, B, 1, N, head/2]`)."""
    cos, sin = turn.to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
