"""What the user gave: every latent position starts from a noise level of its own.

    start 0   known: clean from the beginning, and returned untouched, bit for bit
    start 1   unknown: made from noise
    between   a picture to be changed: noised to that level first, then denoised from there

While the sampler walks its one level from 1 to 0, a position's noise level is start · level, so
that everything arrives together. Text to video, a still to be animated, a clip to be extended,
filled, connected, looped or edited are all this, with other numbers (docs/conditioning.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldreel.diffusion import flow


@dataclass(frozen=True, kw_only=True)
class Known:
    """`latents` `[B, C, t, h, w]` (anything where unknown), `start` `[B, 1, t, h, w]` in [0, 1].

    `start` must be constant over each patch, since a patch has one noise level.
    """

    latents: Tensor
    start: Tensor

    @staticmethod
    def nothing(shape: tuple[int, ...], *, device: torch.device | str = "cpu") -> Known:
        """Text to video: nothing is known. `shape` is the latents' `[B, C, t, h, w]`."""
        batch, _, t, h, w = shape
        start = torch.ones(batch, 1, t, h, w, device=device)
        return Known(latents=torch.zeros(shape, device=device), start=start)

    def begin(self, noise: Tensor) -> Tensor:
        """Where sampling starts: each position at its own noise level."""
        start = self.start.to(noise.dtype)
        begun = flow.interpolate(self.latents.to(noise.dtype), noise, start)
        return torch.where(self.start == 1, noise, begun)  # exact, whatever the latents hold

    def levels(self, level: float, patch: tuple[int, int, int]) -> Tensor:
        """Each patch's noise level when the sampler is at `level`: `[B, N]`, or `[B, 1]` if equal
        everywhere."""
        start = self.start[:, 0, :: patch[0], :: patch[1], :: patch[2]].flatten(1)
        if bool((start == start[:, :1]).all()):
            start = start[:, :1]
        return start * level
