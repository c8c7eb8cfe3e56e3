"""Self-Forcing's network as `diffusion.causal.causal_blocks` asks for it.

What is kept of earlier blocks is the transformer's `Cache`; what it reads of the text is computed
once.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from worldreel.diffusion.causal import Follow, causal_blocks
from worldreel.diffusion.sampler import Step
from worldreel.models.model import View
from worldreel.models.wan.kinds import Kind, few_schedule
from worldreel.transformer.model import Cache, Transformer

SIZE = 3
"""Latent frames that make a block."""


def follower(
    transformer: Transformer,
    states: Tensor,
    mask: Tensor | None,
    *,
    times: Tensor,
    shots: Tensor | None = None,
) -> Follow[Cache]:
    """The network with a text: states and mask as `Transformer.forward` takes them, `times` and
    `shots` `[t]` of the whole clip."""
    states = states.to(transformer.enter.weight.dtype)
    words = transformer.words(states)

    def follow(
        noisy: Tensor, noise_level: Tensor, kept: Cache | None, first: int
    ) -> tuple[Tensor, Cache]:
        here = slice(first, first + noisy.shape[2])
        return transformer.follow(
            noisy, noise_level, states, mask, cache=kept, times=times[here],
            shots=None if shots is None else shots[here], words=words,
        )  # fmt: skip

    return follow


def denoise_causal(
    transformer: Transformer,
    view: View,
    states: Tensor,
    mask: Tensor | None,
    noise: Tensor,
    *,
    steps: int,
) -> Iterator[Step]:
    """Noise `[1, C, t, h, w]` → the latents of a view, block by block.

    `states` `[1, L, D]`, or `[1, S, L, D]` with a text for each of the view's shots.
    """
    device = noise.device
    several = states.ndim == 4 and states.shape[1] > 1
    follow = follower(
        transformer, states, mask,
        times=torch.tensor(view.times, device=device, dtype=torch.float64),
        shots=torch.tensor(view.shots, device=device) if several else None,
    )  # fmt: skip
    schedule = few_schedule(Kind.SELF_FORCING, steps)
    yield from causal_blocks(
        follow, noise, view.known, schedule, size=SIZE, patch=transformer.config.patch
    )
