"""Guidance in one batch: the network is asked with and without the prompt in the same call.

The numbers are those of two calls. It saves time where a call does not fill the machine: clips of
few patches, and streamed weights, which then travel once a step instead of twice.
"""

from __future__ import annotations

from torch import Tensor

from worldreel.diffusion.sampler import Velocity


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
