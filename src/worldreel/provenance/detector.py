"""How much a video looks as if our embedded model had made it. Advice, never a proof.

A few windows of 13 frames (the model's latents come in fours after the first) are laid at the
native size nearest in shape and measured: how strong waves of each length are, in space (8 × 8
cosine transform, luma and colour) and from frame to frame; whether edges keep to a grid of 16, as
those of a decoder do, and changes to every fourth frame; what is left when the smooth part is taken
away. The numbers x of a window are compared with those of clips that were measured before,

    odds = a · (Σᵢ wᵢ · exp(-γ · |(x - m) / d - zᵢ|²) - b)        score = 1 / (1 + exp(-odds))

(kernel ridge regression: w from one linear system). What it was fitted to, and with what result, is
in docs/safety.md; of other models' videos it has seen none. `python -m worldreel.train.detector`
fits it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from worldreel.video.video import Video

__all__ = [
    "LIKELY",
    "UNLIKELY",
    "Head",
    "head",
    "kernel",
    "likeness",
    "measured",
    "normal",
    "windows",
]

WINDOW = 13
"""Frames that are measured together."""
_NATIVES = ((128, 128), (160, 96), (96, 160))
_WINDOWS, _FPS = 3, 12.0
_FLAT = 2.0
LIKELY, UNLIKELY = 0.5, 0.05
"""Scores from which on a video is called ours, and below which not; between, nothing is said. The
scores are such that one of a hundred foreign clips, judged by the others, is at 0.5."""

Floats = NDArray[np.float64]


def windows(frames: Tensor) -> list[Tensor]:
    """Up to three windows `[n ≤ 13, 3, h, w]` (levels) of frames uint8 `[T, H, W, 3]` at 12 frames
    a second, at a native size; those that show nothing are left out."""
    last = max(0, len(frames) - WINDOW)
    starts = sorted({round(last * i / (_WINDOWS - 1)) // 4 * 4 for i in range(_WINDOWS)})
    found = []
    for start in starts:
        piece = frames[start : start + WINDOW].permute(0, 3, 1, 2).float()
        shape = piece.shape[3] / piece.shape[2]
        size = min(_NATIVES, key=lambda wh: abs(math.log(wh[0] / wh[1] / shape)))[::-1]
        if tuple(piece.shape[2:]) != size:
            piece = F.interpolate(
                piece, size=size, mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 255)
        if float(piece.mean(1).std()) >= _FLAT:
            found.append(piece)
    return found


@torch.no_grad()
def measured(window: Tensor) -> Floats:
    """The numbers `[N]` of one window `[n, 3, h, w]` of levels 0 … 255."""
    weights = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    planes = torch.einsum("cd,ndhw->nchw", weights, window)
    luma = planes[:, :1]
    parts = [*_spectra(planes), *_grid(luma), *_changes(luma), *_rest(planes), *_tones(planes)]
    return torch.cat([p.double().reshape(-1) for p in parts]).numpy()


@cache
def _cosines() -> Tensor:
    """The waves of an 8 × 8 cosine transform `[64, 1, 8, 8]`."""
    places = (torch.arange(8) + 0.5) / 8
    rows = torch.stack([torch.cos(math.pi * k * places) for k in range(8)])
    rows = rows / rows.norm(dim=1, keepdim=True)
    return torch.einsum("ai,bj->abij", rows, rows).reshape(64, 1, 8, 8)


@cache
def _bands() -> Tensor:
    """Which of the 64 waves are in each of 5 bands of length, `[5, 64]`, rows that sum to 1."""
    down, across = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    length = (down**2 + across**2).sqrt().reshape(-1)
    edges = (0.5, 1.5, 2.9, 4.5, 6.5, 99.0)
    rows = torch.stack([((length >= a) & (length < b)).float() for a, b in pairwise(edges)])
    return rows / rows.sum(1, keepdim=True)


def _log(power: Tensor) -> Tensor:
    return (power + 0.05).log()


def _power(plane: Tensor) -> Tensor:
    """The mean power of each of the 64 waves in planes `[n, 1, h, w]`."""
    return F.conv2d(plane, _cosines(), stride=8).square().mean((0, 2, 3))


def _spectra(planes: Tensor) -> list[Tensor]:
    luma = F.conv2d(planes[:, :1], _cosines(), stride=8)
    busy = luma[:, 1:].square().sum(1).sqrt().reshape(-1)
    levels = torch.quantile(busy, torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9]))
    colour = [_log(_bands() @ _power(planes[:, c : c + 1])) for c in (1, 2)]
    return [_log(luma.square().mean((0, 2, 3)))[1:], *colour, (levels + 0.5).log()]


def _grid(luma: Tensor) -> list[Tensor]:
    """How steps between neighbours depend on their place in a grid of 16, down and across."""
    made = []
    for plane in (luma, luma.transpose(2, 3)):
        step = (plane[..., 1:] - plane[..., :-1]).abs().mean((0, 1, 2))
        step = F.pad(step, (1, 0), value=float(step.mean()))
        by_place = step.reshape(-1, 16).mean(0)
        made.append((by_place + 0.02).log() - (by_place.mean() + 0.02).log())
    return made


def _changes(luma: Tensor) -> list[Tensor]:
    """From frame to frame: in each band, of first and second differences, and by frame mod 4."""
    if len(luma) < 3:
        return [torch.zeros(15)]
    first, second = luma[1:] - luma[:-1], luma[2:] - 2 * luma[1:-1] + luma[:-2]
    still = torch.ones(1)  # a clip that can be told to move
    size = first.abs().mean((1, 2, 3))
    phases = torch.stack([size[i::4].mean() if len(size) > i else size.mean() for i in range(4)])
    phases = (phases + 0.02).log() - (phases.mean() + 0.02).log()
    return [
        _log(_bands() @ _power(first)),
        _log(_bands() @ _power(second)),
        phases,
        still,
    ]


def _rest(planes: Tensor) -> list[Tensor]:
    """What a 3 × 3 mean leaves of each plane: its size, its tails and how it repeats."""
    rest = planes - F.avg_pool2d(F.pad(planes, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    flat = rest.transpose(0, 1).flatten(1)
    power = flat.square().mean(1)
    tails = (flat**4).mean(1) / (power**2 + 1e-4)
    luma = rest[:, 0]
    lags = []
    for lag in (1, 2, 3, 4, 8, 16):
        for both in (luma[..., lag:] * luma[..., :-lag], luma[:, lag:] * luma[:, :-lag]):
            lags.append(both.mean() / (power[0] + 1e-3))
    pairs = [
        (flat[a] * flat[b]).mean() / ((power[a] * power[b]).sqrt() + 1e-3)
        for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    return [_log(power), (tails + 1).log(), torch.stack(lags), torch.stack(pairs)]


def _tones(planes: Tensor) -> list[Tensor]:
    flat = planes.transpose(0, 1).flatten(1)
    return [flat.mean(1) / 64, (flat.std(1) + 1).log(), (flat[1:].abs().mean(1) + 0.5).log()]


def normal(numbers: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Numbers of mean 0 and size 1, none beyond 6."""
    return np.asarray(((numbers - mean) / deviation).clip(-6, 6))


