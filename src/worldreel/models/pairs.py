"""Guidance in one batch: the network is asked with and without the prompt in the same call.

The numbers are those of two calls. It saves time where a call does not fill the machine: clips of
few patches, and streamed weights, which then travel once a step instead of twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worldreel.diffusion.sampler import Velocity
from worldreel.transformer.block import Pair, Words


def guided_pair(velocity: Velocity, guidance: float) -> Velocity:
    """`sampler.guided` of a velocity for batches of two: with the prompt, and without.

    The velocity gets latents `[2, C, t, h, w]`, twice the same, and levels `[2, N]` or `[2, 1]`.
    """

    def guided(noisy: Tensor, noise_level: Tensor) -> Tensor:
        assert noisy.shape[0] == 1, noisy.shape
        both = velocity(noisy.expand(2, *noisy.shape[1:]), noise_level.expand(2, -1))
        toward, away = both.chunk(2)
        return away + guidance * (toward - away)

    return guided


def paired(toward: Sequence[Words], away: Sequence[Words]) -> tuple[Words, ...]:
    """What each block read of two texts of equal length, as of a batch of two."""
    return tuple(
        Words(
            text=_both(one.text, other.text),
            image=None if one.image is None else _both(one.image, _given(other.image)),
        )
        for one, other in zip(toward, away, strict=True)
    )


def _both(one: Pair, other: Pair) -> Pair:
    return torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]])


def _given(image: Pair | None) -> Pair:
    assert image is not None, "an image with the prompt and none without"
    return image
