"""Between frames as they are shown, uint8 `[T, H, W, 3]`, and as networks take them, float32
`[3, T, H, W]` in [-1, 1]: said once."""

from __future__ import annotations

import torch
from torch import Tensor


def signed(frames: Tensor) -> Tensor:
    """uint8 `[T, H, W, 3]` → float32 `[3, T, H, W]` in [-1, 1]."""
    return frames.permute(3, 0, 1, 2).float().div_(127.5).sub_(1)


def shown(signed: Tensor) -> Tensor:
    """Floats `[3, T, H, W]` in [-1, 1] (more is clipped) → uint8 `[T, H, W, 3]`."""
    pixels = signed.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 3, 0)
