"""An invisible mark in every frame, by which a video is known again without its manifest.

`mark` bends the waves of chips.py, frame by frame and without memory, towards the signs that stand
for a key and a 64-bit id, by some steps of descent on Σ (1 - s·r): waves of nearly flat cells are
bent little (a sky must not show blots), strong ones more, and the whole so that a frame stays above
42 dB. Only luma is changed, and where the picture stands still so does the mark: nothing flickers,
codecs keep it. Every frame says the same: stills, cuts, dropped frames, other speeds need no care.

`find` (search.py) looks for the signs at all sizes, places and brightnesses. Whatever a video
shows, if the key was drawn at random without it then, at one alignment, Hoeffding's inequality says

    P(Σ s·r ≥ z·√Σ r²) ≤ exp(-z² / 2)

The false-positive rate that `find` states is this times the number of alignments looked at (and of
ids, where the id has a part in it): a bound, not an estimate, and it holds for any video.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from worldreel.errors import MediaError, OutputError, message, shown
from worldreel.provenance.chips import CELL, PERIOD, STEP, canvas, read, signs, waves
from worldreel.provenance.store import folder

__all__ = ["identity", "installation_key", "key_file", "luma_of", "mark"]

_WEIGHTS = (0.299, 0.587, 0.114)
_STEPS = 4
_SOFT = (0.04, 0.11, 0.21, 0.28, 0.21, 0.11, 0.04)
"""Weights of a unit and its neighbours, about a Gaussian of 1.4 units."""
_LEAST = 42.3
"""Decibels of the strongest mark, on small frames."""
_LARGE = 44.0
"""… and on large ones, whose waves are long and need less."""
_LOST = -0.9
"""Waves whose s·r is below this may be bent as far as in a busy cell."""
_FLAT, _BUSY = 10.0, 30.0
"""How far a wave may be bent, in the unit of STEP: in a flat cell, and in a busy one."""


def key_file() -> Path:
    """Where the secret bytes of this installation are."""
    return folder() / "watermark.key"


def installation_key(path: Path | None = None) -> bytes:
    """The 32 secret bytes of this installation, drawn on first use and readable by its user alone.

    Raises `OutputError` if they can be neither read nor written.
    """
    file = key_file() if path is None else path
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = file.with_name(f"{file.name}.{secrets.token_hex(6)}.part")
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as new:
                new.write(secrets.token_bytes(32))
                new.flush()
                os.fsync(new.fileno())
            with suppress(FileExistsError):  # of two programs one wins, and its key counts
                os.link(beside, file)
            beside.unlink()
        with file.open("rb") as old:
            key = old.read(33)
    except OSError as error:
        came = f"the watermark's key {shown(str(file), limit=200)} cannot be read or made"
        raise OutputError(message(came, "give access to its folder")) from error
    if len(key) != 32:
        came = f"the watermark's key {shown(str(file), limit=200)} has not 32 bytes"
        raise OutputError(message(came, "put the right one back, or move it away for a new one"))
    return key


def identity(recipe: Mapping[str, Any], key: bytes) -> int:
    """The 64-bit id of a video: a keyed hash (HMAC-SHA256) of what decides its frames, so that the
    same recipe gives the same frames and nobody without the key can tell which recipe it was."""
    told = {name: value for name, value in recipe.items() if name not in ("created", "latents")}
    text = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    digest = hmac.digest(key, b"worldreel id 1\0" + text.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big")


def luma_of(frames: Tensor) -> Tensor:
    """Luma `[n, 1, H, W]` (0 … 255) of frames uint8 `[n, H, W, 3]`."""
    return torch.matmul(frames.float(), torch.tensor(_WEIGHTS))[:, None]


@torch.no_grad()
def mark(frames: Tensor, *, key: bytes, word: int) -> Tensor:
    """Frames uint8 `[n, H, W, 3]` with the 64-bit `word` in them under `key`: the same frames, key
    and word give the same. Any part of a video may be marked by itself.

    Raises `MediaError` for anything but such frames.
    """
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        came = f"the frames are {frames.dtype} {list(frames.shape)}"
        raise MediaError(message(came, "they must be uint8 [n, H, W, 3]"))
    height, width = frames.shape[1:3]
    across, down = canvas(width, height)
    if min(across, down) < CELL or not len(frames):
        return frames.clone()
    parts = max(1, (1 << 21) // (height * width))  # frames at a time: 2 million pixels
    made = torch.empty_like(frames)
    for start in range(0, len(frames), parts):
        piece = frames[start : start + parts]
        bend = _bend(luma_of(piece), (down, across), key, word)
        noise = _dither(height, width)
        made[start : start + parts] = (
            piece.float().add_((bend[:, 0] + noise)[..., None]).round_().clamp_(0, 255)
        ).to(torch.uint8)
    return made


def _bend(luma: Tensor, size: tuple[int, int], key: bytes, word: int) -> Tensor:
    """What to add to luma `[n, 1, H, W]`; `size` is the canvas, down and across."""
    height, width = luma.shape[2:]
    small = luma
    if size != (height, width):
        small = F.interpolate(luma, size=size, mode="area")
    rows, columns = size[0] // CELL, size[1] // CELL
    small = small[:, :, : rows * CELL, : columns * CELL]
    plain = read(small)
    wanted = _wanted(key, word, rows, columns)
    limit = _limit(plain)
    bent, added = torch.zeros_like(plain), torch.zeros_like(small)
    for _ in range(_STEPS):
        # s·sin is greatest where the wave's phase is a quarter turn from the lattice's zero. What
        # was smoothed away, or came from the next cell, is seen by reading again.
        phase = (2 * math.pi / STEP) * (plain + read(added))
        slope = wanted * torch.cos(phase)
        # Between two points that are right it is 0: there an earlier mark may hold the wave fast.
        lost = wanted * torch.sin(phase) < _LOST
        slope = torch.where(lost, torch.where(slope < 0, -1.0, 1.0), slope)
        limit = torch.where(lost, _BUSY, limit)
        bent = (bent + (STEP / (2 * math.pi)) * slope).clamp(-limit, limit)
        added = F.conv_transpose2d(bent, _brushes(), stride=CELL, padding=len(_SOFT) // 2)
    added = F.pad(added, (0, size[1] - columns * CELL, 0, size[0] - rows * CELL))
    large = min(1.0, max(0.0, min(height, width) / min(size) - 1))
    allowed = 255**2 * 10 ** (-(_LEAST + large * (_LARGE - _LEAST)) / 10) - 1 / 12
    power = added.square().mean((1, 2, 3), keepdim=True).clamp(min=1e-9)
    added = added * (allowed / power).sqrt().clamp(max=1)
    if size != (height, width):
        added = F.interpolate(added, size=(height, width), mode="bicubic", align_corners=False)
    return added


@cache
def _brushes() -> Tensor:
    """The waves `[5, 1, 18, 18]` as they are drawn, smoothed over three units around their cell:
    the steps between cells would show on a sky."""
    reach = len(_SOFT) // 2
    rows = F.pad(waves(), (reach, reach, reach, reach))
    kernel = torch.tensor(_SOFT).reshape(1, 1, 1, -1)
    rows = F.conv2d(F.pad(rows, (reach, reach, 0, 0)), kernel)
    return F.conv2d(F.pad(rows, (0, 0, reach, reach)), kernel.transpose(2, 3))


def _limit(plain: Tensor) -> Tensor:
    """How far each chip `[n, 5, rows, columns]` may be bent: more where the cell is busy."""
    busy = plain.square().mean(1, keepdim=True).sqrt()
    return _FLAT + (_BUSY - _FLAT) * (busy / (busy + 1.5 * _BUSY))


@lru_cache(maxsize=16)
def _wanted(key: bytes, word: int, rows: int, columns: int) -> Tensor:
    """The signs `[1, 5, rows, columns]`, repeated over the frame."""
    period = torch.from_numpy(signs(key).of(word)).float()
    down, across = -(-rows // PERIOD), -(-columns // PERIOD)
    return period.repeat(1, down, across)[None, :, :rows, :columns]


@lru_cache(maxsize=16)
def _dither(height: int, width: int) -> Tensor:
    """A fine, still pattern in [-1/2, 1/2) (interleaved gradient noise, Jimenez 2014): rounding
    would lose bends of less than half a level, and leave steps on smooth skies."""
    y = torch.arange(height, dtype=torch.float64)[:, None]
    x = torch.arange(width, dtype=torch.float64)[None, :]
    noise = (52.9829189 * ((0.06711056 * x + 0.00583715 * y) % 1)) % 1 - 0.5
    return noise.float()
