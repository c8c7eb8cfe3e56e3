"""The pattern of the watermark: which waves carry what, and how waves are read and bent.

A frame is laid on a canvas of units (`canvas`: a unit is a pixel of small frames, 1/192 of the
short side of large ones) and cut into cells of 12 × 12 units. In each cell five cosine waves (of
the DCT, 12 to 24 units long) are chips. A chip with amplitude v holds the sign s by where v lies
between the points of a lattice of spacing Δ (quantisation index modulation, Chen & Wornell 2001):

    r = sin(2π v / Δ)       s = +1 wants v = Δ/4 + nΔ, s = -1 wants v = -Δ/4 + nΔ

so the picture itself, however strong, does not disturb it: v is moved to the next point that is
right, a quarter of Δ on average. `r` of a picture without our mark has no sign of its own.

The signs are secret, drawn from a key, with a period of 16 × 16 cells. Three of a cell's chips are
fixed (they say that the mark is there and where its cells lie), two carry a coded bit each of the
id (code.py), 256 chips in every 8 × 16 cells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from worldreel.provenance.code import CODED, encode

__all__ = ["CELL", "PERIOD", "STEP", "WAVES", "Signs", "canvas", "read", "signs", "waves"]

CELL = 12
PERIOD = 16
STEP = 60.0
"""Δ, in levels of luma times the norm of a wave."""
WAVES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
"""Half-periods a cell of each chip's wave, down and across."""

_FINEST = 192
_FIXED = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Signs:
    """What a key means for the chips [5, 16, 16] of a period: the sign of each, whether it is fixed
    (1) or carries a coded bit (0), and which of the 256."""

    sign: NDArray[np.float64]
    fixed: NDArray[np.float64]
    index: NDArray[np.intp]

    def of(self, word: int) -> NDArray[np.float64]:
        """The sign of every chip if the mark carries this 64-bit number."""
        return np.where(self.fixed > 0, 1, encode(word)[self.index]) * self.sign


@lru_cache(maxsize=64)
def signs(key: bytes) -> Signs:
    """The signs that belong to a key."""
    count = len(WAVES) * PERIOD * PERIOD
    stream = hashlib.shake_256(b"worldreel watermark 1\0" + key).digest(count + 8 * CODED)
    sign = 1.0 - 2.0 * (np.frombuffer(stream[:count], np.uint8) & 1)
    order = np.argsort(np.frombuffer(stream[count:], np.uint64), kind="stable")
    wave, down, across = np.indices((len(WAVES), PERIOD, PERIOD))
    turn = (wave + down + 2 * across) % len(WAVES)
    place = ((down % 8) * PERIOD + across) * 2 + np.clip(turn - _FIXED, 0, 1)
    return Signs(
        sign=sign.reshape(wave.shape),
        fixed=(turn < _FIXED).astype(np.float64),
        index=order[place],
    )


def canvas(width: int, height: int) -> tuple[int, int]:
    """Units across and down of a frame of that size in pixels."""
    unit = max(1.0, min(width, height) / _FINEST)
    return max(1, round(width / unit)), max(1, round(height / unit))


@cache
def waves() -> Tensor:
    """The waves `[5, 1, 12, 12]`, each of norm 1 and mean 0."""
    places = (np.arange(CELL) + 0.5) / CELL
    cosines = [np.cos(np.pi * places * k) for k in range(3)]
    made = np.stack([np.outer(cosines[down], cosines[across]) for down, across in WAVES])
    made /= np.sqrt((made**2).sum((1, 2), keepdims=True))
    return torch.from_numpy(made).float()[:, None]


def read(luma: Tensor) -> Tensor:
    """Amplitudes `[n, 5, rows, columns]` of the chips in the whole cells of luma `[n, 1, h, w]`."""
    return F.conv2d(luma, waves(), stride=CELL)
