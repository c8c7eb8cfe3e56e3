"""Film styles: how the finished picture was shot and printed.

`plain` leaves it; `grain` is 35 mm film: grain, warmth and a vignette; `black and white` keeps the
luma; `watercolour` flattens colour and lets it bleed on paper; `step-printing` holds each
picture for a quarter of a second and lets it smear into the next (as in Wong Kar-wai's films).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.world.scene import Scene

HOLDS_A_SECOND = 4.0
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def held(style: str, times: np.ndarray) -> np.ndarray:
    """The times whose pictures are shown at `times` (seconds): step-printing repeats some."""
    if style != "step-printing":
        return times
    return (np.floor(times * HOLDS_A_SECOND + 1e-4) / HOLDS_A_SECOND).astype(np.float32)


def develop(picture: Tensor, scene: Scene, times: Tensor) -> Tensor:
    """Applies the scene's style to its picture [3, T, H, W] in [0, 1]."""
    match scene.style:
        case "grain":
            return _film(picture, scene.seed)
        case "black and white":
            luma = _luma(picture)
            return ((luma - 0.5) * 1.15 + 0.5).expand_as(picture)
        case "watercolour":
            return _watercolour(picture)
        case "step-printing":
            return _smear(picture, times)
        case _:
            return picture


def _luma(picture: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, device=picture.device)
    return torch.einsum("c,cthw->thw", weights, picture)[None]


def _film(picture: Tensor, seed: int) -> Tensor:
    _, frames, height, width = picture.shape
    generator = torch.Generator().manual_seed(seed)
    # Grain is a property of the film, not of the pixel: about 1/128 of the frame's height.
    grain = torch.randn(frames, 1, max(height // 2, 32), max(width // 2, 32), generator=generator)
    grain = F.interpolate(grain, (height, width), mode="bilinear", align_corners=False)
    y = torch.linspace(-1, 1, height, device=picture.device)[:, None]
    x = torch.linspace(-1, 1, width, device=picture.device)[None]
    vignette = 1 - 0.28 * ((x**2 + y**2) / 2) ** 1.5
    warm = torch.tensor((1.06, 1.0, 0.88), device=picture.device)[:, None, None, None]
    grained = picture * warm + 0.045 * grain.to(picture.device).transpose(0, 1)
    return (grained * 0.94 + 0.03) * vignette


def _watercolour(picture: Tensor) -> Tensor:
    frames = picture.transpose(0, 1)
    height = frames.shape[-2]
    radius = max(1, height // 64)
    size = 2 * radius + 1
    soft = frames
    for _ in range(2):  # bleeding pigment: a wide blur
        soft = F.avg_pool2d(F.pad(soft, (radius,) * 4, mode="replicate"), size, 1)
    flat = torch.round(soft * 6) / 6 * 0.5 + soft * 0.5
    edge = (frames - soft).abs().mean(1, keepdim=True)
    pale = flat * 0.78 + 0.22  # paper shines through
    return (pale - 0.9 * edge).transpose(0, 1)


def _smear(picture: Tensor, times: Tensor) -> Tensor:
    """Each held picture keeps 40 % of the one held before it."""
    held_at = torch.floor(times * HOLDS_A_SECOND + 1e-4).long()
    first = {int(h): i for i, h in reversed(list(enumerate(held_at.tolist())))}
    before = torch.tensor([first.get(int(h) - 1, first[int(h)]) for h in held_at])
    return 0.6 * picture + 0.4 * picture[:, before.to(picture.device)]
