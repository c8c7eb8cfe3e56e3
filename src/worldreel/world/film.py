"""Film styles: how the finished picture was shot and printed.

`plain` leaves it; `grain` is 35 mm film: grain, warmth and a vignette; `black and white` keeps the
luma; `watercolour` is pools of pigment on paper; `step-printing` holds each
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
    return np.asarray(np.floor(times * HOLDS_A_SECOND + 1e-4) / HOLDS_A_SECOND, np.float32)


def develop(picture: Tensor, scenes: Sequence[Scene], times: NDArray[np.float32]) -> None:
    """Applies the styles of B scenes to their pictures [B, 3, T, H, W] in 0..1, in place.

    Args:
        times: [T] seconds.
    """
    # One clip at a time stays in a CPU's cache; a GPU wants all at once.
    size = 1 if picture.device.type == "cpu" else len(scenes)
    for style in sorted({s.style for s in scenes} - {"plain"}):
        mine = [i for i, s in enumerate(scenes) if s.style == style]
        for some in (mine[i : i + size] for i in range(0, len(mine), size)):
            index = torch.tensor(some, device=picture.device)
            seeds = [scenes[i].seed for i in some]
            picture[index] = _developed(style, picture[index], seeds, times).clamp(0, 1)


def _developed(
    style: str, part: Tensor, seeds: Sequence[int], times: NDArray[np.float32]
) -> Tensor:
    match style:
        case "grain":
            return _film(part, seeds)
        case "black and white":
            return ((_luma(part) - 0.5) * 1.15 + 0.5).expand_as(part)
        case "watercolour":
            return _watercolour(part)
        case "step-printing":
            return _smear(part, times)
    raise AssertionError(f"{style!r} is no film style")


def _luma(picture: Tensor) -> Tensor:
    red, green, blue = picture.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


@lru_cache(maxsize=8)
def _grain(height: int, device: torch.device) -> Tensor:
    """A sheet of grain of unit variance at a frame's resolution, [S, S], periodic."""
    noise = torch.randn(1, 1, SHEET, SHEET, generator=torch.Generator().manual_seed(35))
    side = SHEET * height // GRAINS
    padded = F.pad(noise, (2, 2, 2, 2), mode="circular")
    place = (torch.arange(side) + 0.5) / side * SHEET + 2
    place = place * 2 / (SHEET + 4) - 1
    grid = torch.stack(torch.meshgrid(place, place, indexing="xy"), -1)[None]
    sheet = F.grid_sample(padded, grid, mode="bicubic", align_corners=False)[0, 0]
    return (sheet / sheet.std()).to(device)


def _film(picture: Tensor, seeds: Sequence[int]) -> Tensor:
    frames, height, width = picture.shape[2:]
    sheet = _grain(height, picture.device)
    side = len(sheet)
    # Every frame is another piece of film: a cut from anywhere in the sheet.
    cuts = np.stack([np.random.default_rng(s).integers(side, size=(frames, 2)) for s in seeds])
    corner = torch.from_numpy(cuts).to(picture.device)[..., None]
    rows = (corner[:, :, 0] + torch.arange(height, device=sheet.device)) % side
    columns = (corner[:, :, 1] + torch.arange(width, device=sheet.device)) % side
    grain = sheet[rows[..., :, None], columns[..., None, :]]  # B T H W
    warm = torch.tensor((1.06, 1.0, 0.88), device=sheet.device)[:, None, None, None]
    # Grain shows most in the middle tones.
    visible = 0.012 + 0.1 * (picture * (1 - picture)).clamp_min(0)
    grained = picture * warm + visible * grain[:, None]
    return (grained * 0.94 + 0.03) * _vignette(height, width, sheet.device)


def _vignette(height: int, width: int, device: torch.device) -> Tensor:
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)[None]
    return 1 - 0.28 * ((x**2 + y**2) / 2) ** 1.5