def kernel(one: Floats, other: Floats, width: float) -> Floats:
    """exp(-γ · |x - z|²) of every x of `one` [n, N] and z of `other` [m, N]."""
    apart = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.asarray(np.exp(-width * apart.clip(0)))


class Head:
    """What the numbers are compared with, as arrays: `mean`, `deviation` [N] of the numbers;
    `points` [n, N] and their `weights` [n]; `width` γ; `scale` a and `offset` b."""

    def __init__(self, values: Mapping[str, NDArray[Any]]) -> None:
        self.values = {name: np.asarray(v, np.float64) for name, v in values.items()}

    def odds(self, numbers: Floats) -> Floats:
        """Log-odds `[n]` of the numbers `[n, N]` of windows."""
        v = self.values
        near = kernel(normal(numbers, v["mean"], v["deviation"]), v["points"], float(v["width"]))
        odds: Floats = v["scale"] * (near @ v["weights"] - v["offset"])
        return odds

    def score(self, frames: Tensor) -> float | None:
        """How much frames uint8 `[T, H, W, 3]` at 12 a second look like ours, 0 … 1; None if they
        show nothing."""
        numbers = [measured(window) for window in windows(frames)]
        if not numbers:
            return None
        odds = float(np.median(self.odds(np.stack(numbers))))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))


@cache
def head() -> Head:
    """What ships."""
    file = files("worldreel.provenance") / "data" / "detector.npz"
    with file.open("rb") as stream:
        return Head(dict(np.load(stream, allow_pickle=False)))


def likeness(video: Video) -> float | None:
    """How much a video looks as if our embedded model had made it, 0 … 1 (`LIKELY`, `UNLIKELY`);
    None if it shows too little."""
    if video.fps > _FPS * 1.01:
        video = video.resample(_FPS)
    count = len(video)
    if count > 10 * WINDOW:  # of a long video three windows are enough
        last = count - WINDOW
        starts = [round(last * i / (_WINDOWS - 1)) // 4 * 4 for i in range(_WINDOWS)]
        pieces = [video.pick(range(s, s + WINDOW)) for s in starts]
        return _median([head().score(piece) for piece in pieces])
    return head().score(video.frames)


def _median(scores: list[float | None]) -> float | None:
    told = [s for s in scores if s is not None]
    return float(np.median(told)) if told else None
