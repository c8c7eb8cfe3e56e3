"""Diffusion forcing: every latent frame has a noise level of its own (Chen et al. 2024).

Frames go from noise to clean in blocks, each a `lag` of steps behind the one before (SkyReels-V2,
Chen et al. 2025): a wave runs through the clip, and later frames are made while earlier ones are
nearly clean. With no lag all frames go at once. What is known is simply clean from the beginning,
so a long video is windows that begin with the last frames of the one before.

    the step that each      block 0   1  2  3  4  5  –  –  –  –
    call takes, for         block 1   –  –  1  2  3  4  5  –  –
    5 steps and lag 2       block 2   –  –  –  –  1  2  3  4  5

Every block is solved by UniPC (solvers.py), at its own pace. The published code corrects a frame's
second step from where the first ended, because it writes over what the solver remembers; here it is
corrected from where the first began, as UniPC means it (0.3 % of the latents' size at 30 steps).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from worldreel.diffusion.fewsteps import fresh, seeded
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step, Velocity
from worldreel.diffusion.solvers import Progress, Schedule, unipc_step

WAITING = 0.999
"""What the network is told of frames whose turn has not come."""


def wave(ready: Sequence[bool], steps: int, lag: int) -> list[tuple[int, ...]]:
    """Which step each block takes at each call: 0 not yet its first, `steps` + 1 none any more.

    `ready` says which blocks are known. The first block, and any whose predecessor is finished,
    moves on at every call; the others follow their predecessor at a distance of `lag`.
    """
    row = [steps + 1 if known else 0 for known in ready]
    rows: list[tuple[int, ...]] = []
    while not all(place >= steps for place in row):
        before, row = row, []
        for i, place in enumerate(before):
            free = i == 0 or before[i - 1] >= steps
            row.append(min(max(place + 1 if free else row[i - 1] - lag, 0), steps + 1))
        row = [steps + 1 if known else place for known, place in zip(ready, row, strict=True)]
        rows.append(tuple(row))
    return rows


def diffusion_forcing(
    velocity: Velocity,
    noise: Tensor,
    known: Known,
    schedule: Schedule,
    /,
    *,
    lag: int = 0,
    block: int = 1,
    haze: float = 0.0,
    patch: tuple[int, int, int] = (1, 2, 2),
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """One call of the network a step; known latents stay as they are, bit for bit.

    Args:
        velocity: of a network that takes levels a frame.
        lag: steps that a block is behind the one before it; 0: all at once.
        block: latent frames that go together.
        haze: level of noise that known frames are shown with (0.02 smooths where a window goes on
            from another; what is returned of them is untouched), fresh at every call.
    """
    generator = generator or seeded(noise)
    frames, steps = noise.shape[2], schedule.steps
    blocks = [slice(i, min(i + block, frames)) for i in range(0, frames, block)]
    given = (known.start == 0).flatten(3).all(3).all(0)[0]  # t
    rows = wave([bool(given[b].all()) for b in blocks], steps, lag)
    latents = known.begin(noise)
    clean = torch.where(known.start == 0, latents, 0)
    paces = [Progress()] * len(blocks)
    for number, (before, row) in enumerate(zip([(0,) * len(blocks), *rows], rows, strict=False), 1):
        told = torch.tensor([_told(schedule, place) for place in row], dtype=torch.float64)
        told = told.repeat_interleave(block)[:frames].to(noise.device)
        shown, levels = latents, known.start * told[:, None, None].float()
        if haze and bool(given.any()):
            hazy = (1 - haze) * latents + haze * fresh(latents, generator)
            shown = torch.where(given[:, None, None], hazy, latents)
            levels = torch.where(given[:, None, None], haze, levels)
        slope = velocity(shown, _by_patch(levels, patch)).to(noise.dtype)
        made, expected = list(latents.split(block, 2)), list(clean.split(block, 2))
        for i, place in enumerate(row):
            if place == before[i] or not 1 <= place <= steps:
                continue
            span = schedule.levels[place - 1], schedule.levels[place]
            made[i], expected[i], paces[i] = unipc_step(
                paces[i], made[i], slope[:, :, blocks[i]], known.start[:, :, blocks[i]], span,
                steps - place,
            )  # fmt: skip
        latents, clean = torch.cat(made, 2), torch.cat(expected, 2)
        highest = max((schedule.levels[p] for p in row if p <= steps), default=0.0)
        yield Step(
            number=number, steps=len(rows), noise_level=highest, latents=latents, clean=clean
        )
    if not rows:
        yield Step(number=1, steps=1, noise_level=0.0, latents=latents, clean=clean)


def _told(schedule: Schedule, place: int) -> float:
    """What the network is told of a block at its step number `place`."""
    if place == 0:
        return WAITING
    return schedule.told[place - 1] if place <= schedule.steps else 0.0


def _by_patch(levels: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Levels `[B, 1, t, h, w]` → `[B, N]`, or `[B, 1]` if equal everywhere."""
    each = levels[:, 0, :: patch[0], :: patch[1], :: patch[2]].flatten(1)
    return each[:, :1] if bool((each == each[:, :1]).all()) else each