def _watercolour(picture: Tensor) -> Tensor:
    """Pools of even pigment with crisp rims, on paper that shows through."""
    batch, _, frames, height, width = picture.shape
    pages = picture.transpose(1, 2).flatten(0, 1)
    radius = max(1, round(height / 56))
    pools = _kuwahara(_kuwahara(pages, radius), radius)
    soft = _mean(pools, radius)
    # Pigment gathers where a wash ends, and thins out within.
    rim = (soft - pools).mean(1, keepdim=True).clamp(-0.08, 0.05)
    washed = pools - 0.8 * rim.abs()
    luma = washed.mean(1, keepdim=True)
    vivid = luma + 1.2 * (washed - luma)
    grain = _paper(height, width, picture.device)
    painted = 0.10 + 0.9 * vivid + 0.05 * grain * (1.1 - vivid)
    sheet = (0.975 + 0.012 * grain).expand(3, -1, -1) * painted.new_tensor((1.0, 0.99, 0.96))[
        :, None, None
    ]
    edge = _brushed_edge(height, width, picture.device)
    page = sheet + (painted - sheet) * edge
    clip: Tensor = page.unflatten(0, (batch, frames)).transpose(1, 2)
    return clip


def _mean(pages: Tensor, radius: int) -> Tensor:
    """Mean over squares of 2·radius + 1 pixels."""
    padded = F.pad(pages, (radius,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, 1)


def _kuwahara(pages: Tensor, radius: int) -> Tensor:
    """Each pixel takes the mean of the calmest of the four squares of radius + 1 pixels that meet
    in it, so that areas turn flat while edges stay sharp (Kuwahara et al. 1976)."""
    size, height, width = radius + 1, *pages.shape[-2:]
    padded = F.pad(pages, (radius,) * 4, mode="replicate")
    mean = F.avg_pool2d(padded, size, 1)
    spread = (F.avg_pool2d(padded**2, size, 1) - mean**2).sum(1, keepdim=True)
    best, least = mean[..., :height, :width], spread[..., :height, :width]
    for down, across in ((0, radius), (radius, 0), (radius, radius)):
        rows, columns = slice(down, down + height), slice(across, across + width)
        calmer = spread[..., rows, columns] < least
        best = torch.where(calmer, mean[..., rows, columns], best)
        least = torch.where(calmer, spread[..., rows, columns], least)
    return best


@lru_cache(maxsize=8)
def _paper(height: int, width: int, device: torch.device) -> Tensor:
    """The tooth of rough paper, [H, W], about zero and one."""
    sheet = _grain(height, torch.device("cpu"))
    repeat = sheet.repeat(1, 1 + width // len(sheet))[:height, :width]
    rough = _mean(repeat[None, None], max(1, height // 128))[0, 0]
    return (rough / rough.std()).to(device)


@lru_cache(maxsize=8)
def _brushed_edge(height: int, width: int, device: torch.device) -> Tensor:
    """1 where there is paint, 0 at the frame's rim, with the wobble of a hand between, [H, W]."""
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / height
    wide = width / height
    y, x = torch.meshgrid(y, x, indexing="ij")
    inset = torch.minimum(torch.minimum(y, 1 - y), torch.minimum(x, wide - x))
    wobble = torch.sin(19 * x + 3 * torch.sin(7 * y)) + torch.sin(23 * y + 2 * torch.sin(9 * x))
    edge: Tensor = ((inset - 0.016 - 0.005 * wobble) / 0.012).clamp(0, 1).to(device)
    return edge


def _smear(picture: Tensor, times: NDArray[np.float32]) -> Tensor:
    """Each held picture keeps 40 % of the one held before it."""
    number = np.floor(times * HOLDS_A_SECOND + 1e-4).astype(int)
    first = {int(n): i for i, n in reversed(list(enumerate(number)))}
    before = [first.get(int(n) - 1, first[int(n)]) for n in number]
    return 0.6 * picture + 0.4 * picture[:, :, torch.tensor(before, device=picture.device)]
