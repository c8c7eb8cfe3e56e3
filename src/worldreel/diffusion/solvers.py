"""The schedules and solvers that open weights were made for.

A schedule is the noise levels that a clip passes, and what the network is told at each: some
weights are told whole thousandths, a little less than the level. Solvers are generators like
`sampler.sample`, and take the same velocity function and the same known latents.

Euler: latents move by velocity times step. UniPC (Zhao et al. 2023), second order, in the form
that predicts clean latents m: with α = 1 − s, λ = log(α/s) and h the step in λ,

    predict   x' = (s'/s)·x + α'·(1 − e^-h)·(m₀ + ½·D),        D = (m₋₁ − m₀) / r
    correct   x' = (s'/s)·x + α'·(1 − e^-h)·(m₀ + ρ₁·D + ρ₂·(m' − m₀))

where m' is what the network says at x', and r, ρ make both exact for lines and parabolas in λ.
The correction costs no further call: m' is needed for the next step anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from worldreel.diffusion import flow
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step, Velocity

NEARLY = 1 - 1e-6
"""UniPC begins here: at 1 there is no λ."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`levels` fall to 0; `told` has one for each step, that is one fewer."""

    levels: tuple[float, ...]
    told: tuple[float, ...]

    def __post_init__(self) -> None:
        assert len(self.levels) == len(self.told) + 1 > 1, (self.levels, self.told)
        assert all(a > b for a, b in pairwise(self.levels)), self.levels

    @property
    def steps(self) -> int:
        """How many times the network is asked."""
        return len(self.told)


class Solver(Protocol):
    """Steps from noise to a clip, as `sampler.sample` yields them."""

    def __call__(
        self,
        velocity: Velocity,
        noise: Tensor,
        known: Known,
        schedule: Schedule,
        /,
        *,
        patch: tuple[int, int, int] = (1, 2, 2),
    ) -> Iterator[Step]: ...


def euler_schedule(steps: int, *, shift: float = 1.0) -> Schedule:
    """Evenly from 1 to the least level of training (a shifted thousandth), shifted, then 0."""
    least = float(flow.shift(torch.tensor(1e-3, dtype=torch.float64), shift))
    even = _even(least, max(1, steps - 1), steps)
    return fixed(flow.shift(even, shift).tolist())


def unipc_schedule(steps: int, *, shift: float = 1.0) -> Schedule:
    """Evenly from (nearly) 1 towards a thousandth, shifted; told in whole thousandths."""
    levels = flow.shift(_even(1e-3, steps, steps), shift).clamp_max(NEARLY)
    # Kept in fp32, as those who trained with it do: near 1 the rounding shows in λ.
    kept = [float(level) for level in levels.float()]
    return Schedule(levels=(*kept, 0.0), told=tuple(int(1000 * x) / 1000 for x in levels.tolist()))


def _even(last: float, parts: int, count: int) -> Tensor:
    """`count` levels from 1, the way to `last` being cut into `parts`. Summed up from the first:
    the last bit decides which whole thousandth is told."""
    return torch.arange(count, dtype=torch.float64) * ((last - 1) / parts) + 1


def fixed(levels: Sequence[float]) -> Schedule:
    """A list of levels, as few-step weights have one; told as they are, 0 at the end."""
    return Schedule(levels=(*levels, 0.0), told=tuple(levels))


def euler(
    velocity: Velocity,
    noise: Tensor,
    known: Known,
    schedule: Schedule,
    /,
    *,
    patch: tuple[int, int, int] = (1, 2, 2),
) -> Iterator[Step]:
    """First order; each position moves by its start times the step, known ones not at all."""
    latents, start = known.begin(noise), known.start.to(noise.dtype)
    spans = zip(pairwise(schedule.levels), schedule.told, strict=True)
    for number, ((level, following), told) in enumerate(spans, 1):
        slope = velocity(latents, known.levels(told, patch)).to(noise.dtype)
        clean = flow.clean_of(latents, slope, level * start)
        latents = latents + (following - level) * start * slope
        yield Step(
            number=number,
            steps=schedule.steps,
            noise_level=following,
            latents=latents,
            clean=clean,
        )


