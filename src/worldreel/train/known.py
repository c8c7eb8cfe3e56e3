"""What is known in training: the same idea as diffusion/known.py, drawn at random.

Most clips know nothing (text to video). Some know their first frames, their last, or any
frames; and a few have a noise level of their own for every frame (Diffusion Forcing, Chen et
al. 2024), which teaches the transformer to trust clean frames and doubt noisy ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worldreel.diffusion import flow


def draw_known(
    shape: tuple[int, int, int, int],
    *,
    share: float,
    shift: float,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Noise levels and loss weights, both `[B, 1, t, h, w]`; weight 0 and level 0 where known.

    Args:
        shape: (B, t, h, w) of the latents.
        share: of clips that know some of their frames.
        shift: of the noise levels (see `flow.shift`).
    """
    batch, t, h, w = shape
    level = flow.draw_levels((batch, 1), amount=shift).expand(-1, t).clone()
    known = torch.zeros(batch, t, dtype=torch.bool)
    for clip in range(batch):
        if t < 2 or float(torch.rand(())) >= share:
            continue
        choice = float(torch.rand(()))
        some = int(torch.randint(1, t, ()))
        if choice < 0.45:
            known[clip, 0] = True
        elif choice < 0.6:
            known[clip, :some] = True
        elif choice < 0.7:
            known[clip, -some:] = True
        elif choice < 0.8:
            known[clip, torch.randperm(t)[:some]] = True
        else:
            level[clip] = flow.draw_levels((t,), amount=shift)
    level = torch.where(known, 0.0, level)
    weight = (~known).float()
    wide = (slice(None), None, slice(None), None, None)
    return (
        level[wide].expand(-1, -1, -1, h, w).to(device),
        weight[wide].expand(-1, -1, -1, h, w).to(device),
    )
