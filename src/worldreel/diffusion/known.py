"""What the user gave: latents that stay as they are while the rest is denoised.

Known patches have noise level 0 in training and in sampling, and come back bit for bit. A
frame in mid-clip is known by the latents of the assembled clip, encoded whole: one rule, and
the causal codec then sees the same past as in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Known:
    """`latents` `[B, C, t, h, w]`, and `mask` `[B, 1, t, h, w]`: true where they are given.

    The mask must be constant over each patch, since a patch has one noise level.
    """

    latents: Tensor
    mask: Tensor

    @staticmethod
    def nothing(shape: tuple[int, ...], *, device: torch.device | str = "cpu") -> Known:
        """Text to video: nothing is known. `shape` is the latents' `[B, C, t, h, w]`."""
        batch, _, t, h, w = shape
        mask = torch.zeros(batch, 1, t, h, w, dtype=torch.bool, device=device)
        return Known(latents=torch.zeros(shape, device=device), mask=mask)

    def put_into(self, noisy: Tensor) -> Tensor:
        """The noisy latents with the known ones in their places."""
        return torch.where(self.mask, self.latents.to(noisy.dtype), noisy)

    def levels(self, noise_level: float, patch: tuple[int, int, int]) -> Tensor:
        """A noise level a patch: 0 where known. `[B, N]`, or `[B, 1]` if nothing is known."""
        batch = self.mask.shape[0]
        if not bool(self.mask.any()):
            return torch.full((batch, 1), noise_level, device=self.mask.device)
        known = self.mask[:, 0, :: patch[0], :: patch[1], :: patch[2]].flatten(1)
        return torch.where(known, 0.0, noise_level)