def unipc(
    velocity: Velocity,
    noise: Tensor,
    known: Known,
    schedule: Schedule,
    /,
    *,
    patch: tuple[int, int, int] = (1, 2, 2),
) -> Iterator[Step]:
    """Second order, one network call a step. Known latents stay equal, bit for bit."""
    latents, progress = known.begin(noise), Progress()
    spans = zip(pairwise(schedule.levels), schedule.told, strict=True)
    for number, (span, told) in enumerate(spans, 1):
        slope = velocity(latents, known.levels(told, patch)).to(noise.dtype)
        left = schedule.steps - number
        latents, clean, progress = unipc_step(progress, latents, slope, known.start, span, left)
        yield Step(
            number=number,
            steps=schedule.steps,
            noise_level=span[1],
            latents=latents,
            clean=clean,
        )


@dataclass(frozen=True, kw_only=True)
class _Guess:
    """The clean latents that the network expected at a level `[B, 1, t, h, w]`."""

    level: Tensor
    clean: Tensor


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What UniPC remembers: the last two guesses, where the last step began, and its order."""

    past: tuple[_Guess, ...] = ()
    before: Tensor | None = None
    order: int = 1


def unipc_step(
    progress: Progress,
    latents: Tensor,
    slope: Tensor,
    start: Tensor,
    span: tuple[float, float],
    left: int,
) -> tuple[Tensor, Tensor, Progress]:
    """One step of `latents` over a span of levels, after which `left` more will come.

    Gives the latents `[B, C, t, h, w]`, the clean ones now expected, and what the next step needs.
    `slope` is the velocity, `start` `[B, 1, t, h, w]` as in `Known`.
    """
    moving = start > 0
    scale = torch.where(moving, start, 1).double()
    now = flow.clean_of(latents, slope, (span[0] * scale).to(latents.dtype))
    guess = _Guess(level=span[0] * scale, clean=torch.where(moving, now, latents))
    if progress.past:
        assert progress.before is not None, "a guess, and no step from it"
        fixed_up = _step(
            progress.before, progress.past[-progress.order :], guess.level, guess.clean
        )
        latents = torch.where(moving, fixed_up, latents)
    past = (*progress.past, guess)[-2:]
    order, before = min(len(past), left + 1), latents
    latents = torch.where(moving, _step(latents, past[-order:], span[1] * scale), latents)
    return latents, guess.clean, Progress(past=past, before=before, order=order)


def _step(x: Tensor, past: Sequence[_Guess], level: Tensor, there: Tensor | None = None) -> Tensor:
    """From the level of the last guess to another: predicted, or corrected by the clean latents
    that the network expects there."""
    last = past[-1]
    to, here = _half_log_ratio(level), _half_log_ratio(last.level)
    back = here - to  # -h
    gain = -(1 - level) * torch.expm1(back)
    toward = last.clean.double()
    if len(past) == 1:
        if there is not None:
            toward = toward + 0.5 * (there - last.clean)
        return (level / last.level * x + gain * toward).to(x.dtype)
    ratio = (_half_log_ratio(past[0].level) - here) / (to - here)
    bend = (past[0].clean - last.clean) / ratio
    if there is None:
        toward = toward + 0.5 * bend
    else:
        first, second = _weights(back, ratio)
        toward = toward + first * bend + second * (there - last.clean)
    return (level / last.level * x + gain * toward).to(x.dtype)


def _weights(back: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """ρ₁ and ρ₂: the correction is exact where the clean latents are a parabola in λ."""
    growth = torch.expm1(back)
    once = (growth / back - 1) / growth
    twice = 2 * ((growth / back - 1) / back - 0.5) / growth
    first = (twice - once) / (ratio - 1)
    return first, once - first


def _half_log_ratio(level: Tensor) -> Tensor:
    """λ: half the logarithm of the signal-to-noise ratio, log((1 − s)/s)."""
    return torch.log1p(-level) - torch.log(level)
