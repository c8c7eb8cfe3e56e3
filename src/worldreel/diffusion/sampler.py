"""From noise to a clip: integrates the velocity from noise level 1 to 0, yielding each step.

`sample` is a generator, so progress, preview and cancelling need no callbacks: whoever wants
to stop simply stops asking. It takes a velocity function, not a network, so it can be tested on
flows whose solution is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from worldreel.diffusion import flow
from worldreel.diffusion.known import Known


class Velocity(Protocol):
    """noisy `[B, C, t, h, w]`, noise levels `[B, N]` or `[B, 1]` → velocity, same shape."""

    def __call__(self, noisy: Tensor, noise_level: Tensor, /) -> Tensor: ...


Around: TypeAlias = "Callable[[Velocity], Velocity]"
"""Takes the place of a velocity for one way from noise to a clip (caching.py)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """After step `number` of `steps`: the noisy latents, and the clean ones now expected."""

    number: int
    steps: int
    noise_level: float
    latents: Tensor
    clean: Tensor


def schedule(steps: int, *, shift: float = 1.0) -> list[float]:
    """`steps` + 1 noise levels from 1 to 0, shifted as in training."""
    levels = flow.shift(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)
    return [float(level) for level in levels]


def guided(conditional: Velocity, unconditional: Velocity, guidance: float) -> Velocity:
    """Classifier-free guidance (Ho & Salimans 2022): away from the unconditional velocity."""
    if guidance == 1.0:
        return conditional

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        away = unconditional(noisy, noise_level)
        return away + guidance * (conditional(noisy, noise_level) - away)

    return velocity


def sample(
    velocity: Velocity,
    noise: Tensor,
    known: Known,
    levels: list[float],
    *,
    patch: tuple[int, int, int] = (1, 2, 2),
) -> Iterator[Step]:
    """Multistep (Adams–Bashforth 2): one network call a step, second order.

    The slope over a step is extrapolated from the last two velocities; the first step, and any
    whose past is missing, is Euler's. A position moves by its start times the step, so known
    latents (start 0) are equal to the given ones, bit for bit, at every step.
    """
    latents, start = known.begin(noise), known.start.to(noise.dtype)
    before: tuple[float, Tensor] | None = None
    for number, (level, following) in enumerate(pairwise(levels), 1):
        slope = velocity(latents, known.levels(level, patch))
        clean = flow.clean_of(latents, slope, level * start)
        extrapolated = slope
        if before is not None:
            # Mean of the line through both slopes over this step.
            ratio = (following - level) / (2 * (level - before[0]))
            extrapolated = slope + ratio * (slope - before[1])
        before = (level, slope)
        latents = latents + (following - level) * start * extrapolated
        yield Step(
            number=number,
            steps=len(levels) - 1,
            noise_level=following,
            latents=latents,
            clean=clean,
        )
