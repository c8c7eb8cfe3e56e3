"""Film styles: how the finished picture was shot and printed.

`plain` leaves it; `grain` is 35 mm film: grain, warmth and a vignette; `black and white` keeps the
luma; `watercolour` flattens colour and lets it bleed on paper; `step-printing` holds each
picture for a quarter of a second and lets it smear into the next (as in Wong Kar-wai's films).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from worldreel.world.scene import Scene

HOLDS_A_SECOND = 4.0
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
GRAINS = 96
"""Grains of film along the frame's height."""
SHEET = 256
"""Grains a side of the sheet of grain that frames are cut from."""


def held(style: str, times: NDArray[np.float32]) -> NDArray[np.float32]:
    """The times whose pictures are shown at `times` (seconds): step-printing repeats some."""
    if style != "step-printing":
        return times
    return (np.floor(times * HOLDS_A_SECOND + 1e-4) / HOLDS_A_SECOND).astype(np.float32)


def develop(picture: Tensor, scenes: Sequence[Scene], times: NDArray[np.float32]) -> None:
    """Applies the styles of B scenes to their pictures [B, 3, T, H, W] in 0..1, in place.

    Args:
        times: [T] seconds.
    """
    for style in sorted({s.style for s in scenes} - {"plain"}):
        mine = [i for i, s in enumerate(scenes) if s.style == style]
        index = torch.tensor(mine, device=picture.device)
        part = picture[index]
        match style:
            case "grain":
                part = _film(part, [scenes[i].seed for i in mine])
            case "black and white":
                part = ((_luma(part) - 0.5) * 1.15 + 0.5).expand_as(part)
            case "watercolour":
                part = _watercolour(part)
            case "step-printing":
                part = _smear(part, times)
        picture[index] = part.clamp(0, 1)


def _luma(picture: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, device=picture.device)
    return torch.einsum("c,bcthw->bthw", weights, picture)[:, None]


@lru_cache(maxsize=8)
def _grain(height: int, device: torch.device) -> Tensor:
    """A sheet of grain with unit variance at a frame's resolution, [S, S], periodic."""
    noise = torch.randn(1, 1, SHEET, SHEET, generator=torch.Generator().manual_seed(35))
    side = SHEET * height // GRAINS
    padded = F.pad(noise, (2, 2, 2, 2), mode="circular")
    place = (torch.arange(side) + 0.5) / side * SHEET + 2
    place = place * 2 / (SHEET + 4) - 1
    grid = torch.stack(torch.meshgrid(place, place, indexing="xy"), -1)[None]
    sheet = F.grid_sample(padded, grid, mode="bicubic", align_corners=False)[0, 0]
    return (sheet / sheet.std()).to(device)


def _film(picture: Tensor, seeds: Sequence[int]) -> Tensor:
    batch, _, frames, height, width = picture.shape
    sheet = _grain(height, picture.device)
    side = len(sheet)
    # Every frame is another piece of film: a cut from anywhere in the sheet.
    cuts = np.stack([np.random.default_rng(s).integers(side, size=(frames, 2)) for s in seeds])
    corner = torch.from_numpy(cuts).to(picture.device)[..., None]
    rows = (corner[:, :, 0] + torch.arange(height, device=sheet.device)) % side
    columns = (corner[:, :, 1] + torch.arange(width, device=sheet.device)) % side
    grain = sheet[rows[..., :, None], columns[..., None, :]]  # B T H W
    y = torch.linspace(-1, 1, height, device=sheet.device)[:, None]
    x = torch.linspace(-1, 1, width, device=sheet.device)[None]
    vignette = 1 - 0.28 * ((x**2 + y**2) / 2) ** 1.5
    warm = torch.tensor((1.06, 1.0, 0.88), device=sheet.device)[:, None, None, None]
    grained = picture * warm + 0.045 * grain[:, None]
    return (grained * 0.94 + 0.03) * vignette


def _watercolour(picture: Tensor) -> Tensor:
    batch, _, frames, height, _ = picture.shape
    pages = picture.transpose(1, 2).flatten(0, 1)
    radius = max(1, height // 64)
    size = 2 * radius + 1
    soft = pages
    for _ in range(2):  # bleeding pigment: a wide blur
        soft = F.avg_pool2d(F.pad(soft, (radius,) * 4, mode="replicate"), size, 1)
    flat = torch.round(soft * 6) / 6 * 0.5 + soft * 0.5
    edge = (pages - soft).abs().mean(1, keepdim=True)
    pale = flat * 0.78 + 0.22  # paper shines through
    return (pale - 0.9 * edge).unflatten(0, (batch, frames)).transpose(1, 2)


def _smear(picture: Tensor, times: NDArray[np.float32]) -> Tensor:
    """Each held picture keeps 40 % of the one held before it."""
    number = np.floor(times * HOLDS_A_SECOND + 1e-4).astype(int)
    first = {int(n): i for i, n in reversed(list(enumerate(number)))}
    before = [first.get(int(n) - 1, first[int(n)]) for n in number]
    return 0.6 * picture + 0.4 * picture[:, :, torch.tensor(before, device=picture.device)]
