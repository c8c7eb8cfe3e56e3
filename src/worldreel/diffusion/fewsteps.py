"""Weights that were distilled to a few fixed noise levels.

Such a network says at once which clean latents it expects. They are noised again, with fresh noise,
to the next level of a list, and it is asked again; the last answer is the clip:

    clean  = x − s·velocity(x, s)
    x'     = (1 − s')·clean + s'·fresh noise

The lists are those that the weights were trained for, so there is nothing to choose but how many
of them are taken:

    DMD            (Yin et al. 2024, as FastVideo's FastWan does it) three levels
    self-forcing   (Huang et al. 2025) four, shifted by 5; block by block, see causal.py
    rCM            (Zheng et al. 2025) up to four angles of TrigFlow (Lu & Song 2024): there latents
                   are cos(a)·clean + sin(a)·noise, which divided by cos(a) + sin(a) are ours, at
                   level tan(a) / (1 + tan(a)); the first is a little below 1
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from worldreel.diffusion import flow
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step, Velocity
from worldreel.diffusion.solvers import Schedule, fixed
from worldreel.errors import RequestError, message

DMD = (1.0, 0.757, 0.522)
DMD_SHIFT = 8.0
SELF_FORCING = (1.0, 0.75, 0.5, 0.25)
SELF_FORCING_SHIFT = 5.0
RCM = (1.5, 1.4, 1.0)
"""Angles after the first, which is the arc tangent of the largest noise-to-signal ratio."""


def dmd_schedule(steps: int = 3) -> Schedule:
    """FastWan's levels. The network is told whole thousandths; the latents lie at the nearest of
    the thousand shifted levels that it was trained at."""
    _check(steps, len(DMD))
    even = torch.arange(1000, 0, -1, dtype=torch.float32) / 1000
    trained = flow.shift(even, DMD_SHIFT)
    told = DMD[:steps]
    levels = [float(trained[(trained - level).abs().argmin()]) for level in told]
    return Schedule(levels=(*levels, 0.0), told=told)


def self_forcing_schedule(steps: int = 4) -> Schedule:
    """Self-Forcing's levels."""
    _check(steps, len(SELF_FORCING))
    even = torch.tensor(SELF_FORCING[:steps], dtype=torch.float64)
    return fixed(flow.shift(even, SELF_FORCING_SHIFT).tolist())


def rcm_schedule(steps: int = 4, *, largest: float = 80.0) -> Schedule:
    """rCM's levels. `largest` is the noise-to-signal ratio that sampling starts from (80; 200 for
    the image-to-video weights). The network is told thousandths in bf16, as in its training."""
    _check(steps, len(RCM) + 1)
    ratios = [largest, *(math.tan(angle) for angle in RCM[: steps - 1])]
    levels = torch.tensor([ratio / (1 + ratio) for ratio in ratios], dtype=torch.float64)
    told = (1000 * levels).bfloat16().double() / 1000
    return Schedule(levels=(*levels.tolist(), 0.0), told=tuple(told.tolist()))


def _check(steps: int, most: int) -> None:
    if not 1 <= steps <= most:
        needed = f"these weights were trained for 1 to {most}"
        nearest = min(max(steps, 1), most)
        raise RequestError(message(f"{steps} steps were asked for", needed, nearest=nearest))


def few_steps(
    velocity: Velocity,
    noise: Tensor,
    known: Known,
    schedule: Schedule,
    /,
    *,
    patch: tuple[int, int, int] = (1, 2, 2),
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """See the module's docstring. Each position is at its start times the level, so known latents
    stay as they are, bit for bit.

    Fresh noise comes from `generator`, or else from one that `noise` seeds: the same noise in, the
    same clip out.
    """
    generator = generator or seeded(noise)
    start, latents = known.start.to(noise.dtype), _begin(known, noise, schedule.levels[0])
    spans = zip(pairwise(schedule.levels), schedule.told, strict=True)
    for number, ((level, following), told) in enumerate(spans, 1):
        slope = velocity(latents, known.levels(told, patch)).to(noise.dtype)
        latents = clean = flow.clean_of(latents, slope, level * start)
        if following > 0:
            latents = flow.interpolate(clean, fresh(noise, generator), following * start)
        yield Step(
            number=number,
            steps=schedule.steps,
            noise_level=following,
            latents=latents,
            clean=clean,
        )


def _begin(known: Known, noise: Tensor, level: float) -> Tensor:
    """Each position at its start times the first level; of what is unknown, nothing but noise."""
    if level == 1:
        return known.begin(noise)
    latents = torch.where(known.start == 1, 0, known.latents)
    return Known(latents=latents, start=level * known.start).begin(noise)


def seeded(noise: Tensor) -> torch.Generator:
    """A generator on the CPU whose seed is what the first numbers of `noise` hash to."""
    numbers = noise.flatten()[:64].double().cpu().numpy().tobytes()
    seed = int.from_bytes(hashlib.sha256(numbers).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(seed)


def fresh(noise: Tensor, generator: torch.Generator) -> Tensor:
    """Other noise, of the same shape, kind and place."""
    drawn = torch.randn(noise.shape, generator=generator, device=generator.device)
    return drawn.to(noise.device, noise.dtype)


def one_level(velocity: Velocity, known: Known, generator: torch.Generator) -> Velocity:
    """A velocity for levels a patch, of one that was trained with the same level everywhere.

    Positions at a level l below the top one, s, are noised up to it: of what l left of the signal,
    (1 − s)/(1 − l) remains, and as much noise is added as is missing. What the network then expects
    as clean is where the velocity returned points, from l. Lost is that it sees what is known only
    as well as the noise at level s lets it.
    """
    share = known.start / known.start.amax().clamp_min(1e-12)

    def lifted(noisy: Tensor, noise_level: Tensor) -> Tensor:
        if noise_level.shape[1] == 1:
            return velocity(noisy, noise_level)
        top = noise_level.amax()
        level = (share * top).to(noisy.dtype)
        below, top_here = level < top, top.to(noisy.dtype)
        kept = torch.where(below, (1 - top_here) / (1 - level).clamp_min(1e-6), 1)
        missing = torch.where(below, top_here**2 - (kept * level) ** 2, 0).clamp_min(0).sqrt()
        noisier = kept * noisy + missing * fresh(noisy, generator)
        whole = top.expand(noise_level.shape[0], 1).to(noise_level.dtype)
        clean = flow.clean_of(noisier, velocity(noisier, whole).to(noisy.dtype), top_here)
        return torch.where(level > 0, (noisy - clean) / level.clamp_min(1e-6), 0)

    return lifted
