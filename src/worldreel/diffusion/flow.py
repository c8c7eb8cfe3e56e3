"""Rectified flow (Liu et al. 2022; Lipman et al. 2022), and the one sign convention used here:

    noisy    = (1 − s)·clean + s·noise        s = noise level in [0, 1], 1 is pure noise
    velocity = noise − clean                  = d noisy / d s

A network that predicts the velocity is integrated from s = 1 to s = 0 to make a sample. The
noise level may differ from patch to patch: known patches have s = 0 and are simply clean.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def interpolate(clean: Tensor, noise: Tensor, noise_level: Tensor) -> Tensor:
    """Noisy latents; `noise_level` must broadcast with them."""
    return clean + noise_level * (noise - clean)


def velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """What the network learns to predict."""
    return noise - clean


def clean_of(noisy: Tensor, predicted: Tensor, noise_level: Tensor) -> Tensor:
    """The clean latents that a predicted velocity points at."""
    return noisy - noise_level * predicted


def shift(noise_level: Tensor, amount: float) -> Tensor:
    """Moves noise levels towards 1 (amount > 1): a·s / (1 + (a − 1)·s), after Esser et al. 2024.

    The more patches a clip has, the more noise it takes to hide it.
    """
    return amount * noise_level / (1 + (amount - 1) * noise_level)


def shift_for(numbers: int, amount: float) -> float:
    """The shift for clips of so many latent numbers (C·t·h·w), `amount` being that of 2,048.

    What is where shows in all numbers together: of n that tell the same, noise hides it only at a
    level whose signal-to-noise ratio is 1/√n. Most of a clip's layout and motion is settled above
    0.9, which levels drawn for a still hardly ever reach (docs/log.md).
    """
    return amount * math.sqrt(numbers / 2048)


def draw_levels(
    shape: tuple[int, ...], *, amount: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Noise levels for training: logit-normal (Esser et al. 2024), shifted by `amount`."""
    return shift(torch.sigmoid(torch.randn(shape, generator=generator)), amount)


def loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of `[B, C, t, h, w]` velocities, weighted by `[B, 1, t, h, w]`.

    Known patches have weight 0. The weights need not sum to anything: their mean divides.
    """
    error = (predicted.float() - target.float()).square().mean(1, keepdim=True)
    return (error * weight).sum() / weight.sum().clamp_min(1e-6)
