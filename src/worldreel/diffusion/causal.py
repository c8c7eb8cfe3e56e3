"""Block by block: weights whose frames see only those before them.

A block of a few latent frames is made from noise by a few steps (fewsteps.py) that look at all
earlier blocks; then the network sees it once more, clean, and what later blocks will look at of it
is kept (Self-Forcing, Huang et al. 2025; CausVid, Yin et al. 2025). Nothing is computed twice, and
a block is finished before the next begins.

What is kept is the caller's: `follow` takes and returns it as a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from worldreel.diffusion.fewsteps import few_steps, one_level, seeded
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step, Velocity
from worldreel.diffusion.solvers import Schedule

Kept = TypeVar("Kept")


class Follow(Protocol[Kept]):
    """Frames from number `first` on, noisy `[B, C, t, h, w]` at levels `[B, N]` or `[B, 1]`, and
    what was kept of the frames before them (None: there are none) → their velocity, and what is
    to be kept with them."""

    def __call__(
        self, noisy: Tensor, noise_level: Tensor, kept: Kept | None, first: int, /
    ) -> tuple[Tensor, Kept]: ...


def causal_blocks(
    follow: Follow[Kept],
    noise: Tensor,
    known: Known,
    schedule: Schedule,
    /,
    *,
    size: int = 3,
    patch: tuple[int, int, int] = (1, 2, 2),
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """Steps of all blocks, one after another; each has the whole clip, noise (in `clean`, zeros)
    where nothing has been made yet.

    Blocks that are known whole are only looked at; known latents stay as they are, bit for bit. The
    network was trained with one level a block, so what is known of a block that is known in part
    is shown to it at the block's level (`one_level`).
    """
    generator = generator or seeded(noise)
    frames = noise.shape[2]
    blocks = [slice(i, min(i + size, frames)) for i in range(0, frames, size)]
    parts = [Known(latents=known.latents[:, :, b], start=known.start[:, :, b]) for b in blocks]
    unknown = [bool((part.start > 0).any()) for part in parts]
    steps, done = max(1, sum(unknown) * schedule.steps), 0
    latents = torch.where(known.start == 0, known.latents.to(noise.dtype), noise)
    clean = torch.where(known.start == 0, latents, 0)
    kept: Kept | None = None
    for block, part, make in zip(blocks, parts, unknown, strict=True):
        if make:
            velocity = one_level(_from(follow, kept, block.start), part, generator)
            for step in few_steps(
                velocity, noise[:, :, block], part, schedule, patch=patch, generator=generator
            ):
                done += 1
                latents, clean = _put(latents, block, step.latents), _put(clean, block, step.clean)
                yield Step(
                    number=done,
                    steps=steps,
                    noise_level=step.noise_level if block is blocks[-1] else 1.0,
                    latents=latents,
                    clean=clean,
                )
        if block is not blocks[-1]:
            still = torch.zeros(noise.shape[0], 1, device=noise.device)
            _, kept = follow(latents[:, :, block], still, kept, block.start)
    if not any(unknown):
        yield Step(number=1, steps=1, noise_level=0.0, latents=latents, clean=clean)


def _from(follow: Follow[Kept], kept: Kept | None, first: int) -> Velocity:
    return lambda noisy, noise_level: follow(noisy, noise_level, kept, first)[0]


def _put(whole: Tensor, block: slice, part: Tensor) -> Tensor:
    """The clip with other frames in a block's place; clips handed out before stay as they were."""
    return torch.cat([whole[:, :, : block.start], part, whole[:, :, block.stop :]], 2)
